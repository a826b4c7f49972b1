//! Tasks that wait for each other: [`Barrier`].

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::shim::Lock;
use crate::waiters::{Key, Waiters};
use crate::wake::{WakeBatch, poll_unlocked, store_waker};

/// Lets nobody pass until a number of tasks have come; then it is there for the next of them.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let barrier = quoit_sync::Barrier::new(2);
/// let (one, other) = futures_util::join!(barrier.wait(), barrier.wait());
/// assert_eq!((one.is_leader(), other.is_leader()), (false, true));
/// # }
/// ```
pub struct Barrier {
    /// How many have to come, at least one.
    count: usize,
    state: Lock<State>,
}

impl Barrier {
    /// Makes one for `n` tasks. One for 0 waits for nobody, as one for 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = quoit_sync::Barrier::new(3);
    /// # drop(barrier);
    /// ```
    pub fn new(n: usize) -> Self {
        Self { count: n.max(1), state: Lock::new(State { arrived: 0, waiters: Waiters::new() }) }
    }

    /// Comes to the barrier, and waits until all others have. Who comes last is the leader of those that pass.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a future that was polled has come, and counts also if it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert!(quoit_sync::Barrier::new(1).wait().await.is_leader());
    /// # }
    /// ```
    pub async fn wait(&self) -> BarrierWaitResult {
        Wait { barrier: self, key: None }.await
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived = self.state.lock().arrived;
        f.debug_struct("Barrier").field("count", &self.count).field("arrived", &arrived).finish_non_exhaustive()
    }
}

/// What [`Barrier::wait`] returns.
#[derive(Clone, Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether this is the one among those that passed together to do what only one should.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let barrier = quoit_sync::Barrier::new(2);
    /// let (one, other) = futures_util::join!(barrier.wait(), barrier.wait());
    /// assert_ne!(one.is_leader(), other.is_leader());
    /// # }
    /// ```
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

struct State {
    /// How many have come since the last passed, with those that left again. Always less than the barrier's count.
    arrived: usize,
    waiters: Waiters<Waiter>,
}

/// Where who came stands.
enum Waiter {
    /// Linked.
    Waiting(Option<Waker>),
    /// Unlinked by who came last.
    Passed,
}

/// Has come when it is polled.
struct Wait<'a> {
    barrier: &'a Barrier,
    /// Its slot, while it waits.
    key: Option<Key>,
}

impl Future for Wait<'_> {
    type Output = BarrierWaitResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let Self { barrier, key } = &mut *self;
        let mut wakes = WakeBatch::new();
        let poll = poll_unlocked(context, |fresh| {
            let mut state = barrier.state.lock();
            let Some(waiting) = key else {
                if state.arrived + 1 < barrier.count {
                    let waker = fresh.take()?;
                    state.arrived += 1;
                    *key = Some(state.waiters.push_back(Waiter::Waiting(Some(waker))));
                    return Some(Poll::Pending);
                }
                state.arrived = 0;
                while let Some(waiter) = state.waiters.pop_front() {
                    match mem::replace(waiter, Waiter::Passed) {
                        Waiter::Waiting(mut waker) => wakes.take_from(&mut waker),
                        Waiter::Passed => unreachable!("only who waits is linked"),
                    }
                }
                return Some(Poll::Ready(BarrierWaitResult(true)));
            };
            if let Waiter::Waiting(waker) = state.waiters.at(waiting) {
                store_waker(waker, fresh, context)?;
                return Some(Poll::Pending);
            }
            if let Some(key) = key.take() {
                // Who passed has given its waker away: nothing to drop under the lock.
                state.waiters.remove(key);
            }
            Some(Poll::Ready(BarrierWaitResult(false)))
        });
        wakes.wake_all();
        poll
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut state = self.barrier.state.lock();
        let waiter = state.waiters.remove(key);
        // Its waker is dropped after the lock.
        drop(state);
        drop(waiter);
    }
}
