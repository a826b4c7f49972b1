//! A count of permits and the queue for them: the heart of the semaphore and of the locks.
//!
//! Who waits longest is served first and served whole. While anybody queues, permits that come back pile up for the head of
//! the queue and are available to nobody else; so a large request is not starved by small ones.
//!
//! The locks trust it for one thing (`cell.rs` says for what): without [`add`](Permits::add) for permits that were never taken,
//! those taken and not yet returned are never more than it was made with.

use std::error::Error;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::flavor::{Flavor, Latch, OneThread, Solo, Threads};
use crate::shim::Lock;
use crate::waiters::{Key, Waiters};
use crate::wake::{WakeBatch, poll_unlocked, store_waker};

/// The permits nobody holds, and who waits for more.
pub(crate) struct Permits<F: Flavor = Threads> {
    state: F::Lock<State>,
}

impl Permits<Threads> {
    #[cfg(not(loom))]
    pub(crate) const fn new(count: usize) -> Self {
        Self { state: Lock::new(State::new(count)) }
    }

    #[cfg(loom)]
    pub(crate) fn new(count: usize) -> Self {
        Self { state: Lock::new(State::new(count)) }
    }
}

impl Permits<OneThread> {
    pub(crate) const fn alone(count: usize) -> Self {
        Self { state: Solo::new(State::new(count)) }
    }
}

/// The most permits there may be.
pub(crate) const MAX_PERMITS: usize = usize::MAX >> 3;

impl<F: Flavor> Permits<F> {
    /// How many could be taken at once.
    #[inline]
    pub(crate) fn available(&self) -> usize {
        self.state.lock().available()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Takes so many, or none.
    #[inline]
    pub(crate) fn try_acquire(&self, count: usize) -> Result<(), TryAcquireError> {
        self.state.lock().take(count)
    }

    /// Waits for so many.
    #[inline]
    pub(crate) fn acquire(&self, count: usize) -> Acquire<'_, F> {
        Acquire { permits: self, count, key: None }
    }

    /// Returns permits, or makes new ones.
    #[inline]
    pub(crate) fn add(&self, count: usize) {
        self.with(|state, wakes| state.release(count, wakes)).expect("permits stay within `MAX_PERMITS`");
    }

    /// Takes as many as there are, but not more than `count`, and tells how many.
    pub(crate) fn forget(&self, count: usize) -> usize {
        let mut state = self.state.lock();
        let forgotten = count.min(state.available());
        state.free -= forgotten;
        forgotten
    }

    /// Refuses everyone, those in the queue and those to come.
    pub(crate) fn close(&self) {
        self.with(|state, wakes| {
            state.closed = true;
            while let Some(waiter) = state.waiters.pop_front() {
                waiter.answer(Waiter::Refused, wakes);
            }
        });
    }

    /// Acts under the lock, and wakes whom that concerns when it is released.
    #[inline]
    fn with<R>(&self, act: impl FnOnce(&mut State, &mut WakeBatch) -> R) -> R {
        let mut wakes = WakeBatch::new();
        let mut state = self.state.lock();
        let result = act(&mut state, &mut wakes);
        drop(state);
        wakes.wake_all();
        result
    }
}

impl<F: Flavor> fmt::Debug for Permits<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let (available, closed, waited_for) = (state.available(), state.closed, !state.waiters.is_empty());
        drop(state);
        let mut fields = f.debug_struct("Permits");
        fields.field("available", &available).field("closed", &closed).field("waited_for", &waited_for).finish()
    }
}

/// Waits for permits. Ready with `Ok`, they belong to the caller; dropped before, they go back.
pub(crate) struct Acquire<'a, F: Flavor = Threads> {
    permits: &'a Permits<F>,
    /// How many it asks for.
    count: usize,
    /// Its slot, while it waits.
    key: Option<Key>,
}

