//! Tasks: a future with a place for its output, and the handle that waits for it.

mod builder;
mod cell;
mod join;
mod local;
mod on_complete;
mod park;
mod remote_cell;
mod remote_join;
mod set;
mod with;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use crate::context;
use crate::driver;

pub use crate::executor::poll_budget;
pub use crate::task::builder::Builder;
pub(crate) use crate::task::cell::{Here, Origin, Task, TaskCell};
pub(crate) use crate::task::join::Joinable;
pub use crate::task::join::{AbortHandle, AbortOnDrop, JoinError, JoinHandle};
pub use crate::task::local::{AccessError, LocalKey, Scope};
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
pub struct Id(u64);

impl Id {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

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
pub async fn yield_now() {
    YieldNow { yielded: false }.await;
}

/// Wakes a waker that may be anybody's code: a panic of it ends here, so that those who come after it are woken, too.
pub fn wake(waker: Waker) {
    driver::wake(waker);
}

struct YieldNow {
    /// It has been put behind the others.
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

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
