//! Waiting for a thread that has a runtime of its own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use crate::handle::Handle;
use crate::task::{AbortHandle, Id, JoinError, RemoteAbortOnDrop, RemoteJoinHandle};

/// Waits for a thread that has a runtime of its own. Made by [`thread::spawn`](crate::thread::spawn).
///
/// It is a future of the output, on whatever thread and executor; [`join`](Self::join) is for plain threads. Dropping it
/// detaches the thread, which goes on.
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
/// let thread = quoit_runtime::thread::spawn(std::future::pending::<()>);
/// quoit_runtime::block_on(async {
///     assert_eq!(thread.cancel().await, None);
/// });
/// ```
#[must_use = "dropping a ThreadHandle detaches its thread; say so with `drop`, or await it"]
pub struct ThreadHandle<T> {
    task: RemoteJoinHandle<T>,
    runtime: Handle,
    thread: thread::JoinHandle<()>,
}

impl<T> ThreadHandle<T> {
    pub(super) fn new(task: RemoteJoinHandle<T>, runtime: Handle, thread: thread::JoinHandle<()>) -> Self {
        Self { task, runtime, thread }
    }

    /// Waits for the end of the thread, on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// The [`JoinError`] that says why there is no output.
    ///
    /// # Panics
    ///
    /// Inside of a runtime, with the caller's location: its thread would stand still. Await the handle there.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        let output = self.task.join_blocking();
        // All that is left of it is the end of the thread itself, and it has told of its panic by a cancelled task.
        let _ = self.thread.join();
        output
    }

    /// Gives the runtime of the thread more to do. It ends with the future that the thread was started for.
    pub fn handle(&self) -> Handle {
        self.runtime.clone()
    }

    /// Ends the future of the thread at its next await, and so the thread. The handle answers a cancelled [`JoinError`]
    /// unless the future finishes first.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// A handle that can only abort, from any thread.
    pub fn abort_handle(&self) -> AbortHandle
    where
        T: Send + 'static,
    {
        self.task.abort_handle()
    }

    /// Aborts the future of the thread and waits until that and the runtime are gone. The output, if it had finished before.
    ///
    /// # Panics
    ///
    /// Where it has panicked: the panic goes on here.
    pub async fn cancel(self) -> Option<T> {
        self.task.cancel().await
    }

    /// The same handle, but dropping it aborts the future of the thread.
    pub fn abort_on_drop(self) -> RemoteAbortOnDrop<T> {
        self.task.abort_on_drop()
    }

    /// The thread has ended but for the last steps: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// The id of the task that the future of the thread is.
    pub fn id(&self) -> Id {
        self.task.id()
    }
}

impl<T> Future for ThreadHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx)
    }
}

impl<T> fmt::Debug for ThreadHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadHandle")
            .field("thread", &self.thread.thread().name().unwrap_or_default())
            .field("task", &self.task)
            .finish()
    }
}
