//! What the halves of a channel share, under its lock, and each transition of it.
//!
//! A bounded channel has so many places. A place is free, or *reserved* for a sender that holds a permit, or taken by a message
//! in the queue. A place that becomes free goes to the sender that waits longest, as a permit, in the same transition; so while
//! senders wait there is no free place, and nobody overtakes them.
//!
//! A rendezvous channel has no places. A sender that waits offers its message in its slot, and the receiver takes it from there.
//! What would need a place (a permit, a `try_send`) gets one only while the receiver waits: the receiver's *demand*, once.
//!
//! Nothing here runs foreign code: wakers leave by a batch, messages by return.

use std::collections::VecDeque;
use std::mem;
use std::task::{Poll, Waker};

use crate::waiters::{Key, Waiters};
use crate::wake::WakeBatch;

use super::error::{TryRecvError, TrySendError};

/// How much a channel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capacity {
    Rendezvous,
    Bounded(usize),
    Unbounded,
}

pub(super) struct State<T> {
    pub(super) capacity: Capacity,
    /// Sent, not received.
    pub(super) queue: VecDeque<T>,
    /// Permits given out and neither used nor given back.
    pub(super) reserved: usize,
    /// The receiver waits and no sender has answered to that yet. Only in a rendezvous.
    pub(super) demand: bool,
    /// The futures of senders. Those that are linked wait.
    pub(super) senders: Waiters<Waiter<T>>,
    /// Sending halves, the weak ones not counted. When it is zero it stays zero.
    pub(super) strong: usize,
    pub(super) weak: usize,
    /// The receiver takes nothing new, but what was reserved before.
    pub(super) closed: bool,
    /// The receiver was dropped: what is sent by a permit is dropped too.
    pub(super) abandoned: bool,
    /// Who waits for a message. Set by the receiver, taken by who has news for it.
    pub(super) receiver: Option<Waker>,
}

/// Where a sender's future stands.
pub(super) enum Waiter<T> {
    /// Linked, for a permit.
    Waiting(Option<Waker>),
    /// Unlinked: holds a permit.
    Granted,
    /// Linked, with a message for the receiver to take.
    Offering(Option<Waker>, T),
    /// Unlinked: the receiver has the message.
    Taken,
    /// Unlinked: the channel was closed; an offered message waits to be fetched.
    Refused(Option<T>),
}

/// What became of a sender that asked for a permit without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It has one.
    Granted,
    Full,
    Closed,
}

