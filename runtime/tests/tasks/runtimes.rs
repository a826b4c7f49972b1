use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use quoit_runtime::op::{self, Nop};
use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{Runtime, block_on, metrics, spawn, task};
use quoit_testkit::{rss_bytes, threads};

use crate::support::{self, LONG, alone, assert_idle, end_idle, runtime};

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
    let (threads_before, rss_before, live_before) = (threads(), rss_bytes(), support::ALLOC.live_bytes());
    (0..1000).for_each(|_| cycle());
    let live = support::ALLOC.live_bytes().saturating_sub(live_before);
    assert!(live < 100 << 10, "{live} bytes are allocated and were not before");
    // Rings and pools are not the allocator's. Of what was freed the quarantine keeps up to 32 MiB, and that of AddressSanitizer, which
    // has its options where `.ci/run` runs it, up to 256.
    let kept = if std::env::var_os("ASAN_OPTIONS").is_some() { (32 + 256) << 20 } else { 32 << 20 };
    let grown = rss_bytes().saturating_sub(rss_before);
    assert!(grown < kept + (16 << 20), "{grown} bytes more than before");
    assert!(threads() <= threads_before + 2, "{threads_before} threads became {}", threads());
    alone.end();
}
