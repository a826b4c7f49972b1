//! How much one task may do in one poll before it has to let others run.
//!
//! A socket that always has more, or a channel that is never empty, lets a task go on without ever waiting. So resources ask
//! the budget before they answer *ready*; when it is used up they answer *pending* once and wake the task, which goes behind
//! the others and behind the next look at the kernel.

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::context;

#[derive(Debug)]
pub(crate) struct Budget(Cell<u32>);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Cell::new(OPERATIONS))
    }

    /// A task begins its poll.
    #[inline]
    pub(crate) fn refill(&self) {
        self.0.set(OPERATIONS);
    }

    #[inline]
    fn take_one(&self) -> bool {
        match self.0.get() {
            0 => false,
            left => {
                self.0.set(left - 1);
                true
            }
        }
    }
}

/// Takes one operation from the budget of the task that runs. *Pending* where none is left: the task has been put behind
/// the others, and the caller answers *pending*, too.
///
/// # Examples
///
/// ```
/// use std::task::{Context, Poll};
///
/// fn poll_item(queue: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Option<u8>> {
///     std::task::ready!(quoit_runtime::task::poll_budget(cx));
///     Poll::Ready(queue.pop())
/// }
/// # quoit_runtime::Runtime::new()?.block_on(async {
/// #     assert_eq!(std::future::poll_fn(|cx| poll_item(&mut vec![1], cx)).await, Some(1));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
pub fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let may_go_on = context::try_with(|core| {
        let may_go_on = core.executor.budget.take_one();
        if !may_go_on {
            core.executor.defer(cx.waker());
        }
        may_go_on
    });
    // Outside a runtime nobody is kept waiting by us.
    if may_go_on.unwrap_or(true) { Poll::Ready(()) } else { Poll::Pending }
}

/// Operations in one poll of a task.
const OPERATIONS: u32 = 128;
