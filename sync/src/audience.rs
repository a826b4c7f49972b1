//! Everyone who waits for the same news, which reaches them all.
//!
//! An [`Audience`] lies under the lock of what its members wait for. Who waits owns a seat, an `Option<Key>`, and gives it back
//! when it goes; a [`Visit`] does that when it is dropped.

use std::task::{Context, Poll, Waker};

use crate::flavor::Latch;
use crate::waiters::{Key, Waiters};
use crate::wake::{WakeBatch, poll_unlocked, store_waker};

/// Those who wait. A waiter keeps its waker while it is linked: one without has been called.
pub(crate) struct Audience {
    waiters: Waiters<Option<Waker>>,
}

impl Audience {
    pub(crate) const fn new() -> Self {
        Self { waiters: Waiters::new() }
    }

    /// Calls everyone who waits, in the order they came.
    pub(crate) fn call(&mut self, wakes: &mut WakeBatch) {
        while let Some(waiter) = self.waiters.pop_front() {
            wakes.take_from(waiter);
        }
    }

    /// Waits on the seat for the next call. `None` asks for a fresh waker.
    fn wait(&mut self, seat: &mut Option<Key>, fresh: &mut Option<Waker>, context: &Context<'_>) -> Option<()> {
        if let Some(key) = seat.take_if(|key| self.waiters.at(key).is_none()) {
            // Called, and there was nothing for it: it queues again.
            self.waiters.remove(key);
        }
        match seat {
            Some(key) => store_waker(self.waiters.at(key), fresh, context),
            None => {
                *seat = Some(self.waiters.push_back(Some(fresh.take()?)));
                Some(())
            }
        }
    }

    /// Gives the seat back. The waker is to be dropped without the lock.
    #[must_use = "a waker is dropped without the lock"]
    pub(crate) fn leave(&mut self, seat: &mut Option<Key>) -> Option<Waker> {
        self.waiters.remove(seat.take()?)
    }
}

/// Where a state keeps an audience.
pub(crate) type Place<S> = fn(&mut S) -> &mut Audience;

/// Looks under the lock, and waits on the seat while there is nothing to see. Whoever changes what is looked at calls the
/// audience with the change or later.
pub(crate) fn poll_seat<S, R>(
    lock: &impl Latch<S>,
    audience: Place<S>,
    seat: &mut Option<Key>,
    context: &Context<'_>,
    mut look: impl FnMut(&mut S) -> Option<R>,
) -> Poll<R> {
    poll_unlocked(context, |fresh| {
        let mut state = lock.lock();
        if let Some(seen) = look(&mut state) {
            return Some(Poll::Ready(seen));
        }
        audience(&mut state).wait(seat, fresh, context)?;
        Some(Poll::Pending)
    })
}

/// Gives the seat back, if there is one.
pub(crate) fn leave_seat<S>(lock: &impl Latch<S>, audience: Place<S>, seat: &mut Option<Key>) {
    if seat.is_some() {
        let waker = audience(&mut lock.lock()).leave(seat);
        drop(waker);
    }
}

/// A seat for as long as a future waits.
pub(crate) struct Visit<'a, S, L: Latch<S>> {
    lock: &'a L,
    audience: Place<S>,
    seat: Option<Key>,
}

impl<'a, S, L: Latch<S>> Visit<'a, S, L> {
    pub(crate) fn new(lock: &'a L, audience: Place<S>) -> Self {
        Self { lock, audience, seat: None }
    }

    /// Ready with what `look` sees.
    pub(crate) fn poll<R>(&mut self, context: &Context<'_>, look: impl FnMut(&mut S) -> Option<R>) -> Poll<R> {
        poll_seat(self.lock, self.audience, &mut self.seat, context, look)
    }
}

impl<S, L: Latch<S>> Drop for Visit<'_, S, L> {
    fn drop(&mut self) {
        leave_seat(self.lock, self.audience, &mut self.seat);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    use super::{Audience, Visit};
    use crate::shim::Lock;
    use crate::wake::WakeBatch;

    struct Idle;

    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn visit_that_ends_gives_its_seat_and_its_waker_back() {
        let audience = Lock::new(Audience::new());
        let idle = Arc::new(Idle);
        let waker = Waker::from(idle.clone());
        for called in [false, true, false] {
            let mut visit = Visit::new(&audience, |audience| audience);
            let context = Context::from_waker(&waker);
            assert!(visit.poll(&context, |_| None::<()>).is_pending());
            assert_eq!(Arc::strong_count(&idle), 3);
            if called {
                audience.lock().call(&mut WakeBatch::new());
                assert_eq!(Arc::strong_count(&idle), 2);
                assert!(visit.poll(&context, |_| None::<()>).is_pending(), "it queues again");
                assert_eq!(Arc::strong_count(&idle), 3);
            }
            drop(visit);
            assert_eq!(Arc::strong_count(&idle), 2);
            assert!(audience.lock().waiters.is_empty());
        }
    }
}
