//! Spawning tasks on the current runtime.

use std::future::Future;
use std::panic::Location;

use crate::context;
use crate::executor::Executor;
use crate::task::{Id, JoinHandle, TaskCell};

/// Runs a future as a task of its own on this thread, which begins at once, whether or not the handle is awaited.
///
/// The future need not be `Send`. Dropping the handle detaches the task. Tasks that are left when the runtime is dropped are
/// dropped with it. A panic stays in its task: whoever joins it gets it as a [`JoinError`](crate::task::JoinError).
///
/// # Panics
///
/// Outside a runtime, with the caller's location.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let shared = Rc::new(21);
///     let task = quoit_runtime::spawn({
///         let shared = Rc::clone(&shared);
///         async move { *shared * 2 }
///     });
///     assert_eq!(task.await.expect("no panic"), 42);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let location = Location::caller();
    context::with(|core| spawn_on(&core.executor, location, future))
}

pub(crate) fn spawn_on<F>(executor: &Executor, location: &'static Location<'static>, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let id = Id::next();
    if executor.is_closed() {
        // The task ends before it begins.
        executor.refuse(future);
        return JoinHandle::new(TaskCell::<F>::refused(id, executor.root().bits(), location));
    }
    JoinHandle::new(executor.spawn(|key| TaskCell::new(id, key.bits(), location, future)))
}
