//! What both flavors of [`Notify`](crate::Notify) are made of.
//!
//! One word says what there is: a count of the broadcasts, and whether there is a permit, or somebody queues, or neither.
//!
//! ```text
//!              notify_one                    the first queues
//!    PERMIT <────────────── EMPTY <──────────────────────────────> WAITING
//!           ──────────────>       the last is answered or leaves
//!               a poll
//! ```
//!
//! The arrows on the left need no lock. Those on the right, and the queue, are moved along under the lock only; so under it the
//! queue is empty unless the word says `WAITING`. Hence a notification that nobody waits for, and the poll that finds it, are one
//! exchange of the word each.

use std::mem;
use std::task::{Context, Poll, Waker};

use crate::flavor::{Flavor, Latch, OneThread, Solo, SoloWord, Threads, Word};
use crate::shim::{AtomicUsize, Lock};
use crate::waiters::{Key, Waiters};
use crate::wake::{WakeBatch, store_waker, wake};

/// The word, and the queue.
pub(crate) struct Core<F: Flavor> {
    word: F::Word,
    queue: F::Lock<Queue>,
}

/// Those who wait.
pub(crate) type Queue = Waiters<Waiter>;

impl Core<Threads> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { word: AtomicUsize::new(EMPTY), queue: Lock::new(Waiters::new()) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { word: AtomicUsize::new(EMPTY), queue: Lock::new(Waiters::new()) }
    }
}

impl Core<OneThread> {
    pub(crate) const fn alone() -> Self {
        Self { word: SoloWord::new(EMPTY), queue: Solo::new(Waiters::new()) }
    }
}

impl<F: Flavor> Core<F> {
    /// Where a future begins.
    #[inline]
    pub(crate) fn begin(&self) -> Stage {
        Stage::Created { broadcasts: self.word.load() / BROADCAST }
    }

    #[inline]
    pub(crate) fn notify(&self, order: Order) {
        loop {
            let word = self.word.load();
            if word % BROADCAST == WAITING {
                break;
            }
            // Also where there is a permit already: what was done before us is then seen by who takes it.
            if self.word.replace(word, word / BROADCAST * BROADCAST + PERMIT) {
                return;
            }
        }
        let waker = self.notify_queue(&mut self.queue.lock(), order);
        wake(waker);
    }

    /// Answers one in the queue, or leaves a permit. Returns whom to wake.
    #[inline]
    fn notify_queue(&self, queue: &mut Queue, order: Order) -> Option<Waker> {
        let waiter = match order {
            Order::Fifo => queue.pop_front(),
            Order::Lifo => queue.pop_back(),
        };
        match waiter {
            Some(waiter) => {
                let waker = waiter.answer(Waiter::Notified(order));
                self.settle(queue);
                waker
            }
            None => {
                // Others may leave permits at the same time, or take them.
                self.change(|word| word / BROADCAST * BROADCAST + PERMIT);
                None
            }
        }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut wakes = WakeBatch::new();
        let mut queue = self.queue.lock();
        while let Some(waiter) = queue.pop_front() {
            wakes.take_from(&mut waiter.answer(Waiter::Broadcast));
        }
        self.change(|word| {
            let state = if word % BROADCAST == WAITING { EMPTY } else { word % BROADCAST };
            (word / BROADCAST * BROADCAST).wrapping_add(BROADCAST) + state
        });
        drop(queue);
        wakes.wake_all();
    }

    /// The last in the queue may have gone. Under the lock.
    #[inline]
    fn settle(&self, queue: &Queue) {
        let word = self.word.load();
        if queue.is_empty() && word % BROADCAST == WAITING {
            // From `WAITING` nobody leads away but who has the lock. A `notify` that still reads it asks for the lock as well, and
            // whatever exchanges the word finds the latest.
            self.word.settle(word / BROADCAST * BROADCAST);
        }
    }

    fn change(&self, change: impl Fn(usize) -> usize) {
        loop {
            let word = self.word.load();
            if self.word.replace(word, change(word)) {
                return;
            }
        }
    }

    #[inline]
    pub(crate) fn poll(&self, stage: &mut Stage, context: &Context<'_>) -> Poll<()> {
        let mut fresh = None;
        // Who begins to wait will need one. Who waits already most likely not: it is asked for then.
        if let Stage::Created { broadcasts } = stage {
            if self.is_notified(*broadcasts) {
                *stage = Stage::Done;
                return Poll::Ready(());
            }
            fresh = Some(context.waker().clone());
        }
        loop {
            let mut queue = self.queue.lock();
            match stage {
                Stage::Done => return Poll::Ready(()),
                Stage::Created { broadcasts } => {
                    if !self.queues(*broadcasts) {
                        *stage = Stage::Done;
                        return Poll::Ready(());
                    }
                    *stage = Stage::Queued(queue.push_back(Waiter::Waiting(fresh.take())));
                    return Poll::Pending;
                }
                Stage::Queued(key) => {
                    let Waiter::Waiting(waker) = queue.at(key) else {
                        stage.end(&mut queue);
                        return Poll::Ready(());
                    };
                    if store_waker(waker, &mut fresh, context).is_some() {
                        return Poll::Pending;
                    }
                }
            }
            drop(queue);
            fresh = Some(context.waker().clone());
        }
    }

