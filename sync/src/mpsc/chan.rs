//! A channel: its lock around its state, and the halves that share it.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, ready};

use crate::notify::Notify;
use crate::shim::{Arc, Lock};
use crate::wake::{WakeBatch, poll_unlocked, store_waker};

use super::error::{SendError, TryRecvError, TrySendError};
use super::sending::{Offer, Reserve};
use super::state::{Admission, Capacity, State};

/// What all halves of a channel share.
pub(super) struct Chan<T> {
    pub(super) state: Lock<State<T>>,
    /// Tells the senders that wait for it that the channel is closed.
    closing: Notify,
}

/// A strong half of the senders: what both `Sender`s are made of.
pub(super) struct Tx<T>(Arc<Chan<T>>);

/// A weak half of the senders.
pub(super) struct WeakTx<T>(Arc<Chan<T>>);

/// The half of the receiver.
pub(super) struct Rx<T>(Arc<Chan<T>>);

pub(super) fn new<T>(capacity: Capacity) -> (Tx<T>, Rx<T>) {
    let chan = Arc::new(Chan { state: Lock::new(State::new(capacity)), closing: Notify::new() });
    (Tx(chan.clone()), Rx(chan))
}

impl<T> Chan<T> {
    /// Runs a transition under the lock, then wakes whom it names.
    pub(super) fn with<R>(&self, transition: impl FnOnce(&mut State<T>, &mut WakeBatch) -> R) -> R {
        let mut wakes = WakeBatch::new();
        let result = transition(&mut self.state.lock(), &mut wakes);
        wakes.wake_all();
        result
    }

    /// Reads something off the state.
    pub(super) fn read<R>(&self, read: impl FnOnce(&State<T>) -> R) -> R {
        read(&self.state.lock())
    }
}

impl<T> fmt::Debug for Chan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (capacity, len, closed, strong) = self.read(|s| (s.capacity, s.queue.len(), s.closed, s.strong));
        f.debug_struct("Channel")
            .field("capacity", &capacity)
            .field("len", &len)
            .field("closed", &closed)
            .field("senders", &strong)
            .finish_non_exhaustive()
    }
}

impl<T> Tx<T> {
    pub(super) fn chan(&self) -> &Chan<T> {
        &self.0
    }

    pub(super) fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.with(|state, wakes| state.try_send(value, wakes))
    }

    pub(super) async fn send(&self, value: T) -> Result<(), SendError<T>> {
        let attempt = self.0.with(|state, wakes| match state.capacity {
            Capacity::Rendezvous => Attempt::Meet(value),
            Capacity::Bounded(_) | Capacity::Unbounded => Attempt::Ended(state.try_send(value, wakes)),
        });
        let value = match attempt {
            Attempt::Ended(Ok(())) => return Ok(()),
            Attempt::Ended(Err(TrySendError::Closed(value))) => return Err(SendError(value)),
            Attempt::Ended(Err(TrySendError::Full(value))) => value,
            Attempt::Meet(value) => return Offer::new(&self.0, value).await,
        };
        match self.reserve().await {
            Ok(()) => {
                self.send_reserved(value);
                Ok(())
            }
            Err(SendError(())) => Err(SendError(value)),
        }
    }

    /// Waits for a permit, which is then the caller's to use or to release.
    pub(super) fn reserve(&self) -> Reserve<'_, T> {
        Reserve::new(&self.0)
    }

    /// Takes a permit, which is then the caller's to use or to release.
    pub(super) fn try_reserve(&self) -> Result<(), TrySendError<()>> {
        match self.0.with(|state, _| state.admit()) {
            Admission::Granted => Ok(()),
            Admission::Full => Err(TrySendError::Full(())),
            Admission::Closed => Err(TrySendError::Closed(())),
        }
    }

    /// Uses a permit.
    pub(super) fn send_reserved(&self, value: T) {
        drop(self.0.with(|state, wakes| state.send_reserved(value, wakes)));
    }

    /// Gives a permit back unused.
    pub(super) fn release(&self) {
        self.0.with(|state, wakes| state.release(wakes));
    }

    pub(super) async fn closed(&self) {
        // Made before the look: a close in between is not missed.
        let closed = self.0.closing.notified();
        if !self.0.read(|state| state.closed) {
            closed.await;
        }
    }

    pub(super) fn downgrade(&self) -> WeakTx<T> {
        self.0.state.lock().weak += 1;
        WeakTx(self.0.clone())
    }
}

