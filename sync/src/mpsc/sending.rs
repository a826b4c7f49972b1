//! The futures of senders that wait: for a permit, or in a rendezvous for the receiver.
//!
//! Dropping one gives back what it holds: its place in the queue, a permit it was granted, a message nobody took.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::waiters::Key;
use crate::wake::{WakeBatch, poll_unlocked, store_waker};

use super::chan::Chan;
use super::error::SendError;
use super::state::{Admission, Waiter};

/// A sender that waits for a permit.
pub(super) struct Reserve<'a, T> {
    chan: &'a Chan<T>,
    /// Its slot, while it waits.
    key: Option<Key>,
}

impl<'a, T> Reserve<'a, T> {
    pub(super) fn new(chan: &'a Chan<T>) -> Self {
        Self { chan, key: None }
    }
}

impl<T> Future for Reserve<'_, T> {
    type Output = Result<(), SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { chan, key } = &mut *self;
        poll_unlocked(context, |fresh| {
            let mut wakes = WakeBatch::new();
            let mut state = chan.state.lock();
            let Some(waiting) = key else {
                match state.admit() {
                    Admission::Granted => return Some(Poll::Ready(Ok(()))),
                    Admission::Closed => return Some(Poll::Ready(Err(SendError(())))),
                    Admission::Full => *key = Some(state.senders.push_back(Waiter::Waiting(Some(fresh.take()?)))),
                }
                return Some(Poll::Pending);
            };
            let closed = state.closed;
            let result = match state.senders.at(waiting) {
                Waiter::Waiting(waker) => {
                    store_waker(waker, fresh, context)?;
                    return Some(Poll::Pending);
                }
                Waiter::Granted if !closed => Ok(()),
                // A permit that was not seen before the close comes too late; it goes back.
                Waiter::Granted => {
                    state.release(&mut wakes);
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

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            drop(self.chan.with(|state, wakes| state.leave(key, wakes)));
        }
    }
}

/// A sender that waits for the receiver to take its message.
pub(super) struct Offer<'a, T> {
    chan: &'a Chan<T>,
    /// The message, before it is offered.
    value: Option<T>,
    /// Its slot, while it waits.
    key: Option<Key>,
}

impl<'a, T> Offer<'a, T> {
    pub(super) fn new(chan: &'a Chan<T>, value: T) -> Self {
        Self { chan, value: Some(value), key: None }
    }
}

/// The message is never pinned: it moves from the future to the slot to the receiver.
impl<T> Unpin for Offer<'_, T> {}

impl<T> Future for Offer<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { chan, value, key } = &mut *self;
        poll_unlocked(context, |fresh| {
            let mut wakes = WakeBatch::new();
            let mut state = chan.state.lock();
            let Some(waiting) = key else {
                if state.closed {
                    return Some(Poll::Ready(Err(SendError(value.take().expect("polled again after it was ready")))));
                }
                let waker = fresh.take()?;
                let value = value.take().expect("polled again after it was ready");
                *key = Some(state.offer(value, waker, &mut wakes));
                return Some(Poll::Pending);
            };
            let result = match state.senders.at(waiting) {
                Waiter::Offering(waker, _) => {
                    store_waker(waker, fresh, context)?;
                    return Some(Poll::Pending);
                }
                Waiter::Taken => Ok(()),
                Waiter::Refused(value) => Err(SendError(value.take().expect("what was offered is in the slot"))),
                Waiter::Waiting(_) | Waiter::Granted => unreachable!("no permit was asked for"),
            };
            if let Some(key) = key.take() {
                state.senders.remove(key);
            }
            Some(Poll::Ready(result))
        })
    }
}

impl<T> Drop for Offer<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            drop(self.chan.with(|state, wakes| state.leave(key, wakes)));
        }
    }
}
