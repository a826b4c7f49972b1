//! Tasks with a name.

use std::future::Future;

use crate::context;
use crate::handle::Handle;
use crate::spawn::spawn_on;
use crate::task::{JoinHandle, Origin, RemoteJoinHandle};

/// Spawns a task with a name, by which diagnoses call it.
///
/// # Examples
///
/// ```
/// quoit_runtime::block_on(async {
///     let task = quoit_runtime::task::Builder::new().name("accounts").spawn(async { 6 * 7 });
///     assert!(format!("{task:?}").contains("accounts"));
///     assert_eq!(task.await.expect("no panic"), 42);
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder spawns nothing by itself"]
pub struct Builder {
    name: Option<Box<str>>,
}

impl Builder {
    /// A task without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// The task's name. It need not be unlike others.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs a future as a task of this thread; see [`spawn`](crate::spawn).
    ///
    /// # Panics
    ///
    /// Outside a runtime, with the caller's location.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let origin = Origin { name: self.name, ..Origin::here() };
        context::with(|core| spawn_on(&core.executor, origin, future))
    }

    /// Has another runtime run a future as a task; see [`Handle::spawn`].
    #[track_caller]
    pub fn spawn_on<F, Fut>(self, make: F, runtime: &Handle) -> RemoteJoinHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        runtime.spawn_named(self.name, make)
    }
}