/// The first step of a send.
enum Attempt<T> {
    Ended(Result<(), TrySendError<T>>),
    /// A rendezvous: whoever is to know that the message was taken has to wait for it.
    Meet(T),
}

impl<T> Clone for Tx<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().strong += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Tx<T> {
    fn drop(&mut self) {
        self.0.with(|state, wakes| {
            state.strong -= 1;
            if state.strong == 0 {
                wakes.take_from(&mut state.receiver);
            }
        });
    }
}

impl<T> WeakTx<T> {
    pub(super) fn chan(&self) -> &Chan<T> {
        &self.0
    }

    pub(super) fn upgrade(&self) -> Option<Tx<T>> {
        let mut state = self.0.state.lock();
        if state.strong == 0 {
            return None;
        }
        state.strong += 1;
        Some(Tx(self.0.clone()))
    }
}

impl<T> Clone for WeakTx<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().weak += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for WeakTx<T> {
    fn drop(&mut self) {
        self.0.state.lock().weak -= 1;
    }
}

impl<T> Rx<T> {
    pub(super) fn chan(&self) -> &Chan<T> {
        &self.0
    }

    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll(context, State::receive)
    }

    pub(super) fn poll_recv_many(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<T>,
        limit: usize,
    ) -> Poll<usize> {
        if limit == 0 {
            return Poll::Ready(0);
        }
        let before = buffer.len();
        self.poll(context, |state, wakes| {
            // Only the first is waited for.
            let mut next = ready!(state.receive(wakes));
            while let Some(value) = next {
                buffer.push(value);
                let more = buffer.len() - before < limit;
                next = if more { state.take(wakes) } else { None };
            }
            Poll::Ready(buffer.len() - before)
        })
    }

    pub(super) async fn recv(&mut self) -> Option<T> {
        let mut wait = Wait { rx: self, pending: false };
        poll_fn(|context| wait.note(|rx| rx.poll_recv(context))).await
    }

    pub(super) async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        let mut wait = Wait { rx: self, pending: false };
        poll_fn(|context| wait.note(|rx| rx.poll_recv_many(context, buffer, limit))).await
    }

    pub(super) fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.with(State::try_receive)
    }

    pub(super) fn close(&mut self) {
        self.0.with(State::close);
        self.0.closing.notify_waiters();
    }

    /// Waits until `look` is ready, as the one who receives.
    fn poll<R>(
        &self,
        context: &Context<'_>,
        mut look: impl FnMut(&mut State<T>, &mut WakeBatch) -> Poll<R>,
    ) -> Poll<R> {
        poll_unlocked(context, |fresh| {
            let mut wakes = WakeBatch::new();
            let mut state = self.0.state.lock();
            let poll = look(&mut state, &mut wakes);
            if poll.is_pending() {
                store_waker(&mut state.receiver, fresh, context)?;
            }
            Some(poll)
        })
    }
}

impl<T> Drop for Rx<T> {
    fn drop(&mut self) {
        self.close();
        let left = self.0.with(|state, _| {
            state.abandoned = true;
            (state.receiver.take(), mem::take(&mut state.queue))
        });
        drop(left);
    }
}

/// A receive that waits: when it is dropped, the receiver wants nothing any more.
struct Wait<'a, T> {
    rx: &'a mut Rx<T>,
    /// Whether the last poll left it waiting.
    pending: bool,
}

impl<T> Wait<'_, T> {
    fn note<R>(&mut self, poll: impl FnOnce(&mut Rx<T>) -> Poll<R>) -> Poll<R> {
        let poll = poll(self.rx);
        self.pending = poll.is_pending();
        poll
    }
}

impl<T> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        if self.pending {
            let waker = self.rx.0.with(|state, _| {
                state.demand = false;
                state.receiver.take()
            });
            drop(waker);
        }
    }
}
