//! Threads that have a runtime of their own: one, or a set of them.
//!
//! A thread is told what to do by closures, which are `Send`; the futures that these make stay on it, and need not be.

mod builder;
mod handle;
mod members;
mod start;
mod workers;
mod workers_builder;

use std::future::Future;

pub use crate::thread::builder::Builder;
pub use crate::thread::handle::ThreadHandle;
pub use crate::thread::workers::Workers;
pub use crate::thread::workers_builder::WorkersBuilder;

/// Starts a thread with a runtime of its own, which calls `make` and runs the future that it makes.
///
/// When the future has ended, the runtime is shut down, and then the handle answers. Dropping the handle detaches the
/// thread.
///
/// # Panics
///
/// Where no thread can be started, or the kernel refuses a ring; [`Builder::spawn`] answers an error instead.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// let thread = quoit_runtime::thread::spawn(|| async {
///     let shared = Rc::new(21);
///     let task = quoit_runtime::spawn({
///         let shared = Rc::clone(&shared);
///         async move { *shared * 2 }
///     });
///     task.await.expect("no panic")
/// });
/// assert_eq!(thread.join().expect("no panic"), 42);
/// ```
#[track_caller]
pub fn spawn<F, Fut>(make: F) -> ThreadHandle<Fut::Output>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future + 'static,
    Fut::Output: Send + 'static,
{
    match Builder::new().spawn(make) {
        Ok(handle) => handle,
        Err(error) => panic!("no thread with a runtime could be started: {error}"),
    }
}
