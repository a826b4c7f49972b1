//! Spawning tasks on the current runtime.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use crate::context;
use crate::executor::Executor;
use crate::task::{Here, Id, JoinError, JoinHandle, Origin, RemoteCell, TaskCell};

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
    let origin = Origin::here();
    context::with(|core| spawn_on(&core.executor, origin, future))
}

impl Origin {
    /// A task without a name, of the code that calls.
    #[inline]
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self { id: Id::next(), name: None, location: Location::caller() }
    }
}

pub(crate) fn spawn_on<F>(executor: &Executor, origin: Origin, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    if executor.is_closed() {
        // The task ends before it begins.
        executor.refuse(future);
        return JoinHandle::new(TaskCell::<F, _>::refused(origin, Here::new(), &executor.spares));
    }
    let task = TaskCell::make(origin, future, Here::new(), &executor.spares);
    executor.spawn(task.task());
    JoinHandle::new(task)
}

/// Runs a future on this thread's runtime as a task whose output goes to others.
pub(crate) fn spawn_for<F>(cell: &Arc<RemoteCell<F::Output>>, name: Option<Box<str>>, future: F)
where
    F: Future + 'static,
    F::Output: Send + 'static,
{
    context::with(|core| {
        let origin = Origin { id: cell.id(), name, location: cell.location() };
        if core.executor.is_closed() {
            core.executor.refuse(future);
            return cell.end(Err(JoinError::cancelled(origin.id)));
        }
        let task = TaskCell::make(origin, future, Arc::clone(cell), &core.executor.spares);
        core.executor.spawn(task.task());
        cell.became_task(task.task().key().bits());
    });
}
