//! What the halves of a channel share, under its lock, and each transition of it.
//!
//! A bounded channel has so many places. A place is free, or *reserved* for a sender that holds a permit, or taken by a message
//! in the queue. A place that becomes free goes to the sender that waits longest, as a permit, in the same transition. One that
//! waits for several is served whole: free places pile up for it, and nobody overtakes it.
//!
//! A rendezvous channel has no places. A sender that waits offers its message in its slot, and the receiver takes it from there.
//! What would need a place (a permit, a `try_send`) gets one only while the receiver waits: the receiver's *demand*, once.
//!
//! Nothing here runs foreign code: wakers and messages leave by return, or in a batch where there may be several.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use crate::audience::Audience;
use crate::waiters::{Key, Waiters};
use crate::wake::WakeBatch;

use super::error::{TryRecvError, TrySendError};

/// How much a channel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacity {
    Rendezvous,
    Bounded(usize),
    Unbounded,
}

pub(super) struct State<T> {
    /// Sent, not received.
    pub(super) queue: VecDeque<T>,
    /// How many messages and permits there may be: none in a rendezvous.
    places: usize,
    /// Permits given out and neither used nor given back.
    reserved: usize,
    /// The receiver takes nothing new, but what was reserved before.
    pub(super) closed: bool,
    /// The receiver was dropped: what is sent by a permit is dropped too.
    pub(super) abandoned: bool,
    /// The receiver waits and no sender has answered to that yet. Only in a rendezvous.
    pub(super) demand: bool,
    capacity: Capacity,
    /// Who waits for a message. Set by the receiver, taken by who has news for it.
    pub(super) receiver: Option<Waker>,
    /// The futures of senders. Those that are linked wait.
    pub(super) senders: Waiters<Waiter<T>>,
    /// Senders that wait for the close.
    pub(super) closing: Audience,
    /// Sending halves, the weak ones not counted. When it is zero it stays zero.
    pub(super) strong: usize,
    pub(super) weak: usize,
}

/// Where a sender's future stands.
pub(super) enum Waiter<T> {
    /// Linked, for so many permits, at least one.
    Waiting(usize, Waker),
    /// Unlinked: holds the permits.
    Granted,
    /// Linked, with a message for the receiver to take.
    Offering(Waker, T),
    /// Unlinked: the receiver has the message.
    Taken,
    /// Unlinked: the channel was closed; an offered message waits to be fetched.
    Refused(Option<T>),
}

/// What became of a sender that asked for permits without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It has them.
    Granted,
    Full,
    Closed,
}

/// A message that was taken, and the sender to wake that gets its room or learns of it.
pub(super) type Taken<T> = (T, Option<Waker>);