impl<F: Flavor> Future for Acquire<'_, F> {
    type Output = Result<(), AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { permits, count, key } = &mut *self;
        poll_unlocked(context, |fresh| {
            let mut state = permits.state.lock();
            let Some(waiting) = key else {
                return match state.take(*count) {
                    Ok(()) => Some(Poll::Ready(Ok(()))),
                    Err(TryAcquireError::Closed) => Some(Poll::Ready(Err(AcquireError(())))),
                    Err(TryAcquireError::NoPermits) => {
                        let waker = Some(fresh.take()?);
                        *key = Some(state.waiters.push_back(Waiter::Waiting { count: *count, waker }));
                        Some(Poll::Pending)
                    }
                };
            };
            let closed = state.closed;
            let result = match state.waiters.at(waiting) {
                Waiter::Waiting { waker, .. } => {
                    store_waker(waker, fresh, context)?;
                    return Some(Poll::Pending);
                }
                Waiter::Served if !closed => Ok(()),
                // Permits that were not seen before the close come too late: the drop gives them back.
                Waiter::Served | Waiter::Refused => return Some(Poll::Ready(Err(AcquireError(())))),
            };
            if let Some(key) = key.take() {
                // A served waiter has given its waker away: nothing to drop under the lock.
                state.waiters.remove(key);
            }
            Some(Poll::Ready(result))
        })
    }
}

impl<F: Flavor> Drop for Acquire<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let (waiter, released) = self.permits.with(|state, wakes| {
            let waiter = state.waiters.remove(key);
            let returned = if let Waiter::Served = waiter { self.count } else { 0 };
            // Also with nothing to return: what piled up for it may do for the next.
            (waiter, state.release(returned, wakes))
        });
        drop(waiter);
        released.expect("permits stay within `MAX_PERMITS`");
    }
}

/// What the lock is around.
pub(crate) struct State {
    /// What nobody holds. While somebody queues it is less than the head of the queue asks for, and piles up for it.
    free: usize,
    /// Set once, for good. Nobody queues from then on.
    closed: bool,
    waiters: Waiters<Waiter>,
}

impl State {
    const fn new(free: usize) -> Self {
        Self { free, closed: false, waiters: Waiters::new() }
    }

    /// What is free and not spoken for.
    #[inline]
    fn available(&self) -> usize {
        if self.waiters.is_empty() { self.free } else { 0 }
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<(), TryAcquireError> {
        if self.closed {
            return Err(TryAcquireError::Closed);
        }
        if count > self.available() {
            return Err(TryAcquireError::NoPermits);
        }
        self.free -= count;
        Ok(())
    }

    /// Serves the queue in its order, and keeps what is left. If that is more than there may be, the surplus is lost, and it is
    /// for the caller to panic when it has unlocked.
    #[inline]
    fn release(&mut self, count: usize, wakes: &mut WakeBatch) -> Result<(), TooMany> {
        self.free = self.free.checked_add(count).ok_or(TooMany)?;
        while let Some(Waiter::Waiting { count, .. }) = self.waiters.front()
            && let Some(left) = self.free.checked_sub(*count)
            && let Some(waiter) = self.waiters.pop_front()
        {
            self.free = left;
            waiter.answer(Waiter::Served, wakes);
        }
        if self.free > MAX_PERMITS {
            self.free = MAX_PERMITS;
            return Err(TooMany);
        }
        Ok(())
    }
}

/// Where a request that had to wait stands.
enum Waiter {
    /// Linked.
    Waiting { count: usize, waker: Option<Waker> },
    /// Unlinked with all it asked for, which it has not seen yet.
    Served,
    /// Unlinked by the close.
    Refused,
}

impl Waiter {
    fn answer(&mut self, answer: Self, wakes: &mut WakeBatch) {
        match mem::replace(self, answer) {
            Self::Waiting { mut waker, .. } => wakes.take_from(&mut waker),
            Self::Served | Self::Refused => unreachable!("only who waits is linked"),
        }
    }
}

/// More permits than [`MAX_PERMITS`].
#[derive(Debug)]
struct TooMany;

/// The semaphore is closed.
#[derive(Debug)]
pub struct AcquireError(());

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("semaphore closed")
    }
}

impl Error for AcquireError {}

/// There are not enough permits now.
#[derive(Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed: there never will be.
    Closed,
    /// There may be enough later.
    NoPermits,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore closed",
            Self::NoPermits => "no permits available",
        })
    }
}

impl Error for TryAcquireError {}
