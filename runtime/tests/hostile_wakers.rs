//! Wakers are anybody's code: they panic, they drop futures, they submit. Nobody else is harmed (I8).

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use quoit_runtime::op::{self, InFlight, Nop, ReadAt};
use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{spawn, task};
use quoit_testkit::{LiveBuffers, ManualWaker};
use support::{ALLOC, Buf, Event, alone, end, end_idle, hostile_waker, pipe, runtime, turns_until, write};

/// Polls a future once with this waker; it must not be ready.
fn poll_pending<F: Future + Unpin>(future: &mut F, waker: &std::task::Waker) {
    assert!(Pin::new(future).poll(&mut Context::from_waker(waker)).is_pending());
}

/// A shutdown that a panic leaves early would free memory that the kernel still writes to.
fn shutdown_survives(arm: impl FnOnce(std::task::Waker)) {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    let (read, feed) = pipe();
    let mut in_flight = None;
    runtime.block_on(async {
        let panics = Rc::new(Cell::new(true));
        let waker = hostile_waker(move |event| {
            if event == Event::Drop && panics.replace(false) {
                panic!("a waker's destructor panics");
            }
        });
        let waker = std::mem::ManuallyDrop::new(waker);
        arm(std::task::Waker::clone(&waker));
        in_flight = Some(op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX)));
    });
    let in_flight = in_flight.expect("submitted above");
    let report = catch_unwind(AssertUnwindSafe(|| runtime.shutdown(support::LONG)));
    if report.is_err() {
        // Dropped now, it would free the buffer, which the kernel still has.
        std::mem::forget(in_flight);
        panic!("the panic of a waker's destructor has left the shutdown: the operations were not drained");
    }
    assert!(report.expect("just looked at").is_clean());
    let answer = ManualWaker::new().poll(std::pin::pin!(in_flight));
    assert!(matches!(answer, Poll::Ready((Err(_), _))));
    drop((answer, feed, read));
    assert_eq!(live.live(), 0);
    alone.end();
}

