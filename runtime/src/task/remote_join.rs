//! Waiting, from whatever thread and executor, for what another thread does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::context;
use crate::task::park::wait_for;
use crate::task::remote_cell::RemoteCell;
use crate::task::{AbortHandle, Id, JoinError};

/// Waits for what another thread does. Made by [`Handle::spawn`](crate::Handle::spawn), [`spawn_blocking`](crate::spawn_blocking)
/// and the like.
///
/// It is a future of the output, or of the [`JoinError`] that says why there is none: on whatever thread and executor, also
/// on none, by [`join_blocking`](Self::join_blocking). Dropping it detaches the work, which goes on.
///
/// # Cancel safety
///
/// A handle that is polled and not finished can be polled again later: `&mut handle` in a `select!` loses nothing.
///
/// # Panics
///
/// Polled again after it has given the output.
///
/// # Examples
///
/// ```
/// let sum = quoit_runtime::spawn_blocking(|| (1..=100_u32).sum::<u32>());
/// quoit_runtime::block_on(async { assert_eq!(sum.await.expect("no panic"), 5050) });
/// ```
#[must_use = "dropping a RemoteJoinHandle detaches its work; say so with `drop`, or await it"]
pub struct RemoteJoinHandle<T> {
    cell: Arc<RemoteCell<T>>,
}

impl<T> RemoteJoinHandle<T> {
    pub(crate) fn new(cell: Arc<RemoteCell<T>>) -> Self {
        Self { cell }
    }

    /// Has the end of the work wake this waker; `false` where it has ended.
    pub(crate) fn wake_at_end(&self, waker: &Waker) -> bool {
        self.cell.wake_at_end(waker)
    }

    /// Waits for the output on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// The [`JoinError`] that says why there is no output.
    ///
    /// # Panics
    ///
    /// Inside of a runtime, with the caller's location: its thread would stand still. Await the handle there.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_runtime::spawn_blocking(|| 6 * 7).join_blocking().expect("no panic"), 42);
    /// ```
    #[track_caller]
    pub fn join_blocking(self) -> Result<T, JoinError> {
        assert!(
            context::try_with(|_| ()).is_none(),
            "`join_blocking` was called inside of a runtime, which would stop everything else on this thread: await the handle",
        );
        wait_for(self)
    }

    /// Ends the work: what has not begun is dropped, a task ends at its next await. Blocking work that has begun goes on to
    /// its end. The handle answers a cancelled [`JoinError`] unless the work finished first.
    pub fn abort(&self) {
        self.cell.abort();
    }

    /// A handle that can only abort, from any thread.
    pub fn abort_handle(&self) -> AbortHandle
    where
        T: Send + 'static,
    {
        AbortHandle::elsewhere(self.cell.id(), Arc::<RemoteCell<T>>::clone(&self.cell))
    }

    /// Aborts the work and waits until it is gone. The output, if it had finished before.
    ///
    /// # Panics
    ///
    /// Where the work has panicked: the panic goes on here.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = quoit_runtime::Runtime::new()?;
    /// let endless = runtime.handle().spawn(std::future::pending::<u8>);
    /// assert_eq!(runtime.block_on(endless.cancel()), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn cancel(self) -> Option<T> {
        self.abort();
        match self.await {
            Ok(output) => Some(output),
            Err(error) if error.is_cancelled() => None,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The same handle, but dropping it aborts the work.
    pub fn abort_on_drop(self) -> RemoteAbortOnDrop<T> {
        RemoteAbortOnDrop { handle: self }
    }

    /// The work has ended: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.cell.has_ended()
    }

    /// The id of the task or job.
    pub fn id(&self) -> Id {
        self.cell.id()
    }
}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.cell.poll_take(cx)
    }
}

impl<T> Drop for RemoteJoinHandle<T> {
    fn drop(&mut self) {
        self.cell.detach();
    }
}

impl<T> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJoinHandle")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .field("spawned_at", &format_args!("{}", self.cell.location()))
            .finish()
    }
}

/// A [`RemoteJoinHandle`] that aborts its work when it is dropped. Made by [`RemoteJoinHandle::abort_on_drop`].
///
/// # Examples
///
/// ```
/// let runtime = quoit_runtime::Runtime::new()?;
/// let scoped = runtime.handle().spawn(std::future::pending::<()>).abort_on_drop();
/// assert!(!scoped.is_finished());
/// drop(scoped);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping it aborts the work at once"]
pub struct RemoteAbortOnDrop<T> {
    handle: RemoteJoinHandle<T>,
}

impl<T> RemoteAbortOnDrop<T> {
    /// The work has ended: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The id of the task or job.
    pub fn id(&self) -> Id {
        self.handle.id()
    }

    /// Ends the work, as [`RemoteJoinHandle::abort`].
    pub fn abort(&self) {
        self.handle.abort();
    }
}

impl<T> Future for RemoteAbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> Drop for RemoteAbortOnDrop<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl<T> fmt::Debug for RemoteAbortOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteAbortOnDrop").field("handle", &self.handle).finish()
    }
}
