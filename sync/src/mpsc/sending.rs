//! The futures of senders that wait: for permits, or in a rendezvous for the receiver.
//!
//! Dropping one gives back what it holds: its place in the queue, the permits it was granted, a message nobody took.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::flavor::{Flavor, Latch};
use crate::waiters::Key;
use crate::wake::{WakeBatch, poll_unlocked, renew_waker, wake};

use super::chan::Chan;
use super::error::SendError;
use super::state::{Admission, Waiter};

/// A sender that waits for permits.
pub(super) struct Reserve<'a, T, F: Flavor> {
    chan: &'a Chan<T, F>,
    /// How many it waits for.
    count: usize,
    /// Its slot, while it waits.
    key: Option<Key>,
}

impl<'a, T, F: Flavor> Reserve<'a, T, F> {
    pub(super) fn new(chan: &'a Chan<T, F>, count: usize) -> Self {
        Self { chan, count, key: None }
    }
}

impl<T, F: Flavor> Future for Reserve<'_, T, F> {
    type Output = Result<(), SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { chan, count, key } = &mut *self;
        poll_unlocked(context, |fresh| {
            let mut wakes = WakeBatch::new();
            let mut state = chan.state.lock();
            let Some(waiting) = key else {
                return match state.admit(*count) {
                    Admission::Granted => Some(Poll::Ready(Ok(()))),
                    Admission::Closed => Some(Poll::Ready(Err(SendError(())))),
                    Admission::Full => {
                        let waiter = Waiter::Waiting(*count, fresh.take()?);
                        *key = Some(state.senders.push_back(waiter));
                        Some(Poll::Pending)
                    }
                };
            };
            let closed = state.closed;
            let result = match state.senders.at(waiting) {
                Waiter::Waiting(_, waker) => {
                    renew_waker(waker, fresh, context)?;
                    return Some(Poll::Pending);
                }
                Waiter::Granted if !closed => Ok(()),
                // Permits that were not seen before the close come too late; they go back.
                Waiter::Granted => {
                    state.release(*count, &mut wakes);
                    Err(SendError(()))
                }
                Waiter::Refused(_) => Err(SendError(())),
                Waiter::Offering(..) | Waiter::Taken => unreachable!("nothing was offered"),
            };
            if let Some(key) = key.take() {
                state.senders.remove(key);
            }
            Some(Poll::Ready(result))
        })
    }
}

impl<T, F: Flavor> Drop for Reserve<'_, T, F> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            drop(self.chan.with(|state, wakes| state.leave(key, self.count, wakes)));
        }
    }
}

/// A sender that waits for the receiver to take its message.
pub(super) struct Offer<'a, T, F: Flavor> {
    chan: &'a Chan<T, F>,
    /// The message, before it is offered.
    value: Option<T>,
    /// Its slot, while it waits.
    key: Option<Key>,
}

impl<'a, T, F: Flavor> Offer<'a, T, F> {
    pub(super) fn new(chan: &'a Chan<T, F>, value: T) -> Self {
        Self { chan, value: Some(value), key: None }
    }
}

/// The message is never pinned: it moves from the future to the slot to the receiver.
impl<T, F: Flavor> Unpin for Offer<'_, T, F> {}

impl<T, F: Flavor> Future for Offer<'_, T, F> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { chan, value, key } = &mut *self;
        let mut receiver = None;
        let poll = poll_unlocked(context, |fresh| {
            let mut state = chan.state.lock();
            let Some(waiting) = key else {
                if state.closed {
                    return Some(Poll::Ready(Err(SendError(value.take().expect("polled again after it was ready")))));
                }
                let waker = fresh.take()?;
                let value = value.take().expect("polled again after it was ready");
                let (slot, wake) = state.offer(value, waker);
                *key = Some(slot);
                receiver = wake;
                return Some(Poll::Pending);
            };
            let result = match state.senders.at(waiting) {
                Waiter::Offering(waker, _) => {
                    renew_waker(waker, fresh, context)?;
                    return Some(Poll::Pending);
                }
                Waiter::Taken => Ok(()),
                Waiter::Refused(value) => Err(SendError(value.take().expect("what was offered is in the slot"))),
                Waiter::Waiting(..) | Waiter::Granted => unreachable!("no permit was asked for"),
            };
            if let Some(key) = key.take() {
                state.senders.remove(key);
            }
            Some(Poll::Ready(result))
        });
        wake(receiver);
        poll
    }
}

impl<T, F: Flavor> Drop for Offer<'_, T, F> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            drop(self.chan.with(|state, wakes| state.leave(key, 0, wakes)));
        }
    }
}
