//! Sleeps, timeouts and intervals on a clock that stands, to the nanosecond.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use quoit_time::MissedTickBehavior::{Burst, Delay, Skip};
use quoit_time::{Instant, advance, interval, pause, resume, sleep, timeout};

use crate::{HOUR, block_on};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_hour_takes_no_time_and_is_an_hour() {
    block_on(async {
        pause();
        let start = Instant::now();
        sleep(HOUR).await;
        assert_eq!(start.elapsed(), HOUR);
        assert!(timeout(HOUR, pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), HOUR * 2);
        assert_eq!(timeout(HOUR, sleep(HOUR)).await, Ok(()), "the future is asked first");
        assert!(timeout(HOUR - Duration::from_nanos(1), sleep(HOUR)).await.is_err());
        resume();
    });
}

#[test]
fn missed_ticks_come_as_each_behaviour_says() {
    block_on(async {
        pause();
        for (behavior, expected) in
            [(Burst, [0, 1, 2, 3, 4, 5, 6]), (Delay, [0, 1, 4, 5, 6, 7, 8]), (Skip, [0, 1, 4, 5, 6, 7, 8])]
        {
            let mut interval = interval(SECOND);
            interval.set_missed_tick_behavior(behavior);
            let start = Instant::now();
            let mut ticks = vec![(interval.tick().await - start).as_secs()];
            // Late for three ticks and a half.
            advance(SECOND * 7 / 2).await;
            for _ in 1..7 {
                ticks.push((interval.tick().await - start).as_secs());
            }
            assert_eq!(ticks, expected, "{behavior:?}");
            let late = if matches!(behavior, Delay) { SECOND / 2 } else { Duration::ZERO };
            assert_eq!(start.elapsed(), SECOND * u32::try_from(expected[6]).expect("small") + late, "{behavior:?}");
        }
    });
}

#[test]
fn a_reset_sleep_ends_at_its_new_deadline() {
    block_on(async {
        pause();
        let start = Instant::now();
        let mut sleep = pin!(sleep(HOUR));
        advance(HOUR / 2).await;
        sleep.as_mut().reset(start + HOUR * 2);
        advance(HOUR).await;
        assert!(!sleep.is_elapsed());
        sleep.await;
        assert_eq!(start.elapsed(), HOUR * 2);
    });
}
