//! Tasks: a future with a place for its output, and the handle that waits for it.

mod builder;
mod cell;
mod join;
mod local;
mod memory;
mod on_complete;
mod park;
mod remote_cell;
mod remote_join;
mod set;
mod with;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use crate::context;
use crate::driver;

pub use crate::executor::poll_budget;
pub use crate::task::builder::Builder;
pub(crate) use crate::task::cell::{Header, Here, Origin, Owner, TaskCell, TaskRef};
pub use crate::task::join::{AbortHandle, AbortOnDrop, JoinError, JoinHandle};
pub use crate::task::local::{AccessError, LocalKey, Scope};
pub(crate) use crate::task::memory::Spares;
pub use crate::task::on_complete::on_complete;
pub(crate) use crate::task::park::wait_until;
pub(crate) use crate::task::remote_cell::{EndOnDrop, Queued, RemoteCell, Work};
pub use crate::task::remote_join::{RemoteAbortOnDrop, RemoteJoinHandle};
pub use crate::task::set::JoinSet;
pub use crate::task::with::{Outcome, with};

/// Names a task among all that this process ever runs.
///
/// # Examples
///
/// ```
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let task = quoit_runtime::spawn(async { quoit_runtime::task::id() });
///     let id = task.id();
///     assert_eq!(task.await.expect("no panic"), id);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(NonZeroU64);

impl Id {
    /// Each thread has a block of them at a time, so that a task costs no atomic operation. Those of a thread ascend.
    #[inline]
    pub(crate) fn next() -> Self {
        let next = NEXT.get();
        let id = if next.is_multiple_of(BLOCK) { first_of_block() } else { next };
        NEXT.set(id + 1);
        Self(NonZeroU64::new(id).expect("ids begin with 1"))
    }
}

thread_local! {
    /// The next id of this thread, or the end of its block.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

#[cold]
fn first_of_block() -> u64 {
    static BLOCKS: AtomicU64 = AtomicU64::new(0);
    // The very first would be 0, which is none.
    (BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK).max(1)
}

/// How many ids a thread takes at once.
const BLOCK: u64 = 1 << 12;

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.0)
    }
}

/// The id of the task that is running.
///
/// # Panics
///
/// Outside a task, which the future of `block_on` is not, with the caller's location.
///
/// # Examples
///
/// See [`Id`].
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("`task::id()` was called outside a task: spawn one with `quoit::spawn`"),
    }
}

/// The id of the task that is running, if one is.
///
/// # Examples
///
/// ```
/// assert_eq!(quoit_runtime::task::try_id(), None);
/// ```
pub fn try_id() -> Option<Id> {
    context::try_with(|core| core.executor.running()).flatten()
}

/// Takes one operation from the budget of the task that runs, and lets the others run where it is used up: for loops that
/// always have something to do.
///
/// # Examples
///
/// ```
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let mut sum = 0_u64;
///     for number in 0..1000 {
///         sum += number;
///         quoit_runtime::task::consume_budget().await;
///     }
///     assert_eq!(sum, 499_500);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn consume_budget() {
    std::future::poll_fn(poll_budget).await;
}

/// Lets the other tasks run, and the runtime look at the kernel, before this task goes on.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// quoit_runtime::Runtime::new()?.block_on(async {
///     for _chunk in 0..3 {
///         // .. some long computation ..
///         quoit_runtime::task::yield_now().await;
///     }
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
pub fn yield_now() -> impl Future<Output = ()> {
    YieldNow { yielded: false }
}

/// Wakes a waker that may be anybody's code: a panic of it ends here, so that those who come after it are woken, too.
pub fn wake(waker: Waker) {
    driver::wake(waker);
}

#[must_use = "it yields only when awaited"]
struct YieldNow {
    /// It has been put behind the others.
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        // Behind the next look at the kernel, where that is possible; a foreign executor's task just wakes itself.
        if context::try_with(|core| core.executor.defer(cx.waker())).is_none() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn ids_of_one_thread_ascend_and_no_two_are_equal() {
        let most = 3 * BLOCK as usize;
        let threads: Vec<_> =
            (0..3).map(|_| thread::spawn(move || (0..most).map(|_| Id::next()).collect::<Vec<_>>())).collect();
        let mut all: Vec<Id> = Vec::new();
        for thread in threads {
            let ids = thread.join().expect("no panic");
            assert!(ids.is_sorted(), "they ascend");
            all.extend(ids);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3 * most);
    }
}
