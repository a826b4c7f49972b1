//! Timers: in the order of their deadlines, never early, gone with whoever dropped them.

mod support;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{metrics, spawn, task};
use quoit_testkit::{ManualWaker, Rng};
use support::{alone, end, end_idle, runtime};

const MANY: usize = 10_000;

async fn sleep_until(deadline: Instant) {
    let mut timer = Timer::new(deadline);
    poll_fn(|cx| timer.poll_elapsed(cx)).await;
}

fn poll_pending(timer: &mut Timer) {
    assert!(timer.poll_elapsed(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn ten_thousand_timers_wake_in_the_order_of_their_deadlines_and_never_early() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let order: Rc<RefCell<Vec<Instant>>> = Rc::default();
        let start = Instant::now();
        let mut rng = Rng::new(7);
        let tasks: Vec<_> = (0..MANY)
            .map(|_| {
                // Beyond the time that it takes to start them all, most often.
                let deadline = start + Duration::from_micros(200_000 + rng.below(300_000));
                let order = Rc::clone(&order);
                spawn(async move {
                    sleep_until(deadline).await;
                    assert!(Instant::now() >= deadline, "early");
                    order.borrow_mut().push(deadline);
                })
            })
            .collect();
        task::yield_now().await;
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!((order.borrow().len(), metrics().timers), (MANY, 0));
        // To the precision of a tick, 2^16 ns; those that were due before all had started may come as they will.
        let tick = Duration::from_nanos(1 << 16);
        let late = start + Duration::from_millis(400);
        let order: Vec<_> = order.borrow().iter().copied().filter(|deadline| *deadline > late).collect();
        assert!(order.len() > 1000);
        assert!(order.windows(2).all(|pair| pair[0] <= pair[1] + tick), "out of order");
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_dropped_timer_leaves_the_wheel_and_its_waker_is_dropped() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let waker = ManualWaker::new();
        let start = Instant::now();
        let mut timers: Vec<_> =
            (0..MANY as u64).map(|second| Timer::new(start + Duration::from_secs(60 + second))).collect();
        timers.iter_mut().for_each(|timer| assert!(timer.poll_elapsed(&mut waker.context()).is_pending()));
        assert_eq!((metrics().timers, waker.held()), (MANY, MANY));
        timers.truncate(MANY / 2);
        assert_eq!((metrics().timers, waker.held()), (MANY / 2, MANY / 2));
        timers.iter_mut().for_each(|timer| timer.reset(start));
        assert_eq!((metrics().timers, waker.held()), (0, 0));
        assert!(timers.iter_mut().all(|timer| timer.poll_elapsed(&mut waker.context()).is_ready()));
        assert_eq!(waker.count(), 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn never_does_not_come() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut never = Timer::new(Instant::NEVER);
        poll_pending(&mut never);
        assert_eq!(metrics().timers, 0);
        let mut overflowed = Timer::new(Instant::now() + Duration::MAX);
        poll_pending(&mut overflowed);
        sleep_until(Instant::now() + Duration::from_millis(2)).await;
        poll_pending(&mut never);
        assert!(!never.is_elapsed() && !overflowed.is_elapsed());
        // So far away that no clock will see it, and still a deadline.
        let mut far = Timer::new(Instant::now() + Duration::from_secs(400 * 365 * 24 * 3600));
        poll_pending(&mut far);
        sleep_until(Instant::now() + Duration::from_millis(2)).await;
        poll_pending(&mut far);
        assert_eq!(metrics().timers, 1);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn timers_that_wait_hold_up_no_shutdown() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        for _ in 0..MANY {
            drop(spawn(sleep_until(Instant::now() + Duration::from_secs(3600))));
        }
        task::yield_now().await;
        task::yield_now().await;
    });
    while runtime.metrics().timers < MANY {
        runtime.block_on(task::yield_now());
    }
    assert_eq!(end(runtime).tasks_dropped, MANY);
    alone.end();
}

#[test]
fn a_timer_that_outlives_its_runtime_is_never_early() {
    let alone = alone();
    let runtime = runtime();
    let (mut waiting, mut other) = runtime.block_on(async {
        let deadline = Instant::now() + Duration::from_secs(3600);
        let (mut waiting, mut other) = (Timer::new(deadline), Timer::new(deadline));
        poll_pending(&mut waiting);
        poll_pending(&mut other);
        (waiting, other)
    });
    end(runtime);
    assert!(!waiting.is_elapsed(), "an hour has not passed");
    // It moves to the runtime in which it is polled next.
    let next = support::runtime();
    next.block_on(async {
        poll_pending(&mut waiting);
        assert_eq!(metrics().timers, 1);
        waiting.reset(Instant::now() + Duration::from_millis(2));
        assert_eq!(metrics().timers, 0);
        poll_fn(|cx| waiting.poll_elapsed(cx)).await;
        assert!(waiting.is_elapsed() && Instant::now() >= waiting.deadline());
        other.reset(Instant::NEVER);
        poll_pending(&mut other);
        other.reset(Instant::now() + Duration::from_secs(3600));
        poll_pending(&mut other);
        assert_eq!(metrics().timers, 1);
        drop(other);
    });
    end_idle(next);
    // Outside of every runtime it still tells the time.
    assert_eq!(waiting.poll_elapsed(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    alone.end();
}

#[test]
fn a_timer_dropped_when_its_runtime_is_gone_takes_no_other_timer_along() {
    let alone = alone();
    let runtime = runtime();
    let waker = ManualWaker::new();
    let timers = runtime.block_on(async {
        let deadline = Instant::now() + Duration::from_secs(3600);
        let mut timers: Vec<_> = (0..100).map(|_| Timer::new(deadline)).collect();
        timers.iter_mut().for_each(|timer| assert!(timer.poll_elapsed(&mut waker.context()).is_pending()));
        timers
    });
    end(runtime);
    assert_eq!((waker.held(), waker.count()), (0, 0));
    let other = support::runtime();
    other.block_on(async {
        let mut sleeping = pin!(sleep_until(Instant::now() + Duration::from_millis(5)));
        assert!(waker.poll(sleeping.as_mut()).is_pending());
        drop(timers);
        sleeping.await;
    });
    end_idle(other);
    alone.end();
}

#[test]
fn a_timer_goes_on_in_the_runtime_that_polls_it() {
    let alone = alone();
    let (one, other) = (runtime(), runtime());
    let mut timer = one.block_on(async { Timer::new(Instant::now() + std::time::Duration::from_millis(5)) });
    let waker = quoit_testkit::ManualWaker::new();
    assert!(one.block_on(async { timer.poll_elapsed(&mut waker.context()).is_pending() }));
    assert_eq!(one.metrics().timers, 1);
    other.block_on(std::future::poll_fn(|cx| timer.poll_elapsed(cx)));
    assert_eq!((one.metrics().timers, other.metrics().timers), (0, 0));
    end(one);
    end(other);
    alone.end();
}
