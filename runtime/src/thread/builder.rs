//! What a thread with a runtime is started with.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::thread;

use crate::sys::affinity;
use crate::task::{EndOnDrop, Id, Origin, RemoteCell, RemoteJoinHandle};
use crate::thread::handle::ThreadHandle;
use crate::thread::start::start;

/// Starts a thread with a runtime, with other than the default settings.
///
/// # Examples
///
/// ```
/// let thread = quoit_runtime::thread::Builder::new()
///     .name("accounts")
///     .runtime(quoit_runtime::Runtime::builder().entries(64))
///     .spawn(|| async { std::thread::current().name().map(str::to_owned) })?;
/// assert_eq!(thread.join()?.as_deref(), Some("accounts"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    stack_bytes: Option<usize>,
    runtime: crate::Builder,
}

impl Builder {
    /// The default settings.
    pub fn new() -> Self {
        Self { name: String::from("quoit"), stack_bytes: None, runtime: crate::Builder::new() }
    }

    /// A name for the thread and its runtime; "quoit" by default. Linux shows the first 15 bytes of it.
    pub fn name(&mut self, name: &str) -> &mut Self {
        name.clone_into(&mut self.name);
        self.runtime.name(name);
        self
    }

    /// The size of the thread's stack in bytes; std's default by default.
    pub fn stack_size(&mut self, bytes: usize) -> &mut Self {
        self.stack_bytes = Some(bytes);
        self
    }

    /// The settings of the runtime, its name among them.
    pub fn runtime(&mut self, settings: &crate::Builder) -> &mut Self {
        self.runtime = settings.clone();
        self
    }

    /// Starts the thread; see [`spawn`](crate::thread::spawn). Returns when its runtime has been built.
    ///
    /// # Errors
    ///
    /// Where no thread can be started, and those of building a [runtime](crate::Builder::build).
    #[track_caller]
    pub fn spawn<F, Fut>(&self, make: F) -> io::Result<ThreadHandle<Fut::Output>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let mut thread = thread::Builder::new().name(self.name.clone());
        if let Some(bytes) = self.stack_bytes {
            thread = thread.stack_size(bytes);
        }
        let prepare = || {
            affinity::unpin_thread();
            Ok(())
        };
        let cell = RemoteCell::running(Id::next(), Location::caller());
        let (end, name) = (EndOnDrop(cell.clone()), self.name.clone().into_boxed_str());
        let (handle, thread) = start(thread, self.runtime.clone(), prepare, move |runtime| {
            let origin = Origin { id: end.0.id(), name: Some(name), location: end.0.location() };
            let task = runtime.spawn_as(origin, async move { make().await });
            end.0.became_task(task.key());
            let output = runtime.block_on(task);
            // Before the end shows, so that whoever joins finds everything released.
            drop(runtime);
            end.0.end(output);
        })?;
        Ok(ThreadHandle::new(RemoteJoinHandle::new(cell), handle, thread))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