#[test]
fn a_timers_waker_that_panics_when_it_is_dropped_does_not_stop_the_shutdown() {
    shutdown_survives(|waker| {
        let mut timer = Timer::new(Instant::now() + Duration::from_secs(3600));
        assert!(timer.poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
        std::mem::forget((timer, waker));
    });
}

#[test]
fn a_deferred_waker_that_panics_when_it_is_dropped_does_not_stop_the_shutdown() {
    // The future of `block_on` ends in this very poll, so that nobody wakes whom it has put off.
    shutdown_survives(|waker| {
        let mut yielding = Box::pin(task::yield_now());
        poll_pending(&mut yielding, &waker);
        std::mem::forget(waker);
    });
}

#[test]
fn a_joiners_waker_that_panics_when_woken_harms_nobody() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let woken = Rc::new(Cell::new(false));
        let other = spawn({
            let woken = Rc::clone(&woken);
            async move { turns_until(|| woken.get()).await }
        });
        let mut task = spawn(async {});
        let waker = hostile_waker({
            let woken = Rc::clone(&woken);
            move |event| {
                if event == Event::Wake {
                    woken.set(true);
                    panic!("a joiner's waker panics");
                }
            }
        });
        poll_pending(&mut task, &waker);
        other.await.expect("goes on");
        assert!(task.await.is_ok());
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn an_ops_waker_that_panics_when_woken_harms_nobody() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let waker = hostile_waker(|event| assert_ne!(event, Event::Wake, "an op's waker panics"));
        let mut ops: Vec<_> = (0..10).map(|_| op::submit(Nop::new())).collect();
        ops.iter_mut().for_each(|nop| poll_pending(nop, &waker));
        let mut timer = Timer::new(Instant::now() + Duration::from_millis(1));
        assert!(timer.poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
        for nop in ops {
            nop.await.expect("a nop");
        }
        poll_fn(|cx| timer.poll_elapsed(cx)).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_waker_that_drops_futures_and_submits_when_woken_harms_nobody() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let victims: Vec<InFlight<ReadAt<Buf>>> =
            (0..100).map(|_| op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX))).collect();
        let victims = Rc::new(RefCell::new(victims));
        let woken = Rc::new(Cell::new(0));
        let fresh = Rc::new(RefCell::new(Vec::new()));
        let waker = hostile_waker({
            let (victims, woken, fresh) = (Rc::clone(&victims), Rc::clone(&woken), Rc::clone(&fresh));
            move |event| {
                if event == Event::Wake {
                    woken.set(woken.get() + 1);
                    let gone = victims.borrow_mut().pop();
                    drop(gone);
                    let more = op::submit(Nop::new());
                    fresh.borrow_mut().push(more);
                }
            }
        });
        let mut nops: Vec<_> = (0..100).map(|_| op::submit(Nop::new())).collect();
        nops.iter_mut().for_each(|nop| poll_pending(nop, &waker));
        turns_until(|| woken.get() == 100).await;
        assert!(victims.borrow().is_empty());
        for nop in nops {
            nop.await.expect("a nop");
        }
        let fresh = fresh.take();
        assert_eq!(fresh.len(), 100);
        for nop in fresh {
            nop.await.expect("a nop");
        }
        turns_until(|| live.live() == 0).await;
        drop((feed, read));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_waker_that_submits_when_it_is_cloned_and_dropped_harms_nobody() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let steps = Rc::new(Cell::new(0));
        let waker = hostile_waker({
            let steps = Rc::clone(&steps);
            move |_| {
                steps.set(steps.get() + 1);
                drop(op::submit(Nop::new()));
                drop(spawn(async {}));
            }
        });
        let manual = ManualWaker::new();
        let (read, feed) = pipe();
        let mut reading = op::submit(ReadAt::new(read.clone(), Vec::with_capacity(128), u64::MAX));
        let mut timer = Timer::new(Instant::now() + Duration::from_secs(3600));
        let mut joined = spawn(std::future::pending::<()>());
        for _ in 0..50 {
            for waker in [&waker, &manual.waker()] {
                let mut cx = Context::from_waker(waker);
                assert!(Pin::new(&mut reading).poll(&mut cx).is_pending());
                assert!(timer.poll_elapsed(&mut cx).is_pending());
                assert!(Pin::new(&mut joined).poll(&mut cx).is_pending());
                let mut yielding = Box::pin(task::yield_now());
                assert!(yielding.as_mut().poll(&mut cx).is_pending());
            }
        }
        // 50 rounds of a clone in four places, most of which are dropped for the next one.
        assert!(steps.get() >= 200, "{}", steps.get());
        joined.abort();
        assert!(joined.await.expect_err("aborted").is_cancelled());
        write(&feed, b"x");
        let (result, bytes) = reading.await;
        assert_eq!((result.expect("written"), bytes), (1, b"x".to_vec()));
        drop((timer, feed, read));
        let before = steps.get();
        drop(waker);
        assert_eq!(steps.get(), before + 1);
        turns_until(|| quoit_runtime::metrics().operations == 0 && quoit_runtime::metrics().tasks == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_waker_that_cancels_its_own_op_when_it_is_cloned_still_learns_the_end() {
    let alone = alone();
    let runtime = runtime();
    let (read, feed) = pipe();
    runtime.block_on(async {
        let lane = op::Lane::new();
        let driver = Rc::clone(read.driver());
        let first = op::submit_to(&driver, Some(&lane), ReadAt::new(read.clone(), vec![0_u8; 0], 0));
        assert!(first.await.0.is_err(), "a buffer without room is refused");
        let mut reading =
            op::submit_to(&driver, Some(&lane), ReadAt::new(read.clone(), Vec::with_capacity(128), u64::MAX));
        let woken = Rc::new(Cell::new(false));
        let waker = hostile_waker({
            let (driver, lane, woken) = (Rc::clone(&driver), lane.clone(), Rc::clone(&woken));
            move |event| match event {
                Event::Clone => driver.cancel_active(&lane),
                Event::Wake => woken.set(true),
                Event::Drop => {}
            }
        });
        poll_pending(&mut reading, &waker);
        turns_until(|| woken.get()).await;
        let (result, _) = reading.await;
        assert_eq!(result.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
        assert!(lane.is_idle());
    });
    drop(read);
    end_idle(runtime);
    drop(feed);
    alone.end();
    assert!(ALLOC.check().is_ok());
}

#[test]
fn a_waker_that_ends_its_own_op_when_it_is_cloned_still_learns_the_end() {
    let alone = alone();
    let runtime = runtime();
    let (read, feed) = pipe();
    runtime.block_on(async {
        let lane = op::Lane::new();
        let driver = Rc::clone(read.driver());
        let at =
            || op::submit_to(&driver, Some(&lane), ReadAt::new(read.clone(), Vec::<u8>::with_capacity(8), u64::MAX));
        // The second waits behind the first: to cancel it ends it on the spot.
        let (first, mut second) = (at(), at());
        let woken = Rc::new(Cell::new(false));
        let waker = hostile_waker({
            let (driver, lane, woken) = (Rc::clone(&driver), lane.clone(), Rc::clone(&woken));
            move |event| match event {
                Event::Clone => driver.cancel_parked(&lane),
                Event::Wake => woken.set(true),
                Event::Drop => {}
            }
        });
        poll_pending(&mut second, &waker);
        assert!(woken.get(), "it ended before anybody could have been told");
        let (result, _) = second.await;
        assert_eq!(result.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
        write(&feed, b"x");
        assert_eq!(first.await.0.expect("written"), 1);
        assert!(lane.is_idle());
    });
    drop(read);
    end_idle(runtime);
    drop(feed);
    alone.end();
}

#[test]
fn an_ops_waker_that_panics_when_it_is_dropped_with_its_slot_does_not_take_the_answer_along() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let driver = Rc::clone(read.driver());
        let panics = Rc::new(Cell::new(false));
        let waker = hostile_waker({
            let panics = Rc::clone(&panics);
            move |event| match event {
                // The op ends before it has a waker, which is left in its slot.
                Event::Clone => driver.hurry(),
                Event::Wake => {}
                Event::Drop => assert!(!panics.take(), "an op's waker panics"),
            }
        });
        // Closed once; a descriptor that was closed and nobody knows it would be closed again.
        let (closed, _feed) = std::io::pipe().expect("a pipe");
        let mut closing = op::submit(op::Close::new(closed.into()));
        poll_pending(&mut closing, &waker);
        panics.set(true);
        closing.await.expect("it is closed");
        assert!(!panics.get(), "the waker was not in the slot");
        drop((feed, read));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_waker_whose_clone_brings_about_what_it_waits_for_is_woken() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let (lane, driver) = (op::Lane::new(), Rc::clone(read.driver()));
        let nop = op::submit_to(&driver, Some(&lane), Nop::new());
        let woken = Rc::new(Cell::new(0));
        let waker = hostile_waker({
            let (driver, woken) = (Rc::clone(&driver), Rc::clone(&woken));
            move |event| match event {
                Event::Clone => driver.hurry(),
                Event::Wake => woken.set(woken.get() + 1),
                Event::Drop => {}
            }
        });
        let place = lane.place();
        assert!(lane.poll_idle(&mut Context::from_waker(&waker), &place).is_pending());
        assert_eq!((lane.is_idle(), woken.get()), (true, 1));
        nop.await.expect("a nop");
        assert!(lane.poll_idle(&mut Context::from_waker(&waker), &place).is_ready());
        drop((feed, read));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_waker_whose_clone_drops_the_other_owner_of_a_descriptor_does_not_wait_for_it() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let other = RefCell::new(Some(read.clone()));
        let waker = hostile_waker(move |event| {
            if event == Event::Clone {
                drop(other.take());
            }
        });
        assert!(read.poll_unshared(&mut Context::from_waker(&waker)).is_ready());
        drop((feed, read));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn an_idle_lane_wakes_the_others_when_one_waker_panics() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let lane = op::Lane::new();
        let driver = Rc::clone(read.driver());
        let reading = op::submit_to(&driver, Some(&lane), ReadAt::new(read.clone(), Vec::with_capacity(128), u64::MAX));
        let panicking = hostile_waker(|event| assert_ne!(event, Event::Wake, "the waker of an idle lane panics"));
        let manual = ManualWaker::new();
        let places = (lane.place(), lane.place());
        assert!(lane.poll_idle(&mut Context::from_waker(&panicking), &places.0).is_pending());
        assert!(lane.poll_idle(&mut manual.context(), &places.1).is_pending());
        driver.cancel_active(&lane);
        let (result, _) = reading.await;
        assert_eq!(result.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
        turns_until(|| manual.count() == 1).await;
        drop((feed, read));
        turns_until(|| quoit_runtime::metrics().operations == 0).await;
    });
    let report = end(runtime);
    assert_eq!(report.tasks_dropped, 0);
    alone.end();
}
