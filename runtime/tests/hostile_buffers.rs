//! Buffers are anybody's code: their methods panic, their destructors panic, submit, and drop other operations (I8).
#![allow(unsafe_code, reason = "buffers of the tests' own")]

mod support;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use quoit_runtime::buf::{IoBuf, IoBufMut};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, InFlight, Nop, ReadAt};
use quoit_runtime::{metrics, spawn};
use quoit_testkit::{CountedBuf, LiveBuffers};
use support::{Buf, alone, end_idle, pipe, runtime, turns_until, write};

/// Where a hostile buffer runs its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Pointer,
    Capacity,
    SetLen,
    Drop,
}

/// A buffer that calls code of the test's in one of its methods.
struct Hostile {
    bytes: Option<CountedBuf>,
    at: At,
    code: Rc<dyn Fn()>,
}

impl Hostile {
    fn new(live: &LiveBuffers, at: At, code: impl Fn() + 'static) -> Self {
        Self { bytes: Some(live.buffer(Vec::with_capacity(128))), at, code: Rc::new(code) }
    }

    fn run(&self, at: At) {
        if self.at == at {
            (self.code)();
        }
    }

    fn bytes(&self) -> &Vec<u8> {
        self.bytes.as_ref().expect("not dropped").as_vec()
    }

    fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.bytes.as_mut().expect("not dropped").as_mut_vec()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        drop(self.bytes.take());
        self.run(At::Drop);
    }
}

// SAFETY: the bytes are those of a `Vec`, which stay where they are while it moves.
unsafe impl IoBuf for Hostile {
    fn as_ptr(&self) -> *const u8 {
        self.bytes().as_ptr()
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Hostile {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.run(At::Pointer);
        self.bytes_mut().as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.run(At::Capacity);
        self.bytes().capacity()
    }

    unsafe fn set_len(&mut self, len: usize) {
        self.run(At::SetLen);
        // SAFETY: the caller's promise is the one that `Vec` asks for.
        unsafe { self.bytes_mut().set_len(len) }
    }
}

/// A file with bytes that lie in memory: the program that runs.
fn file() -> SharedFd {
    let path = std::env::current_exe().expect("a test has a file");
    SharedFd::new(std::fs::File::open(path).expect("it is there").into())
}

#[test]
fn a_buffer_that_panics_where_its_op_could_end_at_once_ends_that_op_only() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        quoit_runtime::task::yield_now().await;
        let file = file();
        for at in [At::Pointer, At::Capacity] {
            let buf = Hostile::new(&live, at, move || panic!("a buffer panics at {at:?}"));
            let (result, buf) = op::submit(ReadAt::new(file.clone(), buf, 0)).await;
            assert_eq!(result.expect_err("it panicked").raw_os_error(), Some(libc::EFAULT));
            drop(buf);
        }
        assert_eq!((live.live(), metrics().attempts, metrics().operations), (0, 0, 0));
        let (result, bytes) = op::submit(ReadAt::new(file, Buf::new(&live), 0)).await;
        assert_eq!((result.expect("a program has bytes"), &bytes.0.as_vec()[..4]), (128, &b"\x7fELF"[..]));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn what_a_buffer_submits_is_not_overtaken_by_its_own_op() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        quoit_runtime::task::yield_now().await;
        let sqes = metrics().sqes;
        let buf = Hostile::new(&live, At::Pointer, || std::mem::forget(op::submit(Nop::new())));
        let (result, buf) = op::submit(ReadAt::new(file(), buf, 0)).await;
        assert_eq!((result.expect("a program has bytes"), buf.bytes().len()), (128, 128));
        // Asked for its pointer once more where the op is prepared, the buffer submits once more.
        assert_eq!((metrics().sqes, metrics().attempts, metrics().vain_attempts), (sqes + 3, 0, 0));
    });
    assert_eq!(live.live(), 0);
    assert_eq!((runtime.metrics().in_flight, runtime.metrics().operations), (0, 2));
    support::end(runtime);
    alone.end();
}

