//! Threads for calls that block, such as name resolution: they never hold up the thread of a ring.
//!
//! One crew (`crew.rs`) serves the whole process. It grows with the work up to a cap, beyond which work queues; a thread
//! without work goes away after a while.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::context;
use crate::crew::{Crew, Plan};
use crate::driver::shield;
use crate::sim;
use crate::sys::affinity;
use crate::task::{Id, JoinError, Queued, RemoteCell, RemoteJoinHandle, Work};

/// Runs `work` on a thread where it may block, beside the threads of the runtimes. The handle gives its result on whatever
/// thread and executor.
///
/// Up to 512 threads do such work in a process, and it waits its turn beyond that. Work that waits can be aborted; work that
/// has begun goes on to its end. A thread without work goes away after a while. None is pinned to a core. In a simulation the
/// work is done on the spot.
///
/// # Panics
///
/// Where there is no thread yet and none could be started. A panic of the work is a [`JoinError`].
///
/// # Examples
///
/// ```
/// quoit_runtime::block_on(async {
///     let name = quoit_runtime::spawn_blocking(|| std::fs::read_to_string("/proc/self/comm")).await;
///     assert!(name.expect("no panic").is_ok());
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<T, F>(work: F) -> RemoteJoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let id = Id::next();
    let work: Work<T> = Box::new(move |cell| {
        let result = catch_unwind(AssertUnwindSafe(work));
        cell.end(result.map_err(|payload| JoinError::panic(id, payload)));
    });
    let cell = RemoteCell::new(id, Location::caller(), work);
    let queued = Queued::new(&cell);
    if sim::is_simulated() {
        // Other threads have no part in a simulation.
        shield(|| queued.begin());
    } else {
        // A clock that stands waits for the work, and lets go when the answer is there.
        let elsewhere = context::try_with(|core| core.timers.elsewhere());
        let submitted = CREW.submit(Box::new(move || {
            queued.begin();
            drop(elsewhere);
        }));
        if let Err(error) = submitted {
            panic!("no thread could be started for blocking work: {error}");
        }
    }
    RemoteJoinHandle::new(cell)
}

/// As [`spawn_blocking`], for work that does not panic: awaiting it goes on with its panic.
///
/// # Cancel safety
///
/// Dropping the future does not stop the work; its result is dropped on the thread that made it.
///
/// # Examples
///
/// ```
/// quoit_runtime::block_on(async {
///     let name = quoit_runtime::blocking::run(|| std::fs::read_to_string("/proc/self/comm")).await;
///     assert!(name.is_ok());
/// });
/// ```
#[track_caller]
pub fn run<T, F>(work: F) -> Blocking<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    Blocking { handle: spawn_blocking(work) }
}

/// The future of a result that another thread makes. Made by [`run`].
#[derive(Debug)]
#[must_use = "the work goes on, but its result is lost unless it is awaited"]
pub struct Blocking<T> {
    handle: RemoteJoinHandle<T>,
}

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let result = ready!(Pin::new(&mut self.handle).poll(cx));
        Poll::Ready(result.unwrap_or_else(|error| resume_unwind(error.into_panic())))
    }
}

static CREW: Crew<Box<dyn FnOnce() + Send>> = Crew::new(Plan {
    name: "quoit-blocking",
    most_threads: 512,
    begin: affinity::unpin_thread,
    // The work catches its own panic; a destructor of its result, or a waker, may still throw another.
    perform: |work| shield(work),
});
