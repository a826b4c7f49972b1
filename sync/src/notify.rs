//! Waking tasks without a message: [`Notify`].

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::shim::{AtomicUsize, Lock, Ordering};
use crate::waiters::{Key, Waiters};
use crate::wake::{WakeBatch, poll_unlocked, store_waker};

/// Wakes one task or all that wait.
///
/// It holds at most one *permit*: [`notify_one`](Self::notify_one) with nobody waiting leaves it, and the next to wait takes it
/// instead of waiting. [`notify_waiters`](Self::notify_waiters) wakes everyone there is and leaves no permit.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::sync::Arc;
///
/// use quoit_sync::Notify;
///
/// let notify = Arc::new(Notify::new());
/// let waker = notify.clone();
/// std::thread::spawn(move || waker.notify_one());
/// notify.notified().await;
/// # }
/// ```
pub struct Notify {
    /// How often `notify_waiters` was called. Written under the lock only, read without it by `notified`.
    broadcasts: AtomicUsize,
    state: Lock<State>,
}

impl Notify {
    /// Makes one that nobody was notified by.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { broadcasts: AtomicUsize::new(0), state: Lock::new(State { permit: false, waiters: Waiters::new() }) }
    }

    /// The same for loom, whose primitives cannot be made in a constant.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { broadcasts: AtomicUsize::new(0), state: Lock::new(State { permit: false, waiters: Waiters::new() }) }
    }

    /// The same as [`new`](Self::new), under tokio's name for statics.
    #[cfg(not(loom))]
    pub const fn const_new() -> Self {
        Self::new()
    }

    /// Waits for a notification.
    ///
    /// From its creation, before it is polled, the future is reached by [`notify_waiters`](Self::notify_waiters). For
    /// [`notify_one`](Self::notify_one) it queues when it is first polled or [enabled](Notified::enable).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped loses its place in the queue, but no permit: the one it was given passes to the next.
    pub fn notified(&self) -> Notified<'_> {
        let broadcasts = self.broadcasts.load(Ordering::SeqCst);
        Notified { notify: self, stage: Stage::Created { broadcasts } }
    }

    /// Wakes who waits longest, or leaves a permit if nobody waits. Permits do not add up.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let notify = quoit_sync::Notify::new();
    /// notify.notify_one();
    /// notify.notified().await; // takes the permit
    /// # }
    /// ```
    pub fn notify_one(&self) {
        self.notify(Order::Fifo);
    }

    /// Wakes who came last, or leaves a permit if nobody waits.
    pub fn notify_last(&self) {
        self.notify(Order::Lifo);
    }

    /// Wakes everyone who waits, and every [`Notified`] made before. Leaves no permit, and takes none away.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let notify = quoit_sync::Notify::new();
    /// let (first, second) = (notify.notified(), notify.notified());
    /// notify.notify_waiters();
    /// first.await;
    /// second.await;
    /// # }
    /// ```
    pub fn notify_waiters(&self) {
        let mut wakes = WakeBatch::new();
        let mut state = self.state.lock();
        self.broadcasts.fetch_add(1, Ordering::SeqCst);
        while let Some(waiter) = state.waiters.pop_front() {
            waiter.answer(Waiter::Broadcast, &mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }

    fn notify(&self, order: Order) {
        let mut wakes = WakeBatch::new();
        let mut state = self.state.lock();
        state.notify(order, &mut wakes);
        drop(state);
        wakes.wake_all();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let (permit, waited_for) = (state.permit, !state.waiters.is_empty());
        drop(state);
        f.debug_struct("Notify").field("permit", &permit).field("waited_for", &waited_for).finish_non_exhaustive()
    }
}

/// The future of [`Notify::notified`].
///
/// Once ready it stays ready.
#[must_use = "it waits only when awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
    stage: Stage,
}

