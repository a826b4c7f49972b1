//! `FutureExt`: deadlines and cancellation as methods of every future.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use quoit_runtime::cancel_scope::{CancelScope, Stop};
use quoit_sync::{CancellationToken, WaitForCancellationFuture};
use quoit_time::{Instant, Sleep, Timeout, sleep_until, timeout, timeout_at};

/// Deadlines and cancellation as methods of every future.
///
/// | | when the time has come | what becomes of the future |
/// |---|---|---|
/// | [`timeout`](Self::timeout), [`timeout_at`](Self::timeout_at) | `Err(Elapsed)` | is dropped; sockets lose nothing |
/// | [`with_cancel`](Self::with_cancel), [`cancel_after`](Self::cancel_after), [`cancel_at`](Self::cancel_at) | the future's own output | its I/O is asked to stop, and it goes on |
/// | [`run_until_cancelled`](CancellationToken::run_until_cancelled) | `None` | is dropped |
pub trait FutureExt: Future {
    /// Gives this future up after `duration`; see [`timeout`](crate::time::timeout).
    ///
    /// # Cancel safety
    ///
    /// As for [`timeout`](crate::time::timeout).
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
    /// use quoit::FutureExt;
    ///
    /// quoit::block_on(async {
    ///     assert_eq!(async { 42 }.timeout(Duration::from_secs(5)).await, Ok(42));
    /// });
    /// ```
    #[track_caller]
    fn timeout(self, duration: Duration) -> Timeout<Self>
    where
        Self: Sized,
    {
        timeout(duration, self)
    }

    /// Gives this future up at `deadline`; see [`timeout_at`](crate::time::timeout_at).
    ///
    /// # Cancel safety
    ///
    /// As for [`timeout_at`](crate::time::timeout_at).
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
    /// use quoit::{FutureExt, time::Instant};
    ///
    /// quoit::block_on(async {
    ///     assert!(pending::<()>().timeout_at(Instant::now()).await.is_err());
    /// });
    /// ```
    #[track_caller]
    fn timeout_at(self, deadline: Instant) -> Timeout<Self>
    where
        Self: Sized,
    {
        timeout_at(deadline, self)
    }

    /// Asks the I/O inside of this future to stop when the token is cancelled.
    ///
    /// The future goes on, and gives its own output. Each operation that it waits for then ends with its true answer, and
    /// its buffer comes back: the result, if it was faster than the cancel; else an error that
    /// [`is_cancelled`](crate::is_cancelled) knows. Where a `write_all` or a `read_exact` was stopped midway,
    /// [`transferred`](crate::transferred) tells how much had been done. Operations that would begin afterwards don't:
    /// they give the error at once.
    ///
    /// It reaches what this future polls itself, also in `join!`, `select!` and `FuturesUnordered`; tasks that it spawns
    /// are not inside. Futures that are not I/O, such as a sleep or a channel, are not ended: that is what
    /// [`run_until_cancelled`](CancellationToken::run_until_cancelled) does.
    ///
    /// # Cancel safety
    ///
    /// As that of the future inside. A write that was stopped midway and is dropped before it has told how much is out
    /// breaks the sending side of its stream: nobody could go on from there.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit::net::{TcpListener, TcpStream};
    /// use quoit::sync::CancellationToken;
    /// use quoit::FutureExt;
    ///
    /// # quoit::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let token = CancellationToken::new();
    /// token.cancel();
    /// let (result, buf) = stream.read(Vec::with_capacity(100)).with_cancel(&token).await;
    /// assert!(quoit::is_cancelled(&result.unwrap_err()));
    /// assert_eq!(buf.capacity(), 100);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    fn with_cancel(self, token: &CancellationToken) -> WithCancel<'_, Self>
    where
        Self: Sized,
    {
        WithCancel { cancelled: token.cancelled(), scope: CancelScope::new(), future: self }
    }

    /// Asks the I/O inside of this future to stop after `duration`.
    ///
    /// As [`with_cancel`](Self::with_cancel), but the kind of the error is [`TimedOut`](std::io::ErrorKind::TimedOut).
    ///
    /// # Cancel safety
    ///
    /// As for [`with_cancel`](Self::with_cancel).
    ///
    /// # Panics
    ///
    /// Outside a runtime, at the caller's location.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// use quoit::FutureExt;
    /// use quoit::net::TcpListener;
    ///
    /// # quoit::block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let nobody = listener.accept().cancel_after(Duration::from_millis(1)).await;
    /// assert_eq!(nobody.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    fn cancel_after(self, duration: Duration) -> CancelAt<Self>
    where
        Self: Sized,
    {
        self.cancel_at(Instant::now() + duration)
    }

    /// Asks the I/O inside of this future to stop at `deadline`; see [`cancel_after`](Self::cancel_after).
    ///
    /// # Cancel safety
    ///
    /// As for [`with_cancel`](Self::with_cancel).
    ///
    /// # Panics
    ///
    /// Outside a runtime, at the caller's location.
    #[track_caller]
    fn cancel_at(self, deadline: Instant) -> CancelAt<Self>
    where
        Self: Sized,
    {
        CancelAt { deadline: sleep_until(deadline), scope: CancelScope::new(), future: self }
    }
}

impl<F: Future + ?Sized> FutureExt for F {}

pin_project! {
    /// The future of [`FutureExt::with_cancel`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct WithCancel<'a, F> {
        // Waits for the token.
        cancelled: WaitForCancellationFuture<'a>,
        // What the operations inside look at.
        scope: CancelScope,
        // What is asked to stop.
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for WithCancel<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !this.scope.is_cancelled_for_good() && Pin::new(this.cancelled).poll(cx).is_ready() {
            this.scope.cancel(Stop::Token);
        }
        this.scope.poll(cx, |cx| this.future.poll(cx))
    }
}

pin_project! {
    /// The future of [`FutureExt::cancel_after`] and [`FutureExt::cancel_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct CancelAt<F> {
        // Waits for the time.
        deadline: Sleep,
        // What the operations inside look at.
        scope: CancelScope,
        // What is asked to stop.
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for CancelAt<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !this.scope.is_cancelled_for_good() && Pin::new(this.deadline).poll(cx).is_ready() {
            this.scope.cancel(Stop::Clock);
        }
        this.scope.poll(cx, |cx| this.future.poll(cx))
    }
}
