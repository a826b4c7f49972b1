//! `Interval`: a tick each period.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use quoit_runtime::timer::Timer;

use crate::{Instant, MissedTickBehavior};

/// Ticks now, and then each `period`.
///
/// The ticks are on a schedule, so the time that the caller spends between two of them does not add up. What happens if
/// it is longer than the period, [`MissedTickBehavior`] says.
///
/// # Panics
///
/// Where `period` is zero, or outside a runtime, at the caller's location.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let mut interval = quoit_time::interval(Duration::from_millis(2));
///     let first = interval.tick().await;
///     let second = interval.tick().await;
///     assert_eq!(second - first, Duration::from_millis(2));
/// });
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and then each `period`.
///
/// A start in the past ticks at once; what becomes of the other ticks of the past, [`MissedTickBehavior`] says.
///
/// # Panics
///
/// Where `period` is zero, or outside a runtime, at the caller's location.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quoit_time::{Instant, interval_at};
///
/// # fn main() -> std::io::Result<()> {
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let start = Instant::now() + Duration::from_millis(5);
///     assert_eq!(interval_at(start, Duration::from_secs(1)).tick().await, start);
/// });
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval is not zero");
    Interval { timer: Timer::new(start), period, missed_tick_behavior: MissedTickBehavior::default() }
}

/// A tick each period; made by [`interval`] and [`interval_at`].
///
/// It is also a [`Stream`] of its ticks, which does not end.
pub struct Interval {
    /// Due at the next tick.
    timer: Timer,
    /// The time between two ticks of the schedule; not zero.
    period: Duration,
    /// How the schedule goes on after a late tick.
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick. The answer is the instant for which it was scheduled, which is not later than the
    /// present.
    ///
    /// # Cancel safety
    ///
    /// A tick is taken only when the future is ready. Dropping it before takes nothing: the next call waits for the
    /// same tick.
    ///
    /// # Examples
    ///
    /// See [`interval`].
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick, as [`tick`](Self::tick) does. Only the task of the last call is woken.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(self.timer.poll_elapsed(cx));
        let scheduled = self.timer.deadline();
        self.timer.reset(self.missed_tick_behavior.next_tick(scheduled, Instant::now(), self.period));
        Poll::Ready(scheduled)
    }

    /// Starts a new schedule: the next tick is one period from now.
    ///
    /// As with all the resets, whoever waits by [`poll_tick`](Self::poll_tick) has to poll again to be woken.
    pub fn reset(&mut self) {
        self.reset_at(Instant::now() + self.period);
    }

    /// Starts a new schedule: the next tick is now.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Starts a new schedule: the next tick is after `after`. [`Duration::MAX`] stops the ticks until another reset.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now() + after);
    }

    /// Starts a new schedule: the next tick is at `deadline`.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.timer.reset(deadline);
    }

    /// What is done about missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Changes what is done about missed ticks, from the next tick on.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }

    /// The time between two ticks of the schedule.
    pub fn period(&self) -> Duration {
        self.period
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval")
            .field("next_tick", &self.timer.deadline())
            .field("period", &self.period)
            .field("missed_tick_behavior", &self.missed_tick_behavior)
            .finish_non_exhaustive()
    }
}
