//! Tasks that panic, abort, outlive their runtime, spawn while it ends: nobody else is harmed, and all end.
#![allow(unsafe_code, reason = "a resource limit of the test's own process")]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use quoit_runtime::op::{self, Nop};
use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{Runtime, block_on, metrics, spawn, task};
use quoit_testkit::{ManualWaker, rss_bytes, threads};
use support::{LONG, OnDrop, alone, assert_idle, end, end_idle, in_a_process_of_its_own, runtime, turns_until};

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[test]
fn a_panic_in_poll_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let other = spawn(async {
            for _ in 0..10 {
                op::submit(Nop::new()).await.expect("a nop");
            }
            7
        });
        let detached = spawn(async { panic!("nobody joins this one") });
        drop(detached);
        let error = spawn(async { panic!("in poll") }).await.expect_err("it panicked");
        assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"in poll"));
        assert_eq!(other.await.expect("goes on"), 7);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_in_the_destructor_of_a_future_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        // At its end; when it is aborted; when its own code has panicked before.
        let bomb = Bomb("at the end");
        let ended = spawn(poll_fn(move |_| {
            let _here = &bomb;
            Poll::Ready(())
        }));
        assert!(ended.await.expect_err("it panicked").is_panic());
        let bomb = Bomb("when aborted");
        let aborted = spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        task::yield_now().await;
        aborted.abort();
        assert!(aborted.await.expect_err("it panicked").is_panic());
        let bomb = Bomb("after a panic");
        let both = spawn(poll_fn(move |_| -> Poll<()> {
            let _here = &bomb;
            panic!("in poll")
        }));
        assert_eq!(both.await.expect_err("it panicked").into_panic().downcast_ref::<&str>(), Some(&"in poll"));
        assert_eq!(metrics().tasks, 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_in_the_destructor_of_a_detached_output_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        drop(spawn(async { Bomb("a detached output") }));
        assert!(spawn(async { 1 }).await.is_ok());
        turns_until(|| metrics().tasks == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn panics_in_the_destructors_of_a_future_and_of_its_output_stay_in_their_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let bomb = Bomb("the future");
        let task = spawn(poll_fn(move |_| {
            let _here = &bomb;
            Poll::Ready(Bomb("its output"))
        }));
        let error = task.await.map(std::mem::forget).expect_err("it panicked");
        assert!(error.is_panic());
        assert_eq!(metrics().tasks, 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_payload_whose_destructor_panics_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        // Nobody joins: the payload is dropped by the executor.
        drop(spawn(async { std::panic::panic_any(Bomb("a payload")) }));
        turns_until(|| metrics().tasks == 0).await;
        // The destructor of the future has a payload of its own, which nobody will ever see.
        struct PanicsAny;
        impl Drop for PanicsAny {
            fn drop(&mut self) {
                std::panic::panic_any(Bomb("a second payload"));
            }
        }
        let guard = PanicsAny;
        let task = spawn(poll_fn(move |_| -> Poll<()> {
            let _here = &guard;
            panic!("first")
        }));
        assert!(task.await.expect_err("it panicked").is_panic());
        assert_eq!(metrics().tasks, 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_of_block_ons_future_leaves_the_runtime_usable() {
    let alone = alone();
    let runtime = runtime();
    let (read, feed) = support::pipe();
    for _ in 0..10 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _reading = op::submit(op::PollOnce::readable(read.clone()));
                drop(spawn(async { task::yield_now().await }));
                task::yield_now().await;
                panic!("in block_on")
            })
        }));
        assert_eq!(result.expect_err("it panicked").downcast_ref::<&str>(), Some(&"in block_on"));
        assert_eq!(runtime.block_on(async { spawn(async { 3 }).await.expect("no panic") }), 3);
    }
    runtime.block_on(turns_until(|| metrics().operations == 0 && metrics().tasks == 0));
    drop((read, feed));
    end_idle(runtime);
    alone.end();
}

