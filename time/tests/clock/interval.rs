//! `Interval`: the schedule, late ticks, dropped ticks, resets.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use quoit_time::MissedTickBehavior::{Delay, Skip};
use quoit_time::{Instant, interval, interval_at, sleep, timeout};

use crate::{HOUR, SHORT, block_on, hog, poll_once};

#[test]
fn an_interval_ticks_at_once_and_then_on_schedule() {
    block_on(async {
        let mut interval = interval(SHORT);
        let first = interval.tick().await;
        for number in 1..=10 {
            let tick = interval.tick().await;
            assert_eq!(tick, first + SHORT * number);
            assert!(Instant::now() >= tick);
        }
        assert_eq!(interval.period(), SHORT);
    });
}

#[test]
fn an_interval_starts_when_it_is_told_to() {
    block_on(async {
        let start = Instant::now() + SHORT;
        let mut interval = interval_at(start, HOUR);
        assert_eq!(interval.tick().await, start);
        assert!(Instant::now() >= start);
        assert_eq!(poll_once(&mut pin!(interval.tick())), Poll::Pending);
    });
}

#[test]
fn a_late_interval_bursts_until_it_has_caught_up() {
    block_on(async {
        let mut interval = interval(SHORT);
        let first = interval.tick().await;
        hog(first + SHORT * 20);
        for number in 1..=20 {
            assert_eq!(poll_once(&mut pin!(interval.tick())), Poll::Ready(first + SHORT * number));
        }
        assert_eq!(interval.tick().await, first + SHORT * 21);
    });
}

#[test]
fn a_late_interval_delays_the_next_tick_by_a_period() {
    block_on(async {
        let mut interval = interval(SHORT);
        interval.set_missed_tick_behavior(Delay);
        assert_eq!(interval.missed_tick_behavior(), Delay);
        let first = interval.tick().await;
        let late = first + SHORT * 20;
        hog(late);
        assert_eq!(interval.tick().await, first + SHORT);
        assert!(interval.tick().await >= late + SHORT);
        assert!(Instant::now() >= late + SHORT);
    });
}

#[test]
fn a_late_interval_skips_what_it_missed_and_keeps_the_schedule() {
    block_on(async {
        let mut interval = interval(SHORT);
        interval.set_missed_tick_behavior(Skip);
        let first = interval.tick().await;
        let late = first + SHORT * 20;
        hog(late);
        assert_eq!(interval.tick().await, first + SHORT);
        let next = interval.tick().await;
        assert!(next > late);
        assert_eq!((next - first).as_nanos() % SHORT.as_nanos(), 0);
    });
}

#[test]
fn a_dropped_tick_is_not_lost() {
    block_on(async {
        let mut interval = interval(SHORT);
        let mut ticks = vec![interval.tick().await];
        // Polled and dropped over and over, some of them pending, some ready.
        while ticks.len() < 5 {
            drop(interval.tick());
            if let Poll::Ready(tick) = poll_once(&mut pin!(interval.tick())) {
                ticks.push(tick);
            }
            sleep(SHORT / 10).await;
        }
        ticks.push(interval.tick().await);
        assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == SHORT), "{ticks:?}");
    });
}

#[test]
fn a_reset_interval_starts_a_new_schedule() {
    block_on(async {
        let mut interval = interval(HOUR);
        interval.tick().await;
        assert_eq!(poll_once(&mut pin!(interval.tick())), Poll::Pending);

        let before = Instant::now();
        interval.reset_immediately();
        assert!(interval.tick().await >= before);

        let before = Instant::now();
        interval.reset_after(SHORT);
        assert!(interval.tick().await >= before + SHORT);

        let deadline = Instant::now() + SHORT;
        interval.reset_at(deadline);
        assert_eq!(interval.tick().await, deadline);

        interval.reset_immediately();
        interval.reset();
        assert_eq!(poll_once(&mut pin!(interval.tick())), Poll::Pending);
        interval.reset_after(Duration::MAX);
        assert_eq!(poll_once(&mut pin!(interval.tick())), Poll::Pending);
    });
}

#[test]
fn an_interval_without_end_ticks_once() {
    block_on(async {
        let mut interval = interval(Duration::MAX);
        interval.tick().await;
        assert_eq!(poll_once(&mut pin!(interval.tick())), Poll::Pending);
        assert!(timeout(SHORT, interval.tick()).await.is_err());
    });
}

#[test]
fn an_interval_is_a_stream_of_its_ticks() {
    block_on(async {
        let mut interval = interval(SHORT);
        let first = poll_fn(|cx| Pin::new(&mut interval).poll_next(cx)).await.expect("the ticks do not end");
        let second = poll_fn(|cx| Pin::new(&mut interval).poll_next(cx)).await.expect("the ticks do not end");
        assert_eq!(second, first + SHORT);
        assert_eq!(interval.size_hint(), (usize::MAX, None));
    });
}