impl<T> State<T> {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            queue: VecDeque::new(),
            places: match capacity {
                Capacity::Rendezvous => 0,
                Capacity::Bounded(places) => places,
                Capacity::Unbounded => usize::MAX,
            },
            reserved: 0,
            closed: false,
            abandoned: false,
            demand: false,
            capacity,
            receiver: None,
            senders: Waiters::new(),
            closing: Audience::new(),
            strong: 1,
            weak: 0,
        }
    }

    // Sending.

    /// Gives so many permits, at least one, if there are so many free places and nobody waits for them.
    pub(super) fn admit(&mut self, count: usize) -> Admission {
        if self.closed {
            return Admission::Closed;
        }
        if !self.is_room(count) {
            return Admission::Full;
        }
        self.reserved += count;
        Admission::Granted
    }

    /// Sends a message if there is a free place. Returns the receiver, to be woken.
    #[inline]
    pub(super) fn try_send(&mut self, value: T) -> Result<Option<Waker>, TrySendError<T>> {
        if self.closed {
            return Err(TrySendError::Closed(value));
        }
        if !self.is_room(1) {
            return Err(TrySendError::Full(value));
        }
        self.queue.push_back(value);
        Ok(self.receiver.take())
    }

    /// Whether somebody who comes now may have so many places.
    #[inline]
    fn is_room(&mut self, count: usize) -> bool {
        count <= self.available() || self.capacity == Capacity::Rendezvous && mem::take(&mut self.demand)
    }

    /// Uses a permit. Returns the receiver, to be woken, or a message that nobody will receive, to be dropped after unlocking.
    pub(super) fn send_reserved(&mut self, value: T) -> Result<Option<Waker>, T> {
        self.reserved -= 1;
        if self.abandoned {
            return Err(value);
        }
        self.queue.push_back(value);
        Ok(self.receiver.take())
    }

    /// Offers a message to the receiver, which is returned to be woken. Only in a rendezvous that is not closed.
    pub(super) fn offer(&mut self, value: T, waker: Waker) -> (Key, Option<Waker>) {
        self.demand = false;
        (self.senders.push_back(Waiter::Offering(waker, value)), self.receiver.take())
    }

    /// Gives permits back, to the senders that wait longest.
    pub(super) fn release(&mut self, count: usize, wakes: &mut WakeBatch) {
        self.reserved -= count;
        self.grant(wakes);
        // The receiver may have waited for just this permit: a rendezvous turns to the next sender, a closed channel may be
        // at its end.
        if self.capacity == Capacity::Rendezvous || self.is_finished() {
            wakes.take_from(&mut self.receiver);
        }
    }

    /// Ends the wait of a sender for so many permits that was given up. What the slot held comes back, to be dropped after
    /// unlocking.
    #[must_use]
    pub(super) fn leave(&mut self, key: Key, count: usize, wakes: &mut WakeBatch) -> Waiter<T> {
        let waiter = self.senders.remove(key);
        match waiter {
            Waiter::Granted => self.release(count, wakes),
            // What piled up for it may do for the next.
            Waiter::Waiting(..) => self.grant(wakes),
            Waiter::Offering(..) | Waiter::Taken | Waiter::Refused(_) => {}
        }
        waiter
    }

    /// Passes free places to the senders that wait longest, as long as there are enough.
    fn grant(&mut self, wakes: &mut WakeBatch) {
        while let Some(waker) = self.grant_next() {
            wakes.push(waker);
        }
    }

    /// Passes free places to the sender that waits longest, if there are enough. Returns it, to be woken.
    #[inline]
    fn grant_next(&mut self) -> Option<Waker> {
        if self.senders.is_empty() { None } else { self.grant_first() }
    }

    fn grant_first(&mut self) -> Option<Waker> {
        let Some(Waiter::Waiting(count, _)) = self.senders.front() else { return None };
        let count = *count;
        // In a rendezvous there is no place, and after a close nobody waits.
        if count > self.free() {
            return None;
        }
        self.reserved += count;
        self.senders.pop_front()?.answer(Waiter::Granted)
    }

    /// Free places that nobody waits for.
    #[inline]
    pub(super) fn available(&self) -> usize {
        if self.senders.is_empty() { self.free() } else { 0 }
    }

    #[inline]
    fn free(&self) -> usize {
        // A rendezvous has more than its places when it answers a demand.
        self.places.saturating_sub(self.reserved + self.queue.len())
    }

    /// All places.
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// The most permits that one sender can have.
    pub(super) fn most(&self) -> usize {
        self.places.max(1)
    }

    // Receiving.

    /// Takes the next message that is there.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Taken<T>> {
        match self.queue.pop_front() {
            Some(value) => Some((value, self.vacate())),
            None if self.senders.is_empty() => None,
            None => self.take_offered(),
        }
    }

    /// Takes the next message for a receiver that does not wait. Of a rendezvous it takes the first offer, for it cannot
    /// meet a sender that wants a permit.
    pub(super) fn try_receive(&mut self) -> Result<Taken<T>, TryRecvError> {
        if let Some(value) = self.queue.pop_front() {
            return Ok((value, self.vacate()));
        }
        if let Some(waiter) = self.senders.pop_first(|waiter| matches!(waiter, Waiter::Offering(..))) {
            return Ok(waiter.take_offer());
        }
        Err(if self.is_finished() { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }

    /// A message left the queue: its place goes to the next sender, which is returned to be woken. There is one at most, for one
    /// place more is what it lacked.
    #[inline]
    fn vacate(&mut self) -> Option<Waker> {
        if self.queue.is_empty() && self.queue.capacity() > KEPT && self.capacity == Capacity::Unbounded {
            self.queue.shrink_to(KEPT);
        }
        self.grant_next()
    }

    /// Takes the message of the sender that waits longest, if that one offers one and no permit is out.
    fn take_offered(&mut self) -> Option<Taken<T>> {
        if self.reserved > 0 || !matches!(self.senders.front(), Some(Waiter::Offering(..))) {
            return None;
        }
        Some(self.senders.pop_front()?.take_offer())
    }

    /// The receiver waits from now on, for there is no message. A rendezvous has a demand then, which goes to the sender that
    /// waits longest for a permit; that one is returned to be woken.
    #[inline]
    pub(super) fn want(&mut self) -> Option<Waker> {
        if self.capacity == Capacity::Rendezvous { self.demand() } else { None }
    }

    fn demand(&mut self) -> Option<Waker> {
        // One permit at a time: while it is out, the receiver waits for its message.
        self.demand = self.reserved == 0 && !self.closed;
        if !self.demand {
            return None;
        }
        let waiter = self.senders.pop_front()?;
        self.demand = false;
        self.reserved += 1;
        waiter.answer(Waiter::Granted)
    }

    /// Whether there is no message and never will be.
    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        self.queue.is_empty() && (self.strong == 0 || self.closed && self.reserved == 0)
    }

    /// Refuses everyone who waits and whoever comes.
    pub(super) fn close(&mut self, wakes: &mut WakeBatch) {
        self.closed = true;
        self.demand = false;
        while let Some(waiter) = self.senders.pop_front() {
            wakes.take_from(&mut waiter.answer(Waiter::Refused(None)));
        }
        self.closing.call(wakes);
    }
}

impl<T> Waiter<T> {
    /// Leaves the answer and returns the waker of the future. A refused offer stays in the slot.
    fn answer(&mut self, answer: Self) -> Option<Waker> {
        match mem::replace(self, answer) {
            Self::Waiting(_, waker) => Some(waker),
            Self::Offering(waker, value) => {
                debug_assert!(matches!(self, Self::Refused(None)), "an offer is refused or taken");
                *self = Self::Refused(Some(value));
                Some(waker)
            }
            Self::Granted | Self::Taken | Self::Refused(_) => unreachable!("only who waits is linked"),
        }
    }

    fn take_offer(&mut self) -> Taken<T> {
        let Self::Offering(waker, value) = mem::replace(self, Self::Taken) else {
            unreachable!("the caller saw the offer");
        };
        (value, Some(waker))
    }
}

/// Of an unbounded queue that ran empty, room for so many messages is kept.
const KEPT: usize = 1024;
