//! `Timeout`: a future that is given up at a deadline.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use pin_project_lite::pin_project;

use crate::{Instant, Sleep, sleep_until};

/// Waits for `future`, but not for longer than `duration`.
///
/// The answer is `Ok` with the future's output, or [`Elapsed`] where its time was over first. The future is polled
/// before the clock is asked, so one that is ready at its first poll succeeds even with a duration of zero.
/// [`Duration::MAX`] is no limit. The time runs from this call.
///
/// A future that does not yield cannot be given up: the clock is asked only when it returns from a poll.
///
/// # Cancel safety
///
/// When the time is over, the answer is `Elapsed` and `future` is dropped with the `Timeout`: what that loses is what
/// dropping `future` loses. Pass `&mut future` to keep it. Dropping the `Timeout` drops the future and cancels the
/// timer.
///
/// # Panics
///
/// Outside a runtime, at the caller's location.
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::time::Duration;
///
/// use quoit_time::timeout;
///
/// # fn main() -> std::io::Result<()> {
/// quoit_runtime::Runtime::new()?.block_on(async {
///     assert_eq!(timeout(Duration::from_secs(5), async { 42 }).await, Ok(42));
///     assert!(timeout(Duration::from_millis(5), pending::<()>()).await.is_err());
/// });
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    timeout_at(Instant::now() + duration, future)
}

/// Waits for `future`, but not beyond `deadline`.
///
/// As [`timeout`], of which it has the guarantees; [`Instant::NEVER`] is no limit. A future that is ready at its first
/// poll succeeds even where the deadline has passed.
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
/// use std::io;
/// use std::time::Duration;
///
/// use quoit_time::{Instant, timeout_at};
///
/// # fn main() -> io::Result<()> {
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(5);
///     let answer: io::Result<()> = async { Ok(timeout_at(deadline, pending()).await?) }.await;
///     assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
/// });
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { sleep: sleep_until(deadline), future: future.into_future() }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a timeout does nothing unless it is awaited"]
    pub struct Timeout<F> {
        // The deadline. It is registered only if the future is pending, so a future that is ready at once costs no
        // timer.
        sleep: Sleep,
        // What is waited for.
        #[pin]
        future: F,
    }
}

impl<F> Timeout<F> {
    /// The future that is waited for.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future that is waited for, to change it.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Takes the future back, without its deadline.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The future first: what is done is done, even if it is late.
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// The time of a [`Timeout`] was over before its future was ready; or that of a
/// [`StreamTimeout`](crate::StreamTimeout) before there was an item.
///
/// It becomes an [`io::Error`] of the kind [`TimedOut`](io::ErrorKind::TimedOut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out: the deadline passed first")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_becomes_an_io_error_that_still_knows_it() {
        let error = io::Error::from(Elapsed(()));
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), Elapsed(()).to_string());
        assert_eq!(error.get_ref().and_then(|source| source.downcast_ref()), Some(&Elapsed(())));
    }
}