impl Notified<'_> {
    /// Queues without polling, and tells whether it is notified already.
    ///
    /// For a check that must come after queueing and before waiting: what notifies between the two is then not missed.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let notify = quoit_sync::Notify::new();
    /// let mut notified = std::pin::pin!(notify.notified());
    /// assert!(!notified.as_mut().enable());
    /// notify.notify_one(); // finds it waiting: no permit is left
    /// assert!(notified.as_mut().enable());
    /// notified.await;
    /// # }
    /// ```
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let notify = self.notify;
        let stage = &mut self.get_mut().stage;
        let mut state = notify.state.lock();
        let ready = notify.look(stage, &mut state);
        if !ready {
            stage.queue(&mut state, None);
        }
        ready
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let notify = self.notify;
        let stage = &mut self.get_mut().stage;
        if let Stage::Done = stage {
            return Poll::Ready(());
        }
        poll_unlocked(context, |fresh| {
            let mut state = notify.state.lock();
            if notify.look(stage, &mut state) {
                return Some(Poll::Ready(()));
            }
            if let Stage::Queued(key) = stage {
                let Waiter::Waiting(waker) = state.waiters.at(key) else {
                    unreachable!("`look` sees every answer");
                };
                store_waker(waker, fresh, context)?;
            } else {
                stage.queue(&mut state, Some(fresh.take()?));
            }
            Some(Poll::Pending)
        })
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Stage::Queued(key) = mem::replace(&mut self.stage, Stage::Done) else { return };
        let mut wakes = WakeBatch::new();
        let mut state = self.notify.state.lock();
        let waiter = state.waiters.remove(key);
        // One notification wakes one task: who goes without having seen it hands it on.
        if let Waiter::Notified(order) = waiter {
            state.notify(order, &mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").field("stage", &self.stage).finish_non_exhaustive()
    }
}

struct State {
    /// A `notify_one` that found nobody. Never set while somebody queues.
    permit: bool,
    waiters: Waiters<Waiter>,
}

impl State {
    /// Wakes one waiter or leaves the permit.
    fn notify(&mut self, order: Order, wakes: &mut WakeBatch) {
        let waiter = match order {
            Order::Fifo => self.waiters.pop_front(),
            Order::Lifo => self.waiters.pop_back(),
        };
        match waiter {
            Some(waiter) => waiter.answer(Waiter::Notified(order), wakes),
            None => self.permit = true,
        }
    }
}

/// Where a future that queues stands.
enum Waiter {
    /// Linked. No waker before its first poll, if it was only enabled.
    Waiting(Option<Waker>),
    /// Unlinked by `notify_one` or `notify_last`: a permit to use or to hand on in the same order.
    Notified(Order),
    /// Unlinked by `notify_waiters`.
    Broadcast,
}

impl Waiter {
    fn answer(&mut self, answer: Self, wakes: &mut WakeBatch) {
        match mem::replace(self, answer) {
            Self::Waiting(mut waker) => wakes.take_from(&mut waker),
            Self::Notified(_) | Self::Broadcast => unreachable!("only who waits is linked"),
        }
    }
}

/// Who of the waiting is woken.
#[derive(Clone, Copy)]
enum Order {
    /// Who waits longest.
    Fifo,
    /// Who came last.
    Lifo,
}

/// How far a [`Notified`] is.
#[derive(Debug)]
enum Stage {
    /// Made when there had been so many broadcasts: one more and it is ready.
    Created { broadcasts: usize },
    /// Has a slot, linked or answered.
    Queued(Key),
    /// Ready for good.
    Done,
}

impl Stage {
    /// Joins the queue, unless it did.
    fn queue(&mut self, state: &mut State, waker: Option<Waker>) {
        if let Self::Created { .. } = self {
            *self = Self::Queued(state.waiters.push_back(Waiter::Waiting(waker)));
        }
    }
}

impl Notify {
    /// Whether the future is notified; if so it is done.
    fn look(&self, stage: &mut Stage, state: &mut State) -> bool {
        match stage {
            Stage::Created { broadcasts } => {
                // The broadcast first: it was meant for us in any case, so the permit stays for somebody else.
                let ready = self.broadcasts.load(Ordering::SeqCst) != *broadcasts || mem::take(&mut state.permit);
                if ready {
                    *stage = Stage::Done;
                }
                ready
            }
            Stage::Queued(key) => {
                if let Waiter::Waiting(_) = state.waiters.at(key) {
                    return false;
                }
                let Stage::Queued(key) = mem::replace(stage, Stage::Done) else { unreachable!("matched above") };
                // An answered waiter has given its waker away: nothing to drop under the lock.
                state.waiters.remove(key);
                true
            }
            Stage::Done => true,
        }
    }
}
