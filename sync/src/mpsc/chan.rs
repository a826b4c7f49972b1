//! A channel: its lock around its state, and the halves that share it, in either flavor.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::ops::DerefMut;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

use crate::audience::Visit;
use crate::flavor::{Flavor, Latch};
use crate::wake::{WakeBatch, store_waker, wake};

use super::error::{SendError, TryRecvError, TrySendError};
use super::sending::{Offer, Reserve};
use super::state::{Admission, Capacity, State};

/// What all halves of a channel share.
pub(super) struct Chan<T, F: Flavor> {
    capacity: Capacity,
    pub(super) state: F::Lock<State<T>>,
}

/// A strong half of the senders.
pub(super) struct Tx<T, F: Flavor>(F::Shared<Chan<T, F>>);

/// A weak half of the senders.
pub(super) struct WeakTx<T, F: Flavor>(F::Shared<Chan<T, F>>);

/// The half of the receiver.
pub(super) struct Rx<T, F: Flavor>(F::Shared<Chan<T, F>>);

pub(super) fn new<T, F: Flavor>(capacity: Capacity) -> (Tx<T, F>, Rx<T, F>) {
    let chan = F::share(Chan { capacity, state: Latch::around(State::new(capacity)) });
    (Tx(chan.clone()), Rx(chan))
}

impl<T, F: Flavor> Chan<T, F> {
    /// Runs a transition under the lock, then wakes whom it names.
    #[inline]
    pub(super) fn with<R>(&self, transition: impl FnOnce(&mut State<T>, &mut WakeBatch) -> R) -> R {
        let mut wakes = WakeBatch::new();
        let result = transition(&mut self.state.lock(), &mut wakes);
        wakes.wake_all();
        result
    }

    /// Reads something off the state.
    #[inline]
    pub(super) fn read<R>(&self, read: impl FnOnce(&State<T>) -> R) -> R {
        read(&self.state.lock())
    }
}

impl<T, F: Flavor> fmt::Debug for Chan<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, closed, strong) = self.read(|s| (s.queue.len(), s.closed, s.strong));
        f.debug_struct("Channel")
            .field("capacity", &self.capacity)
            .field("len", &len)
            .field("closed", &closed)
            .field("senders", &strong)
            .finish_non_exhaustive()
    }
}

impl<T, F: Flavor> Tx<T, F> {
    #[inline]
    pub(super) fn chan(&self) -> &Chan<T, F> {
        &self.0
    }

    pub(super) fn same_channel(&self, other: &Self) -> bool {
        ptr::eq(self.chan(), other.chan())
    }

    #[inline]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let receiver = self.0.state.lock().try_send(value)?;
        wake(receiver);
        Ok(())
    }

    #[inline]
    pub(super) async fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.capacity == Capacity::Rendezvous {
            // Whoever is to know that the message was taken has to wait for it.
            return Offer::new(&self.0, value).await;
        }
        match self.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => match self.reserve(1).await {
                Ok(()) => {
                    self.send_reserved(value);
                    Ok(())
                }
                Err(SendError(())) => Err(SendError(value)),
            },
        }
    }

    /// Waits for so many permits, which are then the caller's to use or to release. At most [`State::most`].
    pub(super) fn reserve(&self, count: usize) -> Reserve<'_, T, F> {
        Reserve::new(&self.0, count)
    }

    /// Takes so many permits, which are then the caller's to use or to release.
    pub(super) fn try_reserve(&self, count: usize) -> Result<(), TrySendError<()>> {
        match self.0.with(|state, _| state.admit(count)) {
            Admission::Granted => Ok(()),
            Admission::Full => Err(TrySendError::Full(())),
            Admission::Closed => Err(TrySendError::Closed(())),
        }
    }

    /// Uses a permit.
    pub(super) fn send_reserved(&self, value: T) {
        let sent = self.0.state.lock().send_reserved(value);
        match sent {
            Ok(receiver) => wake(receiver),
            Err(unwanted) => drop(unwanted),
        }
    }

    /// Gives permits back unused.
    pub(super) fn release(&self, count: usize) {
        self.0.with(|state, wakes| state.release(count, wakes));
    }

    pub(super) async fn closed(&self) {
        let mut visit = Visit::new(&self.0.state, |state| &mut state.closing);
        poll_fn(|context| visit.poll(context, |state| state.closed.then_some(()))).await;
    }

    pub(super) fn downgrade(&self) -> WeakTx<T, F> {
        self.0.state.lock().weak += 1;
        WeakTx(self.0.clone())
    }
}

impl<T, F: Flavor> Clone for Tx<T, F> {
    fn clone(&self) -> Self {
        self.0.state.lock().strong += 1;
        Self(self.0.clone())
    }
}