impl<T> State<T> {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            queue: VecDeque::new(),
            reserved: 0,
            demand: false,
            senders: Waiters::new(),
            strong: 1,
            weak: 0,
            closed: false,
            abandoned: false,
            receiver: None,
        }
    }

    // Sending.

    /// Gives a permit if there is a free place.
    pub(super) fn admit(&mut self) -> Admission {
        if self.closed {
            return Admission::Closed;
        }
        let free = match self.capacity {
            Capacity::Rendezvous => mem::take(&mut self.demand),
            Capacity::Bounded(_) => self.free() > 0,
            Capacity::Unbounded => true,
        };
        if !free {
            return Admission::Full;
        }
        self.reserved += 1;
        Admission::Granted
    }

    /// Sends a message if there is a free place.
    pub(super) fn try_send(&mut self, value: T, wakes: &mut WakeBatch) -> Result<(), TrySendError<T>> {
        match self.admit() {
            Admission::Granted => {
                // The receiver is there, for the channel is not closed.
                let unwanted = self.send_reserved(value, wakes);
                debug_assert!(unwanted.is_none());
                Ok(())
            }
            Admission::Full => Err(TrySendError::Full(value)),
            Admission::Closed => Err(TrySendError::Closed(value)),
        }
    }

    /// Uses a permit. A message for nobody comes back, to be dropped after unlocking.
    #[must_use]
    pub(super) fn send_reserved(&mut self, value: T, wakes: &mut WakeBatch) -> Option<T> {
        self.reserved -= 1;
        if self.abandoned {
            return Some(value);
        }
        self.queue.push_back(value);
        wakes.take_from(&mut self.receiver);
        None
    }

    /// Offers a message to the receiver and wakes it. Only in a rendezvous that is not closed.
    pub(super) fn offer(&mut self, value: T, waker: Waker, wakes: &mut WakeBatch) -> Key {
        self.demand = false;
        wakes.take_from(&mut self.receiver);
        self.senders.push_back(Waiter::Offering(Some(waker), value))
    }

    /// Gives a permit back, to the sender that waits longest.
    pub(super) fn release(&mut self, wakes: &mut WakeBatch) {
        self.reserved -= 1;
        self.grant(wakes);
        // The receiver may have waited for just this permit: a rendezvous turns to the next sender, a closed channel may be
        // at its end.
        if self.capacity == Capacity::Rendezvous || self.is_finished() {
            wakes.take_from(&mut self.receiver);
        }
    }

    /// Ends a sender's wait that was given up. What the slot held comes back, to be dropped after unlocking.
    #[must_use]
    pub(super) fn leave(&mut self, key: Key, wakes: &mut WakeBatch) -> Waiter<T> {
        let waiter = self.senders.remove(key);
        if let Waiter::Granted = waiter {
            self.release(wakes);
        }
        waiter
    }

    /// Passes a free place, if there is one, to the sender that waits longest.
    fn grant(&mut self, wakes: &mut WakeBatch) {
        if !matches!(self.capacity, Capacity::Bounded(_)) || self.closed || self.free() == 0 {
            return;
        }
        if let Some(waiter) = self.senders.pop_front() {
            self.reserved += 1;
            waiter.answer(Waiter::Granted, wakes);
        }
    }

    /// Free places; only a bounded channel has any.
    pub(super) fn free(&self) -> usize {
        if let Capacity::Bounded(places) = self.capacity { places - self.reserved - self.queue.len() } else { 0 }
    }

    /// All places; only a bounded channel has any.
    pub(super) fn places(&self) -> usize {
        if let Capacity::Bounded(places) = self.capacity { places } else { 0 }
    }

    // Receiving.

    /// Takes the next message for a receiver that otherwise waits.
    pub(super) fn receive(&mut self, wakes: &mut WakeBatch) -> Poll<Option<T>> {
        if let Some(value) = self.take(wakes) {
            return Poll::Ready(Some(value));
        }
        if self.is_finished() {
            return Poll::Ready(None);
        }
        // One permit at a time in a rendezvous: while it is out, the receiver waits for its message.
        self.demand = self.capacity == Capacity::Rendezvous && self.reserved == 0 && !self.closed;
        if self.demand
            && let Some(waiter) = self.senders.pop_front()
        {
            self.demand = false;
            self.reserved += 1;
            waiter.answer(Waiter::Granted, wakes);
        }
        Poll::Pending
    }

    /// Takes the next message for a receiver that does not wait. Of a rendezvous it takes the first offer, for it cannot
    /// meet a sender that wants a permit.
    pub(super) fn try_receive(&mut self, wakes: &mut WakeBatch) -> Result<T, TryRecvError> {
        let value = self.take_queued(wakes).or_else(|| {
            let waiter = self.senders.pop_first(|waiter| matches!(waiter, Waiter::Offering(..)))?;
            waiter.take_offer(wakes)
        });
        value.ok_or(if self.is_finished() { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }

    /// Takes the next message that is there.
    pub(super) fn take(&mut self, wakes: &mut WakeBatch) -> Option<T> {
        self.take_queued(wakes).or_else(|| self.take_offered(wakes))
    }

    fn take_queued(&mut self, wakes: &mut WakeBatch) -> Option<T> {
        let value = self.queue.pop_front()?;
        if self.queue.is_empty() && self.capacity == Capacity::Unbounded && self.queue.capacity() > KEPT {
            self.queue.shrink_to(KEPT);
        }
        self.grant(wakes);
        Some(value)
    }

    /// Takes the message of the sender that waits longest, if that one offers one and no permit is out.
    fn take_offered(&mut self, wakes: &mut WakeBatch) -> Option<T> {
        if self.reserved > 0 || !matches!(self.senders.front(), Some(Waiter::Offering(..))) {
            return None;
        }
        self.senders.pop_front()?.take_offer(wakes)
    }

    /// Whether there is no message and never will be.
    pub(super) fn is_finished(&self) -> bool {
        self.queue.is_empty() && (self.strong == 0 || self.closed && self.reserved == 0)
    }

    /// Refuses everyone who waits and whoever comes.
    pub(super) fn close(&mut self, wakes: &mut WakeBatch) {
        self.closed = true;
        self.demand = false;
        while let Some(waiter) = self.senders.pop_front() {
            waiter.answer(Waiter::Refused(None), wakes);
        }
    }
}

impl<T> Waiter<T> {
    /// Leaves the answer and wakes the future. A refused offer stays in the slot.
    fn answer(&mut self, answer: Self, wakes: &mut WakeBatch) {
        let mut waker = match mem::replace(self, answer) {
            Self::Waiting(waker) => waker,
            Self::Offering(waker, value) => {
                debug_assert!(matches!(self, Self::Refused(None)), "an offer is refused or taken");
                *self = Self::Refused(Some(value));
                waker
            }
            Self::Granted | Self::Taken | Self::Refused(_) => unreachable!("only who waits is linked"),
        };
        wakes.take_from(&mut waker);
    }

    fn take_offer(&mut self, wakes: &mut WakeBatch) -> Option<T> {
        let Self::Offering(mut waker, value) = mem::replace(self, Self::Taken) else {
            unreachable!("the caller saw the offer");
        };
        wakes.take_from(&mut waker);
        Some(value)
    }
}

/// Of an unbounded queue that ran empty, room for so many messages is kept.
const KEPT: usize = 1024;
