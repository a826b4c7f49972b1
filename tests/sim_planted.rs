//! Bugs that are planted, one of each class that completion runtimes are known for. Each must be found within 1,000 seeds, and
//! the same program without its bug must pass them.
//!
//! The programs stand on the driver's public interface, as a careless op or channel would; nothing in the runtime is broken for
//! them.
#![allow(unsafe_code, reason = "plants operations that break their promises")]

mod planted;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use planted::{found, pair};
use quoit::FutureExt;
use quoit::driver::{Completion, Driver, Op, SharedFd, Step, submit};
use quoit::sim;
use quoit::task::yield_now;
use quoit::time::{sleep, timeout};

/// A receive of raw memory; `IORING_OP_RECV`.
struct RawRecv {
    fd: RawFd,
    address: *mut u8,
    bytes: u32,
    /// Kept until the kernel has answered.
    _buf: Option<Box<[u8]>>,
}

// SAFETY: it is the point of these tests that this is not always true; `_buf` holds the memory where it is.
unsafe impl Op for RawRecv {
    type Output = io::Result<u32>;

    const NAME: &'static str = "planted recv";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let fd = io_uring::types::Fd(self.fd);
        Step::Submit(io_uring::opcode::Recv::new(fd, self.address, self.bytes).build().into())
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<u32> {
        answer.value()
    }
}

/// The buffer is freed with the future, and not with the operation.
#[test]
fn an_early_free_is_found() {
    let text = found(|is_planted| async move {
        let (client, server) = pair().await;
        for _ in 0..5 {
            let mut buf = vec![0; 4096].into_boxed_slice();
            let address = buf.as_mut_ptr();
            let fd = server.as_raw_fd();
            // With the bug the future owns it.
            let (kept, lost) = if is_planted { (None, Some(buf)) } else { (Some(buf), None) };
            let receiving = async move {
                let _lost = lost;
                submit(RawRecv { fd, address, bytes: 4096, _buf: kept }).await
            };
            drop(client.write_all("early").await);
            let _ = timeout(Duration::from_micros(2), receiving).await;
        }
        sleep(Duration::from_secs(1)).await;
    });
    assert!(text.contains("freed memory was written to"), "{text}");
}

/// A zero-copy send whose buffer is free with the first answer, and not with the notification.
struct Hasty {
    fd: RawFd,
    buf: Box<[u8]>,
    /// With the bug, the first answer counts as the end of the kernel's use.
    is_planted: bool,
}

// SAFETY: it is the point of the test that the buffer is written to too early; it is not freed.
unsafe impl Op for Hasty {
    type Output = ();

    const NAME: &'static str = "planted send";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let (fd, bytes) = (io_uring::types::Fd(self.fd), self.buf.len() as u32);
        Step::Submit(io_uring::opcode::SendZc::new(fd, self.buf.as_ptr(), bytes).build().into())
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        if self.is_planted || !completion.more() {
            self.buf.fill(0);
        }
        if completion.more() { Step::Pending } else { Step::Done(completion) }
    }

    unsafe fn complete(self, _: Completion) {}
}

#[test]
fn a_zero_copy_buffer_that_changes_early_is_found() {
    let text = found(|is_planted| async move {
        let (client, server) = pair().await;
        let fd = client.as_raw_fd();
        submit(Hasty { fd, buf: vec![7; 64].into_boxed_slice(), is_planted }).await;
        drop(server);
    });
    assert!(text.contains("has changed before the kernel gave it back"), "{text}");
}

/// Two receives at once on one socket: the second may have the first bytes.
#[test]
fn a_reordered_receive_is_found() {
    let text = found(|is_planted| async move {
        let (client, server) = pair().await;
        let receive = || {
            let mut buf = vec![0; 2].into_boxed_slice();
            let address = buf.as_mut_ptr();
            let bytes = Rc::new(Cell::new([0; 2]));
            let fd = server.as_raw_fd();
            let told = Rc::clone(&bytes);
            let receiving = async move {
                let mut room = buf;
                let op = RawRecv { fd, address, bytes: 2, _buf: None };
                assert_eq!(submit(op).await.expect("no error"), 2);
                told.set([room[0], room[1]]);
                room[0] = 0;
            };
            (receiving, bytes)
        };
        let ((one, first), (other, second)) = (receive(), receive());
        let sending = async { client.write_all("abcd").await.0.expect("connected") };
        if is_planted {
            let receiving = futures_util::future::join(one, other);
            futures_util::future::join(receiving, sending).await;
        } else {
            sending.await;
            one.await;
            other.await;
        }
        assert_eq!([first.get(), second.get()], [*b"ab", *b"cd"], "bytes out of order");
    });
    assert!(text.contains("bytes out of order"), "{text}");
}

