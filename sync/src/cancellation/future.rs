//! Waiting for a token to be cancelled.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::waiters::Key;

use super::CancellationToken;

/// The future of [`CancellationToken::cancelled`]. Once ready it stays ready.
#[must_use = "it waits only when awaited"]
pub struct WaitForCancellationFuture<'a> {
    token: &'a CancellationToken,
    /// Its place among those who wait for the token.
    seat: Option<Key>,
}

impl<'a> WaitForCancellationFuture<'a> {
    pub(super) fn new(token: &'a CancellationToken) -> Self {
        Self { token, seat: None }
    }
}

impl Future for WaitForCancellationFuture<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.token.member.poll_cancelled(&mut self.seat, context)
    }
}

impl Drop for WaitForCancellationFuture<'_> {
    fn drop(&mut self) {
        self.token.member.leave(&mut self.seat);
    }
}

impl fmt::Debug for WaitForCancellationFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFuture").field("token", self.token).finish_non_exhaustive()
    }
}

/// The future of [`CancellationToken::cancelled_owned`]. Once ready it stays ready.
#[must_use = "it waits only when awaited"]
pub struct WaitForCancellationFutureOwned {
    token: CancellationToken,
    /// Its place among those who wait for the token.
    seat: Option<Key>,
}

impl WaitForCancellationFutureOwned {
    pub(super) fn new(token: CancellationToken) -> Self {
        Self { token, seat: None }
    }
}

impl Future for WaitForCancellationFutureOwned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { token, seat } = self.get_mut();
        token.member.poll_cancelled(seat, context)
    }
}

impl Drop for WaitForCancellationFutureOwned {
    fn drop(&mut self) {
        self.token.member.leave(&mut self.seat);
    }
}

impl fmt::Debug for WaitForCancellationFutureOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFutureOwned").field("token", &self.token).finish_non_exhaustive()
    }
}
