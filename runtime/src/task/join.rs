//! Waiting for a task, ending it, and what became of it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::executor;
use crate::task::remote_cell::AnyCell;
use crate::task::{Here, Id, Owner};

/// Waits for a task of this thread. Made by [`spawn`](crate::spawn).
///
/// It is a future of the task's output, or of the [`JoinError`] that says why there is none. Dropping it detaches the task,
/// which goes on. The handle cannot leave its thread, so joining costs no atomic operation.
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
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let task = quoit_runtime::spawn(async { 6 * 7 });
///     assert_eq!(task.await.expect("no panic"), 42);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping a JoinHandle detaches its task; say so with `drop`, or await it"]
pub struct JoinHandle<T> {
    task: Owner<Here<T>>,
}

impl<T> JoinHandle<T> {
    #[inline]
    pub(crate) fn new(task: Owner<Here<T>>) -> Self {
        Self { task }
    }

    /// Ends the task at its next await: its future is dropped, and the handle answers a cancelled [`JoinError`], unless
    /// the task finishes first.
    ///
    /// # Examples
    ///
    /// ```
    /// quoit_runtime::Runtime::new()?.block_on(async {
    ///     let endless = quoit_runtime::spawn(std::future::pending::<()>());
    ///     endless.abort();
    ///     assert!(endless.await.unwrap_err().is_cancelled());
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn abort(&self) {
        executor::abort(self.key(), self.id());
    }

    /// Has the end of the task wake this waker; `false` where it has ended.
    pub(crate) fn wake_at_end(&self, waker: &Waker) -> bool {
        let goes_on = !self.task.task().has_ended();
        if goes_on {
            self.task.set_joiner(waker);
        }
        goes_on
    }

    /// The executor's key of the task.
    pub(crate) fn key(&self) -> u64 {
        self.task.task().key().bits()
    }

    /// A handle that can only abort, from any thread.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { id: self.id(), target: AbortTarget::Here { key: self.key() } }
    }

    /// Aborts the task and waits until its future is dropped. The output, if it had finished before.
    ///
    /// # Panics
    ///
    /// Where the task has panicked: the panic goes on here.
    ///
    /// # Examples
    ///
    /// ```
    /// quoit_runtime::Runtime::new()?.block_on(async {
    ///     assert_eq!(quoit_runtime::spawn(std::future::pending::<u8>()).cancel().await, None);
    /// });
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

    /// The same handle, but dropping it aborts the task.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop { handle: self }
    }

    /// The task has ended: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.task.task().has_ended()
    }

    /// The task's id.
    pub fn id(&self) -> Id {
        self.task.task().origin().id
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.poll_output(cx.waker()).map(|output| match output {
            Some(output) => output,
            None => polled_again(),
        })
    }
}

#[cold]
fn polled_again() -> ! {
    panic!("`JoinHandle` polled after it had completed")
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.task.task().origin().name.as_deref().unwrap_or_default())
            .field("is_finished", &self.is_finished())
            .field("spawned_at", &format_args!("{}", self.task.task().origin().location))
            .finish()
    }
}

/// A [`JoinHandle`] that aborts its task when it is dropped. Made by [`JoinHandle::abort_on_drop`].
///
/// # Examples
///
/// ```
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let scoped = quoit_runtime::spawn(std::future::pending::<()>()).abort_on_drop();
///     assert!(!scoped.is_finished());
///     drop(scoped);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping it aborts the task at once"]
pub struct AbortOnDrop<T> {
    handle: JoinHandle<T>,
}

impl<T> AbortOnDrop<T> {
    /// The task has ended: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The task's id.
    pub fn id(&self) -> Id {
        self.handle.id()
    }

    /// Ends the task at its next await, as [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.handle.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        if !self.handle.is_finished() {
            self.handle.abort();
        }
    }
}

impl<T> fmt::Debug for AbortOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortOnDrop").field("handle", &self.handle).finish()
    }
}

/// Aborts a task, from any thread. Made by [`JoinHandle::abort_handle`] and
/// [`RemoteJoinHandle::abort_handle`](crate::task::RemoteJoinHandle::abort_handle).
#[derive(Clone)]
pub struct AbortHandle {
    id: Id,
    target: AbortTarget,
}

#[derive(Clone)]
enum AbortTarget {
    /// A task whose executor knows it by this key.
    Here { key: u64 },
    /// What was given to another thread, and may not be a task yet.
    Elsewhere(Arc<dyn AnyCell>),
}

impl AbortHandle {
    pub(crate) fn elsewhere(id: Id, cell: Arc<dyn AnyCell>) -> Self {
        Self { id, target: AbortTarget::Elsewhere(cell) }
    }

    /// Ends the task at its next await. Does nothing to a task that has ended, or whose runtime is gone.
    pub fn abort(&self) {
        match &self.target {
            AbortTarget::Here { key } => executor::abort(*key, self.id),
            AbortTarget::Elsewhere(cell) => cell.abort(),
        }
    }

    /// The task's id.
    pub fn id(&self) -> Id {
        self.id
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a task gave no output: it was cancelled, or it panicked.
///
/// # Examples
///
/// ```
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let error = quoit_runtime::spawn(async { panic!("stays in its task") }).await.map(|()| ()).unwrap_err();
///     assert_eq!(*error.into_panic().downcast::<&str>().expect("a str"), "stays in its task");
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct JoinError {
    id: Id,
    cause: Cause,
}

enum Cause {
    Cancelled,
    /// The payload; in a mutex only so that the error is `Sync`, as errors should be, and in a box
    /// of its own so that outputs are not longer for it.
    Panicked(Box<Mutex<Box<dyn Any + Send>>>),
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> Self {
        Self { id, cause: Cause::Cancelled }
    }

    pub(crate) fn panic(id: Id, payload: Box<dyn Any + Send>) -> Self {
        Self { id, cause: Cause::Panicked(Box::new(Mutex::new(payload))) }
    }

    /// The task was aborted, or its runtime was shut down.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// The task panicked.
    pub fn is_panic(&self) -> bool {
        !self.is_cancelled()
    }

    /// What the task panicked with.
    ///
    /// # Panics
    ///
    /// Where it was cancelled; see [`try_into_panic`](Self::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic().expect("the task was cancelled, it did not panic")
    }

    /// What the task panicked with.
    ///
    /// # Errors
    ///
    /// Gives `self` back where it was cancelled.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.cause {
            Cause::Panicked(payload) => Ok(payload.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)),
            Cause::Cancelled => Err(self),
        }
    }

    /// The task's id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The text that the task panicked with, where it is one.
    fn message(&self) -> Option<String> {
        let Cause::Panicked(payload) = &self.cause else { return None };
        let payload = payload.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).map(str::to_owned)
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_cancelled(), self.message()) {
            (true, _) => write!(f, "task {} was cancelled", self.id),
            (false, Some(message)) => write!(f, "task {} panicked with message {message:?}", self.id),
            (false, None) => write!(f, "task {} panicked", self.id),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_cancelled(), self.message()) {
            (true, _) => write!(f, "JoinError::Cancelled({:?})", self.id),
            (false, message) => write!(f, "JoinError::Panic({:?}, {message:?})", self.id),
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}
