//! `MissedTickBehavior`: when an interval ticks next, given how late it was. Pure.

use std::time::Duration;

use crate::Instant;

/// What an [`Interval`](crate::Interval) does about ticks that were due while nobody asked for them.
///
/// For a period of 10 ms and a pause between 15 and 47 ms, the ticks come at:
///
/// | | |
/// |---|---|
/// | `Burst` | 0, 10, *47, 47, 47*, 50, 60, ... |
/// | `Delay` | 0, 10, *47*, 57, 67, ... |
/// | `Skip`  | 0, 10, *47*, 50, 60, ... |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTickBehavior {
    /// Catches up: the ticks that were missed come one right after the other, and then the old schedule holds. The
    /// number of ticks over time is right.
    #[default]
    Burst,
    /// Starts a new schedule: the next tick is a full period after the late one was taken.
    ///
    /// A tick that is late by no more than 5 ms (or the period, if that is shorter) was not missed: the schedule stays,
    /// so that the wheel's lateness does not add up, and the next tick may follow sooner by that much.
    Delay,
    /// Leaves the missed ticks out: the next one is the first of the old schedule that is still to come.
    Skip,
}

impl MissedTickBehavior {
    /// When the next tick is due, after the one that was due at `scheduled` has been taken at `now`. `period` is not
    /// zero.
    pub(crate) fn next_tick(self, scheduled: Instant, now: Instant, period: Duration) -> Instant {
        let late = now.duration_since(scheduled);
        match self {
            MissedTickBehavior::Burst => scheduled + period,
            MissedTickBehavior::Delay if late <= LATENESS.min(period) => scheduled + period,
            MissedTickBehavior::Delay => now + period,
            MissedTickBehavior::Skip => now + (period - remainder(late, period)),
        }
    }
}

/// What is left of `duration` after as many whole periods as it holds.
fn remainder(duration: Duration, period: Duration) -> Duration {
    // The remainder is not longer than `duration`, a difference of two instants, which is a u64 of nanoseconds at most.
    let nanos = duration.as_nanos() % period.as_nanos();
    u64::try_from(nanos).map_or(Duration::ZERO, Duration::from_nanos)
}

/// How late a tick may be taken for reasons of the wheel's resolution and the machine's load, without having been
/// missed.
const LATENESS: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::MissedTickBehavior::{Burst, Delay, Skip};
    use super::*;

    /// A made-up schedule: when the next tick is due, in microseconds, if the tick due at 0 is taken after `late`.
    fn next_us(behavior: MissedTickBehavior, late_us: u64, period_us: u64) -> u128 {
        let start = Instant::now();
        let now = start + Duration::from_micros(late_us);
        (behavior.next_tick(start, now, Duration::from_micros(period_us)) - start).as_micros()
    }

    #[test]
    fn a_tick_taken_in_time_is_followed_by_one_a_period_later() {
        for behavior in [Burst, Delay, Skip] {
            assert_eq!(next_us(behavior, 0, 10_000), 10_000);
            assert_eq!(next_us(behavior, 1, 10_000), 10_000);
            assert_eq!(next_us(behavior, 5_000, 10_000), 10_000);
        }
    }

    #[test]
    fn burst_keeps_the_schedule_however_late_it_is() {
        for late in [9_999, 10_000, 37_000, 1_000_000_000] {
            assert_eq!(next_us(Burst, late, 10_000), 10_000);
        }
    }

    #[test]
    fn delay_counts_from_the_late_tick_beyond_the_wheel_s_lateness() {
        assert_eq!(next_us(Delay, 5_001, 10_000), 15_001);
        assert_eq!(next_us(Delay, 37_000, 10_000), 47_000);
    }

    #[test]
    fn delay_with_a_short_period_does_not_burst() {
        assert_eq!(next_us(Delay, 1_000, 1_000), 1_000);
        assert_eq!(next_us(Delay, 1_001, 1_000), 2_001);
        assert_eq!(next_us(Delay, 4_000, 1_000), 5_000);
    }

    #[test]
    fn skip_goes_on_at_the_next_tick_of_the_schedule_after_now() {
        assert_eq!(next_us(Skip, 9_999, 10_000), 10_000);
        assert_eq!(next_us(Skip, 10_000, 10_000), 20_000);
        assert_eq!(next_us(Skip, 37_000, 10_000), 40_000);
        assert_eq!(next_us(Skip, 40_000, 10_000), 50_000);
        assert_eq!(next_us(Skip, 4_300, 1_000), 5_000);
    }

    #[test]
    fn the_table_in_the_documentation_is_what_happens() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let period = Duration::from_millis(10);
        for (behavior, expected) in [
            (Burst, [0, 10, 47, 47, 47, 50, 60]),
            (Delay, [0, 10, 47, 57, 67, 77, 87]),
            (Skip, [0, 10, 47, 50, 60, 70, 80]),
        ] {
            let (mut scheduled, mut now) = (at(0), at(0));
            for millis in expected {
                now = now.max(scheduled);
                assert_eq!(now, at(millis), "{behavior:?}");
                scheduled = behavior.next_tick(scheduled, now, period);
                // The pause.
                if now == at(10) {
                    now = at(47);
                }
            }
        }
    }

    #[test]
    fn periods_and_times_at_the_ends_saturate() {
        let start = Instant::now();
        let late = start + Duration::from_secs(60);
        for behavior in [Burst, Delay, Skip] {
            assert!(behavior.next_tick(start, late, Duration::MAX).is_never());
            let last = behavior.next_tick(start, late, Duration::from_nanos(1));
            assert_eq!(last > late, behavior != Burst);
            assert!(behavior.next_tick(start - Duration::MAX, late, Duration::from_secs(1)) > start - Duration::MAX);
        }
    }

    #[test]
    fn burst_is_the_default() {
        assert_eq!(MissedTickBehavior::default(), Burst);
    }
}
