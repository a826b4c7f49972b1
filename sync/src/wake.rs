//! Wakers on their way out of a lock.
//!
//! A waker is somebody else's code: cloning, waking or dropping one may run anything, even this crate again. So none of it
//! happens under a lock. Wakers are moved into a batch while locked, and woken when the lock is released.

use std::mem;
use std::task::{Context, Poll, Waker};

/// Wakers to wake once the lock is released. Declare it before the guard, so that it is also dropped after the guard.
///
/// Dropping it wakes what is left: a waker that panics does not cost the others their wake-up.
#[must_use = "what it holds waits to be woken"]
pub(crate) struct WakeBatch {
    /// The first few, so that a message wakes its waiter without allocating.
    near: [Option<Waker>; NEAR],
    /// How many of `near` are in use.
    count: usize,
    /// Those beyond: only a close, a broadcast or a large `recv_many` come here.
    rest: Vec<Waker>,
}

impl WakeBatch {
    pub(crate) const fn new() -> Self {
        Self { near: [const { None }; NEAR], count: 0, rest: Vec::new() }
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        if self.count < NEAR {
            self.near[self.count] = Some(waker);
            self.count += 1;
        } else {
            self.rest.push(waker);
        }
    }

    /// Adds the waker, if there is one, and leaves none behind.
    pub(crate) fn take_from(&mut self, waker: &mut Option<Waker>) {
        if let Some(waker) = waker.take() {
            self.push(waker);
        }
    }

    /// Wakes everyone, in the order of their arrival. No lock of ours may be held.
    pub(crate) fn wake_all(&mut self) {
        for waker in &mut self.near[..self.count] {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
        self.count = 0;
        self.rest.drain(..).for_each(Waker::wake);
    }
}

impl Drop for WakeBatch {
    fn drop(&mut self) {
        self.wake_all();
    }
}

/// Polls under a lock without running foreign code under it.
///
/// `attempt` locks and looks. It answers `None` when it has to wait and needs a clone of the context's waker: the clone is made
/// with the lock released, and `attempt` looks again. What it leaves in its argument is dropped when it has unlocked.
pub(crate) fn poll_unlocked<R>(
    context: &Context<'_>,
    mut attempt: impl FnMut(&mut Option<Waker>) -> Option<Poll<R>>,
) -> Poll<R> {
    let mut fresh = None;
    loop {
        if let Some(poll) = attempt(&mut fresh) {
            return poll;
        }
        fresh = Some(context.waker().clone());
    }
}

/// Swaps the fresh waker into its place, unless one that wakes the same task is there. `None` asks for a fresh one.
pub(crate) fn store_waker(place: &mut Option<Waker>, fresh: &mut Option<Waker>, context: &Context<'_>) -> Option<()> {
    if !place.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        fresh.as_ref()?;
        mem::swap(place, fresh);
    }
    Some(())
}

/// How many wakers a batch holds without allocating.
const NEAR: usize = 4;
