//! `Sleep`: deadlines, order, resets, drops.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use quoit_runtime::Runtime;
use quoit_time::{Instant, sleep, sleep_until};

use crate::{HOUR, SHORT, block_on, poll_once};

#[test]
fn a_sleep_is_never_early() {
    block_on(async {
        for micros in [1, 999, 1_000, 1_001, 2_500, 7_777] {
            let start = Instant::now();
            sleep(Duration::from_micros(micros)).await;
            assert!(start.elapsed() >= Duration::from_micros(micros), "a sleep of {micros} us was early");

            let deadline = Instant::now() + Duration::from_micros(micros);
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
    });
}

#[test]
fn a_sleep_of_zero_is_over_at_the_first_poll_and_stays_over() {
    block_on(async {
        for mut sleep in [sleep(Duration::ZERO), sleep_until(Instant::now()), sleep_until(Instant::now() - HOUR)] {
            assert!(sleep.is_elapsed());
            assert_eq!(poll_once(&mut sleep), Poll::Ready(()));
            assert_eq!(poll_once(&mut sleep), Poll::Ready(()));
        }
    });
}

#[test]
fn a_sleep_without_end_does_not_panic_and_does_not_end() {
    block_on(async {
        for mut never in [sleep(Duration::MAX), sleep_until(Instant::NEVER)] {
            assert!(never.deadline().is_never());
            assert_eq!(poll_once(&mut never), Poll::Pending);
            sleep(SHORT).await;
            assert_eq!(poll_once(&mut never), Poll::Pending);
            assert!(!never.is_elapsed());
        }
    });
}

#[test]
fn sleeps_wake_in_the_order_of_their_deadlines_and_equal_ones_in_that_of_their_polls() {
    struct Recorder(u32, Arc<Mutex<Vec<u32>>>);
    impl Wake for Recorder {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no test panics with it").push(self.0);
        }
    }
    // The attempt counts if the machine polled all of them before the first deadline.
    let attempt = |unit: Duration| {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now();
        block_on(async {
            let mut sleeps = Vec::new();
            for (number, units) in [(5, 3), (1, 1), (6, 4), (2, 2), (3, 2), (7, 4), (4, 2), (8, 5)] {
                let mut sleep = Box::pin(sleep_until(start + unit * units));
                let waker = Waker::from(Arc::new(Recorder(number, woken.clone())));
                if sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    return None;
                }
                sleeps.push(sleep);
            }
            sleep_until(start + unit * 6).await;
            for sleep in &mut sleeps {
                assert_eq!(poll_once(sleep), Poll::Ready(()));
            }
            Some(woken.lock().expect("no test panics with it").clone())
        })
    };
    let woken = [5, 50, 500, 5000].into_iter().find_map(|millis| attempt(Duration::from_millis(millis)));
    assert_eq!(woken, Some(vec![1, 2, 3, 4, 5, 6, 7, 8]));
}

#[test]
fn many_sleeps_all_end_and_none_is_early() {
    const COUNT: u32 = 2_000;
    let ended = Cell::new(0);
    block_on(async {
        let mut sleeps: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for number in 0..COUNT {
            let (deadline, ended) = (Instant::now() + Duration::from_micros(u64::from(number * 7919 % 20_000)), &ended);
            sleeps.push(Box::pin(async move {
                sleep_until(deadline).await;
                assert!(Instant::now() >= deadline);
                ended.set(ended.get() + 1);
            }));
        }
        join_all(sleeps).await;
    });
    assert_eq!(ended.get(), COUNT);
}

#[test]
fn a_sleep_wakes_the_waker_of_the_last_poll() {
    block_on(async {
        let mut sleep = sleep(SHORT);
        let _ = poll_once(&mut sleep);
        // Registered with a waker that does nothing; had it been kept, this would not return.
        sleep.await;
    });
}

#[test]
fn a_reset_moves_the_deadline_both_ways_and_rearms_an_ended_sleep() {
    block_on(async {
        let mut sleep = pin!(sleep(HOUR));
        assert_eq!(poll_once(&mut sleep), Poll::Pending);
        for _ in 0..3 {
            let deadline = Instant::now() + SHORT;
            sleep.as_mut().reset(deadline);
            assert_eq!(sleep.deadline(), deadline);
            sleep.as_mut().await;
            assert!(Instant::now() >= deadline);
            assert!(sleep.is_elapsed());
        }
        sleep.as_mut().reset(Instant::now() + HOUR);
        assert!(!sleep.is_elapsed());
        assert_eq!(poll_once(&mut sleep), Poll::Pending);
        sleep.as_mut().reset(Instant::NEVER);
        assert_eq!(poll_once(&mut sleep), Poll::Pending);
        sleep.as_mut().reset(Instant::now());
        assert_eq!(poll_once(&mut sleep), Poll::Ready(()));
    });
}

#[test]
fn a_reset_to_a_later_deadline_is_not_ended_by_the_old_one() {
    block_on(async {
        let mut postponed = sleep(SHORT);
        let _ = poll_once(&mut postponed);
        Pin::new(&mut postponed).reset(Instant::now() + HOUR);
        assert_eq!(poll_once(&mut postponed), Poll::Pending);
        sleep(SHORT * 3).await;
        assert_eq!(poll_once(&mut postponed), Poll::Pending);
    });
}

#[test]
fn dropped_and_forgotten_sleeps_do_not_disturb_the_others() {
    block_on(async {
        for _ in 0..100 {
            let mut dropped = sleep(SHORT);
            let _ = poll_once(&mut dropped);
            drop(dropped);
        }
        let mut forgotten = sleep(SHORT);
        let _ = poll_once(&mut forgotten);
        mem::forget(forgotten);
        let deadline = Instant::now() + SHORT * 2;
        sleep_until(deadline).await;
        assert!(Instant::now() >= deadline);
    });
}

#[test]
fn a_sleep_may_be_dropped_after_its_runtime() {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut outliving = runtime.block_on(async { [sleep(HOUR), sleep(HOUR), sleep(Duration::MAX)] });
    runtime.block_on(async { outliving.each_mut().map(|sleep| assert_eq!(poll_once(sleep), Poll::Pending)) });
    drop(runtime);
    drop(outliving);
}

#[test]
fn a_runtime_that_is_used_again_keeps_its_timers() {
    let runtime = Runtime::new().expect("a runtime starts");
    let [mut sleep] = runtime.block_on(async { [sleep(SHORT)] });
    let deadline = sleep.deadline();
    let _ = runtime.block_on(async { poll_once(&mut sleep) });
    runtime.block_on(&mut sleep);
    assert!(Instant::now() >= deadline);
}

/// Waits for all of the futures, in one task.
async fn join_all(mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
