//! `on_complete`: an operation with a callback.

use std::future::{Future, IntoFuture};

use crate::context;
use crate::spawn::spawn_on;
use crate::task::{JoinHandle, Origin};

/// Runs an operation as a task, and then a callback with its output: for code that is written in callbacks.
///
/// The operation is any future that owns what it needs, such as `async move { stream.read(buf).await }`. The handle waits
/// for the callback; dropping it changes nothing, and [`abort`](JoinHandle::abort) ends the operation without a call.
///
/// # Panics
///
/// Outside a runtime, with the caller's location. A panic of the operation or of the callback stays in the task.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// quoit_runtime::block_on(async {
///     let answer = Rc::new(Cell::new(0));
///     let callback = {
///         let answer = Rc::clone(&answer);
///         move |output| answer.set(output)
///     };
///     quoit_runtime::task::on_complete(async { 6 * 7 }, callback).await.expect("no panic");
///     assert_eq!(answer.get(), 42);
/// });
/// ```
#[track_caller]
pub fn on_complete<F, C>(operation: F, callback: C) -> JoinHandle<()>
where
    F: IntoFuture,
    F::IntoFuture: 'static,
    C: FnOnce(F::Output) + 'static,
{
    let (origin, future) = (Origin::here(), operation.into_future());
    context::with(|core| spawn_on(&core.executor, origin, call(future, callback)))
}

async fn call<F: Future>(operation: F, callback: impl FnOnce(F::Output)) {
    callback(operation.await);
}