/// A poll that nobody cancels when its future is dropped.
struct Deaf {
    fd: SharedFd,
    _answers: Rc<()>,
}

// SAFETY: the entry names no memory.
unsafe impl Op for Deaf {
    type Output = ();

    const NAME: &'static str = "planted poll";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let fd = io_uring::types::Fd(self.fd.as_raw_fd());
        Step::Submit(io_uring::opcode::PollAdd::new(fd, libc::POLLIN as u32).build().into())
    }

    unsafe fn complete(self, _: Completion) {}
}

/// The same, cancelled as it should be.
struct Obedient(Deaf);

// SAFETY: as for the other.
unsafe impl Op for Obedient {
    type Output = ();

    const NAME: &'static str = "obedient poll";

    unsafe fn prepare(&mut self, driver: &Driver) -> Step {
        // SAFETY: called in the same way.
        unsafe { self.0.prepare(driver) }
    }

    unsafe fn complete(self, _: Completion) {}
}

/// An operation that is dropped and not cancelled holds its socket for ever, unless it was faster.
#[test]
fn a_lost_cancel_is_found() {
    let text = found(|is_planted| async move {
        let (client, server) = pair().await;
        let fd = SharedFd::of_socket(server.as_fd().try_clone_to_owned().expect("a duplicate"));
        drop(server);
        let writing = quoit::spawn(async move {
            // Mostly there is something to see for whoever polls.
            if !sim::random().is_multiple_of(8) {
                let _ = client.write_all("x").await;
            }
            // It waits for the other side to close.
            while let Ok(Some(_)) = client.recv().await {}
        });
        let op = Deaf { fd: fd.clone(), _answers: Rc::new(()) };
        let patience = Duration::from_micros(1);
        if is_planted {
            let _ = timeout(patience, submit(op)).await;
        } else {
            let _ = timeout(patience, submit(Obedient(op))).await;
        }
        // Only the last owner may close it.
        fd.close().timeout(Duration::from_secs(60)).await.expect("an operation holds the socket").expect("a close");
        writing.await.expect("no panic");
    });
    assert!(text.contains("an operation holds the socket"), "{text}");
}

/// A cell that one task fills and another waits for.
#[derive(Default)]
struct Mailbox {
    value: Cell<Option<u32>>,
    waker: RefCell<Option<Waker>>,
}

/// Looks, lets others run, and registers its waker only then: what came in between wakes nobody.
#[test]
fn a_lost_wake_is_found() {
    let text = found(|is_planted| async move {
        let mailbox = Rc::new(Mailbox::default());
        let theirs = Rc::clone(&mailbox);
        let filling = quoit::spawn(async move {
            for _ in 0..3 {
                yield_now().await;
            }
            theirs.value.set(Some(7));
            if let Some(waker) = theirs.waker.take() {
                waker.wake();
            }
        });
        let waiting = quoit::spawn(async move {
            for _ in 0..3 {
                yield_now().await;
            }
            let looked = mailbox.value.get();
            if is_planted && looked.is_none() {
                yield_now().await;
            }
            // With the bug the first look is the old one.
            let mut stale = is_planted.then_some(looked);
            poll_fn(|cx| match stale.take().unwrap_or_else(|| mailbox.value.get()) {
                Some(value) => Poll::Ready(value),
                None => {
                    mailbox.waker.replace(Some(cx.waker().clone()));
                    Poll::Pending
                }
            })
            .await
        });
        filling.await.expect("no panic");
        assert_eq!(waiting.await.expect("no panic"), 7);
    });
    assert!(text.contains("all waits for ever"), "{text}");
}