#[test]
fn a_buffer_that_panics_while_its_op_is_prepared_ends_that_op_only() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        for at in [At::Pointer, At::Capacity] {
            let other = op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX));
            let buf = Hostile::new(&live, at, move || panic!("a buffer panics at {at:?}"));
            let (result, buf) = op::submit(ReadAt::new(read.clone(), buf, u64::MAX)).await;
            assert_eq!(result.expect_err("it panicked").raw_os_error(), Some(libc::EFAULT));
            drop(buf);
            write(&feed, b"others go on");
            let (result, bytes) = other.await;
            assert_eq!((result.expect("written"), bytes.0.into_vec()), (12, b"others go on".to_vec()));
        }
        assert_eq!(live.live(), 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_buffer_that_panics_when_its_answer_is_taken_panics_in_the_awaiting_task_only() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let buf = Hostile::new(&live, At::SetLen, || panic!("a buffer panics in set_len"));
        let awaiting = spawn({
            let read = read.clone();
            async move { op::submit(ReadAt::new(read, buf, u64::MAX)).await.0 }
        });
        write(&feed, b"x");
        assert!(awaiting.await.expect_err("it panicked").is_panic());
        assert_eq!((live.live(), metrics().operations), (0, 0));
    });
    end_idle(runtime);
    alone.end();
}

/// The op is told its answer when its slot is free again, and its future does not know yet that it has ended.
#[test]
fn what_a_buffer_submits_when_its_answer_is_taken_may_have_the_slot_also_if_it_panics_then() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        for panics in [false, true] {
            let newcomers = Rc::new(RefCell::new(Vec::new()));
            let hostile = Hostile::new(&live, At::SetLen, {
                let (read, live, newcomers) = (read.clone(), live.clone(), Rc::clone(&newcomers));
                move || {
                    let newcomer = op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX));
                    read.driver().hurry();
                    newcomers.borrow_mut().push(newcomer);
                    assert!(!panics, "a buffer panics when its length is set");
                }
            });
            write(&feed, b"x");
            let reading = op::submit(ReadAt::new(read.clone(), hostile, u64::MAX));
            let result = spawn(async move { reading.await.0 }).await;
            assert_eq!((result.is_err(), newcomers.borrow().len()), (panics, 1));
            let newcomer = newcomers.take().pop().expect("just counted");
            write(&feed, b"y");
            let (result, buf) = newcomer.await;
            assert_eq!((result.expect("nobody has cancelled it"), buf.0.as_vec().as_slice()), (1, &b"y"[..]));
        }
        assert_eq!((live.live(), metrics().operations), (0, 0));
        drop((feed, read));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_buffer_whose_destructor_panics_harms_nobody_when_its_op_was_dropped() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let buf = Hostile::new(&live, At::Drop, || panic!("a buffer's destructor panics"));
        drop(op::submit(ReadAt::new(read.clone(), buf, u64::MAX)));
        let other = op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX));
        turns_until(|| live.live() == 1).await;
        write(&feed, b"x");
        assert_eq!(other.await.0.expect("written"), 1);
    });
    end_idle(runtime);
    assert_eq!(live.live(), 0);
    alone.end();
}

