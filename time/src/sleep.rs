//! `Sleep`: one deadline as a future.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use quoit_runtime::timer::Timer;

use crate::Instant;

/// Waits for so long.
///
/// The time runs from this call, not from the first poll. A sleep of zero is over at once, without yielding; one of
/// [`Duration::MAX`] is never over.
///
/// # Cancel safety
///
/// Dropping the future cancels the timer, and nothing is lost. To go on with the same sleep in a loop around `select!`,
/// keep it and await `&mut sleep`.
///
/// # Panics
///
/// Outside a runtime, at the caller's location.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// quoit_runtime::Runtime::new()?.block_on(async {
///     quoit_time::sleep(Duration::from_millis(10)).await;
/// });
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`.
///
/// A deadline that has passed is reached at once, without yielding; [`Instant::NEVER`] is never reached. (Who has kept the
/// thread busy for more than 100 ms, without a look at the clock, may find a deadline of that time reached one turn later.)
///
/// # Cancel safety
///
/// As for [`sleep`].
///
/// # Panics
///
/// Outside a runtime, at the caller's location.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quoit_time::{Instant, sleep_until};
///
/// # fn main() -> std::io::Result<()> {
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(10);
///     sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { timer: Timer::new(deadline) }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// Once it is over it may be polled again and stays over, until it is [`reset`](Sleep::reset).
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    /// The deadline in the wheel of the runtime; it is there from the first poll on.
    timer: Timer,
}

impl Sleep {
    /// The instant at which the sleep is over.
    pub fn deadline(&self) -> Instant {
        self.timer.deadline()
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        self.timer.is_elapsed()
    }

    /// Sets another deadline, earlier or later, whether or not the old one has passed. Nothing is allocated.
    ///
    /// A task that waits for the sleep has to poll it again to be woken at the new deadline; in an `async` block the
    /// borrows see to that.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::time::Duration;
    ///
    /// use quoit_time::{Instant, sleep};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// quoit_runtime::Runtime::new()?.block_on(async {
    ///     let mut sleep = pin!(sleep(Duration::MAX));
    ///     sleep.as_mut().reset(Instant::now() + Duration::from_millis(1));
    ///     sleep.await;
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.get_mut().timer.reset(deadline);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_elapsed(cx)
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline()).finish_non_exhaustive()
    }
}