impl<T, F: Flavor> Drop for Tx<T, F> {
    #[inline]
    fn drop(&mut self) {
        self.0.with(|state, wakes| {
            state.strong -= 1;
            if state.strong == 0 {
                wakes.take_from(&mut state.receiver);
            }
        });
    }
}

impl<T, F: Flavor> WeakTx<T, F> {
    #[inline]
    pub(super) fn chan(&self) -> &Chan<T, F> {
        &self.0
    }

    pub(super) fn upgrade(&self) -> Option<Tx<T, F>> {
        let mut state = self.0.state.lock();
        if state.strong == 0 {
            return None;
        }
        state.strong += 1;
        Some(Tx(self.0.clone()))
    }
}

impl<T, F: Flavor> Clone for WeakTx<T, F> {
    fn clone(&self) -> Self {
        self.0.state.lock().weak += 1;
        Self(self.0.clone())
    }
}

impl<T, F: Flavor> Drop for WeakTx<T, F> {
    #[inline]
    fn drop(&mut self) {
        self.0.state.lock().weak -= 1;
    }
}

impl<T, F: Flavor> Rx<T, F> {
    #[inline]
    pub(super) fn chan(&self) -> &Chan<T, F> {
        &self.0
    }

    #[inline]
    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut fresh = None;
        loop {
            let mut state = self.0.state.lock();
            if let Some((value, sender)) = state.take() {
                drop(state);
                wake(sender);
                return Poll::Ready(Some(value));
            }
            if let Some(poll) = wait(state, &mut fresh, context) {
                return poll.map(|()| None);
            }
            fresh = Some(context.waker().clone());
        }
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
        let mut fresh = None;
        loop {
            let mut wakes = WakeBatch::new();
            let mut state = self.0.state.lock();
            let mut count = 0;
            while count < limit
                && let Some((value, mut sender)) = state.take()
            {
                buffer.push(value);
                wakes.take_from(&mut sender);
                count += 1;
            }
            if count > 0 {
                return Poll::Ready(count);
            }
            if let Some(poll) = wait(state, &mut fresh, context) {
                return poll.map(|()| 0);
            }
            fresh = Some(context.waker().clone());
        }
    }

    #[inline]
    pub(super) fn recv(&mut self) -> Recv<'_, T, F> {
        Recv(Wait { rx: self, pending: false })
    }

    pub(super) async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        let mut wait = Wait { rx: self, pending: false };
        poll_fn(|context| wait.note(|rx| rx.poll_recv_many(context, buffer, limit))).await
    }

    #[inline]
    pub(super) fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let (value, sender) = self.0.state.lock().try_receive()?;
        wake(sender);
        Ok(value)
    }

    pub(super) fn close(&mut self) {
        self.0.with(State::close);
    }
}

/// Waits as the one who receives, for there is no message: ready if there never will be one, `None` for a fresh waker. Unlocks,
/// before it wakes the sender that meets a receiver now.
#[inline]
fn wait<T>(
    mut state: impl DerefMut<Target = State<T>>,
    fresh: &mut Option<Waker>,
    context: &Context<'_>,
) -> Option<Poll<()>> {
    if state.is_finished() {
        return Some(Poll::Ready(()));
    }
    store_waker(&mut state.receiver, fresh, context)?;
    let sender = state.want();
    drop(state);
    wake(sender);
    Some(Poll::Pending)
}

impl<T, F: Flavor> Drop for Rx<T, F> {
    #[inline]
    fn drop(&mut self) {
        self.close();
        let left = self.0.with(|state, _| {
            state.abandoned = true;
            (state.receiver.take(), mem::take(&mut state.queue))
        });
        drop(left);
    }
}

/// The future of one message.
#[must_use = "it receives only when awaited"]
pub(super) struct Recv<'a, T, F: Flavor>(Wait<'a, T, F>);

impl<T, F: Flavor> Future for Recv<'_, T, F> {
    type Output = Option<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.note(|rx| rx.poll_recv(context))
    }
}

/// A receive that waits: when it is dropped, the receiver wants nothing any more.
struct Wait<'a, T, F: Flavor> {
    rx: &'a mut Rx<T, F>,
    /// Whether the last poll left it waiting.
    pending: bool,
}

impl<T, F: Flavor> Wait<'_, T, F> {
    #[inline]
    fn note<R>(&mut self, poll: impl FnOnce(&mut Rx<T, F>) -> Poll<R>) -> Poll<R> {
        let poll = poll(self.rx);
        self.pending = poll.is_pending();
        poll
    }
}

impl<T, F: Flavor> Drop for Wait<'_, T, F> {
    #[inline]
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