#[test]
fn a_buffers_destructor_may_submit_cancel_and_drop_other_ops() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, _feed) = pipe();
        let others: Rc<RefCell<Vec<InFlight<ReadAt<Buf>>>>> = Rc::default();
        let submitted = Rc::new(Cell::new(0));
        for round in 0..100 {
            let other = op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX));
            others.borrow_mut().push(other);
            let code = {
                let (others, submitted, live, read) =
                    (Rc::clone(&others), Rc::clone(&submitted), live.clone(), read.clone());
                move || {
                    // Drops one, cancels all that are left, and starts one that nobody will wait for.
                    let gone = others.borrow_mut().pop();
                    others.borrow().iter().for_each(InFlight::cancel);
                    drop(gone);
                    drop(op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX)));
                    submitted.set(submitted.get() + 1);
                }
            };
            let buf = Hostile::new(&live, At::Drop, code);
            let reading = op::submit(ReadAt::new(read.clone(), buf, u64::MAX));
            if round % 2 == 0 {
                quoit_runtime::task::yield_now().await;
            }
            drop(reading);
        }
        turns_until(|| submitted.get() == 100 && live.live() == 0).await;
        assert!(others.borrow().is_empty());
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_buffer_may_submit_and_drop_while_its_own_op_is_prepared() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let nested: Rc<RefCell<Vec<InFlight<Nop>>>> = Rc::default();
        let code = {
            let (nested, read, live) = (Rc::clone(&nested), read.clone(), live.clone());
            move || {
                // Enough to make the table of operations grow while one of them is busy.
                nested.borrow_mut().extend((0..200).map(|_| op::submit(Nop::new())));
                drop(op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX)));
            }
        };
        let reading = op::submit(ReadAt::new(read.clone(), Hostile::new(&live, At::Pointer, code), u64::MAX));
        let ops = nested.take();
        assert!(ops.len() >= 200);
        for nop in ops {
            nop.await.expect("a nop");
        }
        turns_until(|| live.live() == 1).await;
        write(&feed, b"x");
        let (result, buf) = reading.await;
        assert_eq!(result.expect("written"), 1);
        // The answer was taken through the pointer, too.
        for nop in nested.take() {
            nop.await.expect("a nop");
        }
        drop(buf);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    assert_eq!(live.live(), 0);
    alone.end();
}

#[test]
fn a_buffers_destructor_may_drop_others_that_drop_others_while_the_runtime_ends() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    let (read, feed) = pipe();
    runtime.block_on(async {
        // Each buffer owns the next operation.
        let mut next: Option<InFlight<ReadAt<Hostile>>> = None;
        for _ in 0..100 {
            let owned = RefCell::new(next.take());
            let (read_again, live_again) = (read.clone(), live.clone());
            let code = move || {
                drop(owned.borrow_mut().take());
                drop(op::submit(ReadAt::new(read_again.clone(), Buf::new(&live_again), u64::MAX)));
            };
            next = Some(op::submit(ReadAt::new(read.clone(), Hostile::new(&live, At::Drop, code), u64::MAX)));
        }
        let task = spawn(async move {
            let _first = next;
            std::future::pending::<()>().await;
        });
        drop(task);
    });
    assert_eq!(runtime.metrics().in_flight, 100);
    let report = support::end(runtime);
    assert_eq!((report.tasks_dropped, live.live()), (1, 0));
    drop((read, feed));
    alone.end();
}

#[test]
fn a_buffer_that_panics_while_the_shutdown_counts_what_is_leaked_does_not_stop_the_shutdown() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    let (read, feed) = pipe();
    let calls = Rc::new(Cell::new(0));
    let mut in_flight = None;
    runtime.block_on(async {
        let code = {
            let calls = Rc::clone(&calls);
            move || {
                calls.set(calls.get() + 1);
                // Not while the op is prepared, but when the shutdown asks how many bytes it leaks.
                assert!(calls.get() < 3, "a buffer panics in capacity");
            }
        };
        let hostile = Hostile::new(&live, At::Capacity, code);
        in_flight = Some(op::submit(ReadAt::new(read.clone(), hostile, u64::MAX)));
    });
    calls.set(10);
    // Without any time the operation is not given back, and so it has to be leaked.
    let report = catch_unwind(AssertUnwindSafe(|| runtime.shutdown(Duration::ZERO)));
    // Never dropped: the kernel may have the buffer for as long as the process lives.
    std::mem::forget(in_flight);
    let report = report.expect("the panic of a buffer has left the shutdown: what it should leak would be freed");
    assert_eq!(report.operations_leaked + usize::from(report.is_clean()), 1, "{report}");
    drop((read, feed));
    support::ALLOC.assert_clean();
    drop(alone);
}
