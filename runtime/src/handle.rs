//! Giving a runtime something to do, from whatever thread.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use crate::context;
use crate::executor::Executor;
use crate::executor::remote::Remote;
use crate::spawn::spawn_for;
use crate::task::{Id, Queued, RemoteCell, RemoteJoinHandle, Work};

/// Names a runtime, from whatever thread, and gives it things to do. Made by [`Runtime::handle`](crate::Runtime::handle) and
/// [`Handle::current`].
///
/// It keeps nothing alive: the runtime ends when its owner ends it.
///
/// # Examples
///
/// ```
/// let runtime = quoit_runtime::Runtime::new()?;
/// let handle = runtime.handle();
/// let thread = std::thread::spawn(move || handle.spawn(|| async { 6 * 7 }).join_blocking());
/// // The task runs while its runtime does.
/// runtime.block_on(async {
///     while !thread.is_finished() {
///         quoit_runtime::task::yield_now().await;
///     }
/// });
/// assert_eq!(thread.join().expect("no panic").expect("no panic"), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    remote: &'static Remote,
    /// Which of the runtimes that live in that place, one after another.
    tenant: u64,
}

impl Handle {
    pub(crate) fn new(executor: &Executor) -> Self {
        Self { remote: executor.remote(), tenant: executor.remote().tenant() }
    }

    /// The runtime of this thread.
    ///
    /// # Panics
    ///
    /// Outside a runtime, with the caller's location.
    #[track_caller]
    pub fn current() -> Self {
        context::with(|core| Self::new(&core.executor))
    }

    /// The runtime of this thread, if there is one.
    pub fn try_current() -> Option<Self> {
        context::try_with(|core| Self::new(&core.executor))
    }

    /// Has the runtime call `make` on its thread, and run the future that it makes as a task. The closure crosses threads, so
    /// it is `Send`; the future does not, and need not be.
    ///
    /// On a runtime that is gone, or that ends before the closure was called, the handle answers a cancelled
    /// [`JoinError`](crate::task::JoinError), and the closure is dropped. The queue to a runtime is unbounded and never waits:
    /// who gives it more than it can do should wait for some of the handles.
    ///
    /// # Examples
    ///
    /// See [`Handle`].
    #[track_caller]
    pub fn spawn<F, Fut>(&self, make: F) -> RemoteJoinHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.spawn_named(None, make)
    }

    #[track_caller]
    pub(crate) fn spawn_named<F, Fut>(&self, name: Option<Box<str>>, make: F) -> RemoteJoinHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        // The closure is called in the task's first poll, so that its panic stays in the task as well.
        let work: Work<Fut::Output> = Box::new(move |cell| spawn_for(cell, name, async move { make().await }));
        let cell = RemoteCell::new(Id::next(), Location::caller(), work);
        self.remote.begin(self.tenant, Queued::new(&cell));
        RemoteJoinHandle::new(cell)
    }

    /// How many tasks the runtime has, together with those that are on their way to it: as of its last turn, so not exact.
    /// 0 where it is gone.
    pub fn tasks(&self) -> usize {
        if self.is_closed() { 0 } else { self.remote.load() }
    }

    /// The runtime takes nothing any more: it is ending or gone.
    pub fn is_closed(&self) -> bool {
        !self.remote.is_open(self.tenant)
    }

    /// As [`tasks`](Self::tasks), without a lock. More than any runtime has where it takes nothing any more.
    pub(crate) fn load(&self) -> usize {
        self.remote.load()
    }
}

impl PartialEq for Handle {
    /// Whether both name the same runtime.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.remote, other.remote) && self.tenant == other.tenant
    }
}

impl Eq for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("tasks", &self.tasks())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
