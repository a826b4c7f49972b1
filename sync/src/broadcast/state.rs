//! What all halves of a channel share, as transitions under its lock.
//!
//! Messages are counted from the channel's beginning; a receiver is the number of its next message. The queue holds those from
//! `first` on, each with how many receivers have yet to get it. As receivers take messages in order, a message that all of them
//! have is the oldest in the queue, and is gone at once. Only overwriting takes one that a receiver wants.

use std::collections::VecDeque;
use std::fmt;

use crate::audience::Audience;
use crate::shim::{Arc, Lock};
use crate::wake::WakeBatch;

use super::error::RecvError;

/// A message as the receivers share it. Its lock is for the clone only: messages need not be `Sync`.
pub(super) type Message<T> = Arc<Lock<T>>;

pub(super) struct State<T> {
    /// A power of two.
    pub(super) capacity: usize,
    /// At most `capacity`.
    queue: VecDeque<Slot<T>>,
    /// The number of the first in the queue, or of the next if there is none.
    first: u64,
    /// Strong ones. When it is zero it stays zero.
    pub(super) senders: usize,
    pub(super) weak_senders: usize,
    pub(super) receivers: usize,
    /// Receivers that wait for a message, or for the last sender to go.
    pub(super) audience: Audience,
    /// Senders that wait for the last receiver to go.
    pub(super) closing: Audience,
}

struct Slot<T> {
    message: Message<T>,
    /// How many receivers have yet to get it, at least one.
    awaited_by: usize,
}

impl<T> State<T> {
    /// Of one sender and no receiver.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            queue: VecDeque::new(),
            first: 0,
            senders: 1,
            weak_senders: 0,
            receivers: 0,
            audience: Audience::new(),
            closing: Audience::new(),
        }
    }

    /// How many messages somebody has yet to get.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many messages there were since that one, even if they are gone.
    pub(super) fn len_from(&self, next: u64) -> usize {
        usize::try_from(self.end() - next).expect("as many messages as fit in memory's count")
    }

    /// The number of the next message to be sent.
    fn end(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    /// Adds a receiver of what is sent from now on.
    pub(super) fn subscribe(&mut self) -> u64 {
        self.receivers += 1;
        self.end()
    }

    /// Sends to all receivers there are, and returns their number with the message that had to make room for it; or gives the
    /// message back if there are none.
    #[must_use = "messages are dropped without the lock"]
    pub(super) fn send(&mut self, value: T, wakes: &mut WakeBatch) -> Result<(usize, Option<Message<T>>), T> {
        if self.receivers == 0 {
            return Err(value);
        }
        let message = Arc::new(Lock::new(value));
        let oldest = if self.queue.len() == self.capacity { self.pop() } else { None };
        self.queue.push_back(Slot { message, awaited_by: self.receivers });
        self.audience.call(wakes);
        Ok((self.receivers, oldest))
    }

    /// What a receiver is to get, if there is anything; `next` counts on.
    pub(super) fn receive(&mut self, next: &mut u64) -> Option<Result<Message<T>, RecvError>> {
        if *next == self.end() {
            return (self.senders == 0).then_some(Err(RecvError::Closed));
        }
        if *next < self.first {
            let missed = self.first - *next;
            *next = self.first;
            return Some(Err(RecvError::Lagged(missed)));
        }
        let index = usize::try_from(*next - self.first).expect("an index into the queue");
        *next += 1;
        let slot = &mut self.queue[index];
        slot.awaited_by -= 1;
        if slot.awaited_by > 0 {
            return Some(Ok(slot.message.clone()));
        }
        assert_eq!(index, 0, "who has this message has those before it");
        self.pop().map(Ok)
    }

    /// Takes a receiver away, and returns the messages that only it had yet to get.
    #[must_use = "messages are dropped without the lock"]
    pub(super) fn unsubscribe(&mut self, next: u64, wakes: &mut WakeBatch) -> Vec<Message<T>> {
        self.receivers -= 1;
        if self.receivers == 0 {
            self.closing.call(wakes);
        }
        let index = usize::try_from(next.saturating_sub(self.first)).expect("an index into the queue");
        self.queue.iter_mut().skip(index).for_each(|slot| slot.awaited_by -= 1);
        let done = self.queue.iter().take_while(|slot| slot.awaited_by == 0).count();
        self.first += done as u64;
        self.queue.drain(..done).map(|slot| slot.message).collect()
    }

    fn pop(&mut self) -> Option<Message<T>> {
        let slot = self.queue.pop_front()?;
        self.first += 1;
        Some(slot.message)
    }
}

/// Prints a channel for its halves.
pub(super) fn print<T>(name: &str, state: &Lock<State<T>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let state = state.lock();
    let (capacity, len, senders, receivers) = (state.capacity, state.len(), state.senders, state.receivers);
    drop(state);
    f.debug_struct(name)
        .field("capacity", &capacity)
        .field("len", &len)
        .field("senders", &senders)
        .field("receivers", &receivers)
        .finish_non_exhaustive()
}
