//! A request to stop that reaches a whole tree of tasks: [`CancellationToken`].

mod family;
mod future;
mod guard;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::shim::Arc;

use self::family::Member;

pub use self::future::{WaitForCancellationFuture, WaitForCancellationFutureOwned};
pub use self::guard::DropGuard;

/// Tells tasks to stop.
///
/// Clones are the same token. A [child](Self::child_token) is cancelled with its parent, and may be cancelled alone. Dropping a
/// token cancels nothing, its children neither: they then belong to its parent. A token once cancelled stays so.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use quoit_sync::CancellationToken;
///
/// let server = CancellationToken::new();
/// let connection = server.child_token();
/// let stopping = server.clone();
/// std::thread::spawn(move || stopping.cancel());
/// connection.cancelled().await;
/// assert!(server.is_cancelled());
/// # }
/// ```
pub struct CancellationToken {
    /// Shared by the clones; it leaves the family with the last of them.
    member: Arc<Member>,
}

impl CancellationToken {
    /// Makes a token without a parent.
    pub fn new() -> Self {
        Self { member: Arc::new(Member::first()) }
    }

    /// Makes a token that is cancelled with this one. The child of a cancelled token is cancelled from the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::CancellationToken;
    ///
    /// let parent = CancellationToken::new();
    /// let [one, other] = [parent.child_token(), parent.child_token()];
    /// one.cancel();
    /// assert!(one.is_cancelled() && !other.is_cancelled() && !parent.is_cancelled());
    /// parent.cancel();
    /// assert!(other.is_cancelled() && parent.child_token().is_cancelled());
    /// ```
    #[must_use = "a child is for somebody to wait on"]
    pub fn child_token(&self) -> Self {
        Self { member: Arc::new(self.member.child()) }
    }

    /// Cancels the token and all that descend from it, and wakes who waits for them.
    ///
    /// When it returns they are all cancelled. Cancelling again does nothing.
    pub fn cancel(&self) {
        self.member.cancel();
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.member.is_cancelled()
    }

    /// Completes when the token is cancelled, at once if it is.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        WaitForCancellationFuture::new(self)
    }

    /// The same as [`cancelled`](Self::cancelled), in a future that keeps the token.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let token = quoit_sync::CancellationToken::new();
    /// let stopped = tokio::spawn(token.clone().cancelled_owned());
    /// token.cancel();
    /// stopped.await.expect("no panic");
    /// # }
    /// ```
    pub fn cancelled_owned(self) -> WaitForCancellationFutureOwned {
        WaitForCancellationFutureOwned::new(self)
    }

    /// Runs the future until it ends or the token is cancelled, which drops it and answers `None`.
    ///
    /// A token cancelled before the first poll keeps the future from running at all. Later, when both are ready at once, the
    /// future's result counts.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future it runs: it is as cancel safe as that.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let token = quoit_sync::CancellationToken::new();
    /// assert_eq!(token.run_until_cancelled(async { 5 }).await, Some(5));
    /// token.cancel();
    /// assert_eq!(token.run_until_cancelled(async { 5 }).await, None);
    /// # }
    /// ```
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        if self.is_cancelled() {
            return None;
        }
        let mut future = pin!(future);
        let mut cancelled = pin!(self.cancelled());
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => cancelled.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// Makes a guard that cancels the token when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let token = quoit_sync::CancellationToken::new();
    /// drop(token.clone().drop_guard());
    /// assert!(token.is_cancelled());
    /// ```
    pub fn drop_guard(self) -> DropGuard {
        DropGuard::new(self)
    }
}

impl Clone for CancellationToken {
    fn clone(&self) -> Self {
        Self { member: self.member.clone() }
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken").field("is_cancelled", &self.is_cancelled()).finish()
    }
}