    /// Queues without a waker, and tells whether it is notified already.
    pub(crate) fn enable(&self, stage: &mut Stage) -> bool {
        let mut queue = self.queue.lock();
        match stage {
            Stage::Done => true,
            Stage::Created { broadcasts } => {
                if self.queues(*broadcasts) {
                    *stage = Stage::Queued(queue.push_back(Waiter::Waiting(None)));
                    return false;
                }
                *stage = Stage::Done;
                true
            }
            Stage::Queued(key) => {
                if let Waiter::Waiting(_) = queue.at(key) {
                    return false;
                }
                stage.end(&mut queue);
                true
            }
        }
    }

    /// Ends a future's wait. One notification wakes one task: who goes without having seen it hands it on.
    #[inline]
    pub(crate) fn leave(&self, stage: &mut Stage) {
        if let Stage::Queued(key) = mem::replace(stage, Stage::Done) {
            self.leave_queue(key);
        }
    }

    fn leave_queue(&self, key: Key) {
        let mut queue = self.queue.lock();
        let waiter = queue.remove(key);
        self.settle(&queue);
        let woken = match waiter {
            Waiter::Notified(order) => self.notify_queue(&mut queue, order),
            Waiter::Waiting(_) | Waiter::Broadcast => None,
        };
        drop(queue);
        drop(waiter);
        wake(woken);
    }

    /// Whether a future of that time is notified; if by the permit, it has taken it.
    fn is_notified(&self, broadcasts: usize) -> bool {
        loop {
            let word = self.word.load();
            // The broadcast first: it was meant for us in any case, so the permit stays for somebody else.
            if word / BROADCAST != broadcasts {
                return true;
            }
            if word % BROADCAST != PERMIT {
                return false;
            }
            if self.word.replace(word, word - PERMIT + EMPTY) {
                return true;
            }
        }
    }

    /// The same under the lock, but who is not notified is about to queue: the word says so from now on.
    fn queues(&self, broadcasts: usize) -> bool {
        while !self.is_notified(broadcasts) {
            let word = self.word.load();
            let empty = word / BROADCAST * BROADCAST;
            if word == empty + WAITING || word == empty && self.word.replace(word, empty + WAITING) {
                return true;
            }
        }
        false
    }

    /// Whether there is a permit, and whether somebody queues.
    pub(crate) fn status(&self) -> (bool, bool) {
        let state = self.word.load() % BROADCAST;
        (state == PERMIT, state == WAITING)
    }
}

/// Where a future that queues stands.
pub(crate) enum Waiter {
    /// Linked. No waker before its first poll, if it was only enabled.
    Waiting(Option<Waker>),
    /// Unlinked by `notify_one` or `notify_last`: a permit to use or to hand on in the same order.
    Notified(Order),
    /// Unlinked by `notify_waiters`.
    Broadcast,
}

impl Waiter {
    #[inline]
    fn answer(&mut self, answer: Self) -> Option<Waker> {
        match mem::replace(self, answer) {
            Self::Waiting(waker) => waker,
            Self::Notified(_) | Self::Broadcast => unreachable!("only who waits is linked"),
        }
    }
}

/// Who of the waiting is woken.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// Who waits longest.
    Fifo,
    /// Who came last.
    Lifo,
}

/// How far a future is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Made when there had been so many broadcasts: one more and it is ready.
    Created { broadcasts: usize },
    /// Has a slot, linked or answered.
    Queued(Key),
    /// Ready for good.
    Done,
}

impl Stage {
    /// It was answered, and gives its slot back.
    #[inline]
    fn end(&mut self, queue: &mut Queue) {
        if let Self::Queued(key) = mem::replace(self, Self::Done) {
            // An answered waiter has given its waker away: nothing to drop under the lock.
            queue.remove(key);
        }
    }
}

/// Nobody waits, and there is no permit.
const EMPTY: usize = 0;

/// Somebody queues.
const WAITING: usize = 1;

/// A `notify_one` that found nobody.
const PERMIT: usize = 2;

/// The word counts broadcasts in steps of this, above its state.
const BROADCAST: usize = 4;
