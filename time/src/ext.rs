//! `FutureExt`: deadlines as methods of every future.

use std::time::Duration;

use crate::{Instant, Timeout, timeout, timeout_at};

/// Deadlines as methods of every future.
pub trait FutureExt: Future {
    /// Gives this future up after `duration`; see [`timeout`].
    ///
    /// # Cancel safety
    ///
    /// As for [`timeout`].
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
    /// use quoit_time::FutureExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// quoit_runtime::Runtime::new()?.block_on(async {
    ///     assert_eq!(async { 42 }.timeout(Duration::from_secs(5)).await, Ok(42));
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn timeout(self, duration: Duration) -> Timeout<Self>
    where
        Self: Sized,
    {
        timeout(duration, self)
    }

    /// Gives this future up at `deadline`; see [`timeout_at`].
    ///
    /// # Cancel safety
    ///
    /// As for [`timeout`].
    ///
    /// # Panics
    ///
    /// Outside a runtime, at the caller's location.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::pending;
    ///
    /// use quoit_time::{FutureExt, Instant};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// quoit_runtime::Runtime::new()?.block_on(async {
    ///     assert!(pending::<()>().timeout_at(Instant::now()).await.is_err());
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn timeout_at(self, deadline: Instant) -> Timeout<Self>
    where
        Self: Sized,
    {
        timeout_at(deadline, self)
    }
}

impl<F: Future + ?Sized> FutureExt for F {}
