//! Wakers on their way out of a lock.
//!
//! A waker is somebody else's code: cloning, waking or dropping one may run anything, even this crate again. So none of it
//! happens under a lock. Wakers are moved into a batch while locked, and woken when the lock is released.

use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Wakers to wake once the lock is released. Declare it before the guard, so that it is also dropped after the guard.
///
/// Dropping it wakes what is left: a waker that panics does not cost the others their wake-up.
#[must_use = "what it holds waits to be woken"]
pub(crate) struct WakeBatch {
    /// Most batches are of none or one: a message wakes its waiter without allocating.
    first: Option<Waker>,
    /// Those behind it: of a close, of news for all, of a `recv_many` that made room for several.
    rest: Vec<Waker>,
}

impl WakeBatch {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(waker);
        }
    }

    /// Adds the waker, if there is one, and leaves none behind.
    #[inline]
    pub(crate) fn take_from(&mut self, waker: &mut Option<Waker>) {
        if let Some(waker) = waker.take() {
            self.push(waker);
        }
    }

    /// Wakes everyone, in the order of their arrival. No lock of ours may be held.
    #[inline]
    pub(crate) fn wake_all(self) {
        drop(self);
    }

    /// Each is woken whatever the others do; the first panic goes on when all are.
    #[inline(never)]
    fn wake_many(&mut self) {
        let mut first_panic = None;
        for waker in self.first.take().into_iter().chain(mem::take(&mut self.rest)) {
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                match first_panic {
                    None => first_panic = Some(payload),
                    // Dropping it might panic as well.
                    Some(_) => mem::forget(payload),
                }
            }
        }
        match first_panic {
            // A panic that is under way already is the one to be told of.
            Some(payload) if thread::panicking() => mem::forget(payload),
            Some(payload) => panic::resume_unwind(payload),
            None => {}
        }
    }
}

impl Drop for WakeBatch {
    #[inline]
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            self.wake_many();
        } else if let Some(waker) = self.first.take() {
            waker.wake();
        }
    }
}

/// Polls under a lock without running foreign code under it.
///
/// `attempt` locks and looks. It answers `None` when it has to wait and needs a clone of the context's waker: the clone is made
/// with the lock released, and `attempt` looks again. What it leaves in its argument is dropped when it has unlocked.
#[inline]
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
#[inline]
pub(crate) fn store_waker(place: &mut Option<Waker>, fresh: &mut Option<Waker>, context: &Context<'_>) -> Option<()> {
    if !place.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        fresh.as_ref()?;
        mem::swap(place, fresh);
    }
    Some(())
}

/// The same for a place that is never empty.
#[inline]
pub(crate) fn renew_waker(place: &mut Waker, fresh: &mut Option<Waker>, context: &Context<'_>) -> Option<()> {
    if !place.will_wake(context.waker()) {
        mem::swap(place, fresh.as_mut()?);
    }
    Some(())
}

/// Wakes who is to be woken, if anybody. No lock of ours may be held.
#[inline]
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