#[test]
fn abort_ends_a_task_at_each_stage_of_its_life() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        // Before its first poll.
        let polled = Rc::new(Cell::new(0));
        let count = || {
            let polled = Rc::clone(&polled);
            async move {
                polled.set(polled.get() + 1);
                pending::<()>().await;
            }
        };
        let task = spawn(count());
        task.abort();
        task.abort();
        assert!(task.await.expect_err("aborted").is_cancelled());
        assert_eq!(polled.get(), 0);
        // While it waits, and while it is queued.
        let waiting = spawn(count());
        task::yield_now().await;
        waiting.abort();
        assert_eq!(waiting.cancel().await, None);
        let waker = Rc::new(RefCell::new(None::<Waker>));
        let queued = spawn({
            let waker = Rc::clone(&waker);
            poll_fn(move |cx| -> Poll<()> {
                assert!(waker.borrow().is_none(), "an aborted task is not polled");
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
        });
        task::yield_now().await;
        waker.borrow().as_ref().expect("polled").wake_by_ref();
        queued.abort();
        assert!(queued.await.expect_err("aborted").is_cancelled());
        // Itself: it goes on to its next await.
        let own = Rc::new(RefCell::new(None));
        let reached = Rc::new(Cell::new(false));
        let suicide = spawn({
            let (own, reached) = (Rc::clone(&own), Rc::clone(&reached));
            async move {
                let handle: task::AbortHandle = own.borrow_mut().take().expect("set below");
                handle.abort();
                reached.set(true);
                pending::<()>().await;
                unreachable!("aborted");
            }
        });
        *own.borrow_mut() = Some(suicide.abort_handle());
        assert!(suicide.await.expect_err("aborted").is_cancelled());
        assert!(reached.get());
        // Itself, but it ends in the same poll: the output is there.
        let own = Rc::new(RefCell::new(None));
        let ends = spawn({
            let own = Rc::clone(&own);
            async move {
                let handle: task::AbortHandle = own.borrow_mut().take().expect("set below");
                handle.abort();
                5
            }
        });
        *own.borrow_mut() = Some(ends.abort_handle());
        assert_eq!(ends.await.expect("it was faster"), 5);
        // The place of that task is used again, by one that nobody has aborted.
        assert_eq!(spawn(async { task::yield_now().await }).await.map_err(|error| error.to_string()), Ok(()));
        // After its end.
        let over = spawn(async { 6 });
        let handle = over.abort_handle();
        turns_until(|| over.is_finished()).await;
        over.abort();
        handle.abort();
        assert_eq!(over.await.expect("it had ended"), 6);
        handle.abort();
        assert_eq!(spawn(async { 7 }).await.expect("another task of the same place"), 7);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_task_aborted_outside_of_block_on_before_its_first_poll_is_never_polled() {
    let alone = alone();
    let runtime = runtime();
    let polled = Rc::new(Cell::new(false));
    let task = runtime.spawn({
        let polled = Rc::clone(&polled);
        async move { polled.set(true) }
    });
    task.abort();
    let result = runtime.block_on(task);
    assert!(!polled.get(), "it was polled, although it was aborted before");
    assert!(result.expect_err("aborted").is_cancelled());
    end_idle(runtime);
    alone.end();
}

#[test]
fn abort_works_from_other_threads_and_when_the_runtime_is_gone() {
    let alone = alone();
    let runtime = runtime();
    let handle = runtime.block_on(async {
        let tasks: Vec<_> = (0..100).map(|_| spawn(pending::<()>())).collect();
        let handles: Vec<_> = tasks.iter().map(task::JoinHandle::abort_handle).collect();
        let last = handles[99].clone();
        let thread = std::thread::spawn(move || handles.iter().for_each(task::AbortHandle::abort));
        for task in tasks {
            assert!(task.await.expect_err("aborted").is_cancelled());
        }
        thread.join().expect("no panic");
        last
    });
    end_idle(runtime);
    handle.abort();
    // The next runtime has the same place, and perhaps the same inbox.
    let other = support::runtime();
    other.block_on(async {
        let survivor = spawn(async {
            task::yield_now().await;
            9
        });
        std::thread::spawn(move || handle.abort()).join().expect("no panic");
        assert_eq!(survivor.await.expect("nobody aborted it"), 9);
    });
    end_idle(other);
    alone.end();
}

#[test]
fn a_handle_polled_when_the_runtime_is_gone_answers_what_became_of_the_task() {
    let alone = alone();
    let runtime = runtime();
    let (ended, waiting, queued) = runtime.block_on(async {
        let ended = spawn(async { 1 });
        turns_until(|| ended.is_finished()).await;
        (ended, spawn(pending::<u8>()), spawn(async { 2 }))
    });
    let report = end(runtime);
    assert_eq!(report.tasks_dropped, 2);
    let waker = ManualWaker::new();
    assert!(matches!(waker.poll(std::pin::pin!(ended)), Poll::Ready(Ok(1))));
    for handle in [waiting, queued] {
        handle.abort();
        assert!(handle.is_finished());
        let Poll::Ready(Err(error)) = waker.poll(std::pin::pin!(handle)) else { panic!("it was cancelled") };
        assert!(error.is_cancelled());
    }
    alone.end();
}

#[test]
fn a_task_spawned_by_a_destructor_while_the_runtime_ends_is_dropped_too() {
    let alone = alone();
    let runtime = runtime();
    let dropped = Rc::new(Cell::new(0));
    let spawned = Rc::new(RefCell::new(None));
    runtime.block_on(async {
        let (dropped, spawned) = (Rc::clone(&dropped), Rc::clone(&spawned));
        drop(spawn(async move {
            let _guard = OnDrop(move || {
                let count = OnDrop({
                    let dropped = Rc::clone(&dropped);
                    move || dropped.set(dropped.get() + 1)
                });
                let late = spawn(async move {
                    let _count = &count;
                    pending::<()>().await;
                });
                *spawned.borrow_mut() = Some(late);
            });
            pending::<()>().await;
        }));
        task::yield_now().await;
    });
    end(runtime);
    let late = spawned.borrow_mut().take().expect("the destructor ran");
    assert_eq!(dropped.get(), 1);
    let Poll::Ready(Err(error)) = ManualWaker::new().poll(std::pin::pin!(late)) else { panic!("it was cancelled") };
    assert!(error.is_cancelled());
    alone.end();
}

/// Spawns a task that owns the rest of the chain, from its destructor.
struct Respawn(u32, Rc<Cell<u32>>);

impl Drop for Respawn {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
        if self.0 > 0 {
            let next = Respawn(self.0 - 1, Rc::clone(&self.1));
            drop(spawn(async move {
                let _next = &next;
                pending::<()>().await;
            }));
        }
    }
}

fn on_a_small_stack(code: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(256 << 10).spawn(code).expect("a thread").join().expect("no panic");
}

#[test]
fn tasks_that_spawn_the_next_when_they_are_dropped_end_one_after_another_while_the_runtime_ends() {
    let alone = alone();
    let name = "tasks_that_spawn_the_next_when_they_are_dropped_end_one_after_another_while_the_runtime_ends";
    // Where the bug is there, it ends the process.
    in_a_process_of_its_own(name, || {
        on_a_small_stack(|| {
            const LENGTH: u32 = 10_000;
            let drops = Rc::new(Cell::new(0));
            let runtime = runtime();
            let first = Respawn(LENGTH, Rc::clone(&drops));
            drop(runtime.spawn(async move {
                let _first = &first;
                pending::<()>().await;
            }));
            end(runtime);
            assert_eq!(drops.get(), LENGTH + 1);
        });
    });
    alone.end();
}

#[test]
fn a_long_chain_of_tasks_that_wake_the_next_needs_no_stack() {
    let alone = alone();
    on_a_small_stack(|| {
        const LENGTH: usize = 1_000_000;
        let runtime = runtime();
        let done = Rc::new(Cell::new(0));
        let wakers: Rc<RefCell<Vec<Option<Waker>>>> = Rc::new(RefCell::new(vec![None; LENGTH + 1]));
        runtime.block_on(async {
            for number in 0..LENGTH {
                let (done, wakers) = (Rc::clone(&done), Rc::clone(&wakers));
                drop(spawn(poll_fn(move |cx| {
                    if number > 0 && done.get() < number {
                        wakers.borrow_mut()[number] = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    done.set(done.get() + 1);
                    if let Some(next) = wakers.borrow_mut()[number + 1].take() {
                        next.wake();
                    }
                    Poll::Ready(())
                })));
            }
            turns_until(|| metrics().tasks == 0).await;
        });
        assert_eq!(done.get(), LENGTH);
        assert!(runtime.metrics().polls >= LENGTH as u64);
        end_idle(runtime);
    });
    alone.end();
}

#[test]
fn a_long_chain_of_tasks_that_own_and_abort_the_next_needs_no_stack() {
    let alone = alone();
    on_a_small_stack(|| {
        const LENGTH: usize = 100_000;
        for by_shutdown in [false, true] {
            let runtime = runtime();
            let mut last = None;
            runtime.block_on(async {
                let mut next = spawn(pending::<()>()).abort_on_drop();
                for _ in 0..LENGTH {
                    next = spawn(async move { drop(next.await) }).abort_on_drop();
                }
                task::yield_now().await;
                last = Some(next);
            });
            if by_shutdown {
                drop(runtime);
                drop(last);
            } else {
                drop(last);
                runtime.block_on(turns_until(|| metrics().tasks == 0));
                end_idle(runtime);
            }
        }
    });
    alone.end();
}

#[test]
fn a_runtime_with_very_many_tasks_ends_in_time_that_grows_with_their_number_only() {
    let alone = alone();
    let runtime = runtime();
    for _ in 0..150_000 {
        drop(runtime.spawn(pending::<()>()));
    }
    runtime.block_on(task::yield_now());
    let report = end(runtime);
    assert_eq!(report.tasks_dropped, 150_000);
    alone.end();
}

#[test]
fn a_task_that_yields_lets_the_others_and_the_kernel_come_first() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                let order = Rc::clone(&order);
                spawn(async move {
                    for round in 0..50 {
                        order.borrow_mut().push((round, number));
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        // A completion comes, although somebody is always ready.
        let nop = spawn(op::submit(Nop::new()));
        nop.await.expect("no panic").expect("a nop");
        assert!(order.borrow().len() < 200, "the nop came while the others were yielding");
        for task in tasks {
            task.await.expect("no panic");
        }
        let expected: Vec<_> = (0..50).flat_map(|round| (0..4).map(move |number| (round, number))).collect();
        assert_eq!(*order.borrow(), expected);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_task_that_is_always_ready_runs_out_of_budget_and_lets_the_others_run() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let steps = Rc::new(Cell::new(0_u32));
        let stop = Rc::new(Cell::new(false));
        let greedy = spawn({
            let (steps, stop) = (Rc::clone(&steps), Rc::clone(&stop));
            async move {
                while !stop.get() {
                    poll_fn(task::poll_budget).await;
                    steps.set(steps.get() + 1);
                }
            }
        });
        let mut timer = Timer::new(Instant::now() + std::time::Duration::from_millis(1));
        poll_fn(|cx| timer.poll_elapsed(cx)).await;
        op::submit(Nop::new()).await.expect("a nop");
        let before = steps.get();
        task::yield_now().await;
        let between = steps.get() - before;
        assert!(between <= 2 * 128, "{between} steps in one turn");
        stop.set(true);
        greedy.await.expect("no panic");
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_woken_task_is_polled_once_however_often_it_was_woken() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let polls = Rc::new(Cell::new(0));
        let waker = Rc::new(RefCell::new(None::<Waker>));
        let task = spawn({
            let (polls, waker) = (Rc::clone(&polls), Rc::clone(&waker));
            poll_fn(move |cx| -> Poll<()> {
                polls.set(polls.get() + 1);
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
        });
        task::yield_now().await;
        assert_eq!(polls.get(), 1);
        for expected in 2..10 {
            let waker = waker.borrow().clone().expect("polled");
            (0..100).for_each(|_| waker.wake_by_ref());
            task::yield_now().await;
            task::yield_now().await;
            assert_eq!(polls.get(), expected);
        }
        assert_eq!(task.cancel().await, None);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_task_that_woke_itself_before_it_ended_gives_the_next_task_of_its_place_no_extra_poll() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let polls = Rc::new(Cell::new(0));
        // It is in the queue when it ends, and its place is vacant for the next one.
        let first = spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        first.await.expect("no panic");
        let next = spawn({
            let polls = Rc::clone(&polls);
            poll_fn(move |_| -> Poll<()> {
                polls.set(polls.get() + 1);
                Poll::Pending
            })
        });
        task::yield_now().await;
        task::yield_now().await;
        assert_eq!(polls.get(), 1);
        next.abort();
        assert!(next.await.is_err());
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn two_runtimes_take_turns_on_one_thread() {
    let alone = alone();
    let (one, other) = (runtime(), runtime());
    let wakers = Rc::new(RefCell::new(Vec::<Waker>::new()));
    let turn = Rc::new(Cell::new(0));
    let wait_for = |goal: u32| {
        let (wakers, turn) = (Rc::clone(&wakers), Rc::clone(&turn));
        poll_fn(move |cx| {
            if turn.get() >= goal {
                return Poll::Ready(());
            }
            wakers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
    };
    for round in 0..100 {
        // A task of each, woken while the other runtime runs.
        let waiting_here = one.spawn(wait_for(2 * round + 1));
        let waiting_there = other.spawn(wait_for(2 * round + 2));
        one.block_on(task::yield_now());
        other.block_on(async {
            task::yield_now().await;
            turn.set(2 * round + 1);
            wakers.take().into_iter().for_each(Waker::wake);
            op::submit(Nop::new()).await.expect("a nop");
        });
        other.block_on(task::yield_now());
        one.block_on(async {
            waiting_here.await.expect("no panic");
            turn.set(2 * round + 2);
            wakers.take().into_iter().for_each(Waker::wake);
        });
        other.block_on(async { waiting_there.await.expect("no panic") });
    }
    assert_idle(&one);
    assert_idle(&other);
    // One ends while the other runs.
    one.block_on(async { end_idle(other) });
    end_idle(one);
    alone.end();
}

/// Where the last panic of this thread was.
fn location_of_panic(code: impl FnOnce()) -> (String, u32) {
    static SEEN: Mutex<Option<(String, u32)>> = Mutex::new(None);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        *SEEN.lock().expect("no panic") = info.location().map(|location| (location.file().to_owned(), location.line()));
    }));
    let result = catch_unwind(AssertUnwindSafe(code));
    std::panic::set_hook(before);
    assert!(result.is_err(), "it should have panicked");
    SEEN.lock().expect("no panic").take().expect("a panic has a location")
}

#[test]
fn misuse_panics_at_the_place_of_the_caller() {
    let alone = alone();
    let here = Location::caller().file().to_owned();
    let line = Location::caller().line();
    assert_eq!((line, file!()), (line!() - 1, here.as_str()));
    let runtime = runtime();
    let nested = location_of_panic(|| runtime.block_on(async { runtime.block_on(async {}) }));
    assert_eq!(nested, (here.clone(), line!() - 1));
    let nested = location_of_panic(|| runtime.block_on(async { block_on(async {}) }));
    assert_eq!(nested, (here.clone(), line!() - 1));
    let spawned = location_of_panic(|| drop(spawn(async {})));
    assert_eq!(spawned, (here.clone(), line!() - 1));
    let submitted = location_of_panic(|| drop(op::submit(Nop::new())));
    assert_eq!(submitted, (here.clone(), line!() - 1));
    let timed = location_of_panic(|| drop(Timer::new(Instant::NEVER)));
    assert_eq!(timed, (here.clone(), line!() - 1));
    let measured = location_of_panic(|| assert_eq!(metrics().tasks, 0));
    assert_eq!(measured, (here.clone(), line!() - 1));
    let id = location_of_panic(|| assert_eq!(task::id(), task::id()));
    assert_eq!(id, (here.clone(), line!() - 1));
    let root = location_of_panic(|| runtime.block_on(async { assert_eq!(task::id(), task::id()) }));
    assert_eq!(root, (here, line!() - 1));
    let in_task = runtime.block_on(async { spawn(async { block_on(async {}) }).await });
    assert!(in_task.expect_err("nested").is_panic());
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_thousand_runtimes_leave_nothing_behind() {
    let alone = alone();
    let cycle = || {
        let runtime = Runtime::builder().entries(8).buffer_pool(4, 512).build().expect("this machine has io_uring");
        runtime.block_on(async {
            let (read, feed) = support::pipe();
            drop(read.driver().pool().expect("a pool").clone());
            let waiting = spawn(op::submit(op::PollOnce::readable(read.clone())));
            let nop = spawn(async { op::submit(Nop::new()).await });
            nop.await.expect("no panic").expect("a nop");
            drop((waiting, feed));
            let mut timer = Timer::new(Instant::now() + LONG);
            assert!(Pin::new(&mut timer).poll_elapsed(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        assert!(runtime.shutdown(LONG).is_clean());
    };
    (0..100).for_each(|_| cycle());
    let (threads_before, rss_before) = (threads(), rss_bytes());
    (0..1000).for_each(|_| cycle());
    let grown = rss_bytes().saturating_sub(rss_before);
    // The quarantine alone keeps up to 32 MiB.
    assert!(grown < 48 << 20, "{grown} bytes more than before");
    assert!(threads() <= threads_before + 2, "{threads_before} threads became {}", threads());
    alone.end();
}
