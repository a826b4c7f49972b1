//! What has arrived and nobody has read: bytes put together for a `read_exact`, then the buffers of the queue.

use std::collections::VecDeque;

use quoit_runtime::buf::RecvBuf;

use crate::stream::receiving::{MOST_BYTES_QUEUED, MOST_QUEUED, Receiving};

#[derive(Debug, Default)]
pub(super) struct Assembled {
    bytes: Vec<u8>,
    /// How many of them have been taken.
    taken: usize,
}

impl Assembled {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// What had arrived, while a reader looks at it.
pub(super) struct Arrived<'a> {
    of: &'a Receiving,
    pub(super) assembled: Assembled,
    pub(super) queue: VecDeque<RecvBuf>,
}

impl Arrived<'_> {
    pub(super) fn there_are(&self) -> bool {
        !self.assembled.rest().is_empty() || !self.queue.is_empty()
    }
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        self.of.assembled.replace(std::mem::take(&mut self.assembled));
        let late = self.of.queue.replace(std::mem::take(&mut self.queue));
        self.of.queue.borrow_mut().extend(late);
    }
}

impl Receiving {
    /// Takes the first bytes.
    pub(super) fn pop(&self) -> Option<RecvBuf> {
        let assembled = self.assembled.take();
        if !assembled.bytes.is_empty() {
            let mut bytes = RecvBuf::from_vec(assembled.bytes);
            bytes.advance(assembled.taken);
            return Some(bytes);
        }
        self.queue.borrow_mut().pop_front()
    }

    /// Hands out bytes in order until `take` takes fewer than it was given, without the descriptors that came with them.
    /// Whether there were any.
    pub(super) fn consume(&self, take: impl FnMut(&[u8]) -> usize) -> bool {
        let there_were = self.hand_out(take);
        self.close_taken();
        there_were
    }

    /// As [`consume`](Self::consume), but descriptors stay.
    pub(super) fn hand_out(&self, mut take: impl FnMut(&[u8]) -> usize) -> bool {
        // Taken out while the user's buffer is filled, whose code is the user's; put back also if that panics.
        let mut arrived = self.take_arrived();
        let there_were = arrived.there_are();
        let Arrived { assembled, queue, .. } = &mut arrived;
        let taken = take(assembled.rest());
        assembled.take(taken);
        self.advance(taken);
        if !assembled.rest().is_empty() {
            return there_were;
        }
        while let Some(front) = queue.front_mut() {
            let taken = take(front);
            self.advance(taken);
            if taken < front.len() {
                front.advance(taken);
                break;
            }
            queue.pop_front();
        }
        there_were
    }

    pub(super) fn take_arrived(&self) -> Arrived<'_> {
        Arrived { of: self, assembled: self.assembled.take(), queue: self.queue.take() }
    }

    pub(super) fn has_bytes(&self) -> bool {
        !self.assembled.borrow().rest().is_empty() || !self.queue.borrow().is_empty()
    }

    /// How many bytes are there.
    pub(super) fn available(&self) -> usize {
        let queued = self.queue.borrow().iter().map(|bytes| bytes.len()).sum::<usize>();
        self.assembled.borrow().rest().len() + queued
    }

    /// Moves the queued bytes into memory of our own, which gives their buffers back to the ring.
    pub(super) fn assemble(&self, wanted: usize) {
        let mut assembled = self.assembled.borrow_mut();
        let room = wanted.saturating_sub(assembled.rest().len());
        assembled.bytes.reserve(room);
        for bytes in self.queue.borrow_mut().drain(..) {
            assembled.bytes.extend_from_slice(&bytes);
        }
    }

    /// Whether so many buffers, or so many bytes, wait in the queue.
    pub(super) fn exceeds(&self, buffers: usize, bytes: usize) -> bool {
        let queue = self.queue.borrow();
        queue.len() >= buffers || queue.iter().map(|bytes| bytes.len()).sum::<usize>() >= bytes
    }

    /// A receive that was stopped may go on: the queue is half empty.
    pub(super) fn has_room(&self) -> bool {
        !self.exceeds(MOST_QUEUED / 2 + 1, MOST_BYTES_QUEUED / 2 + 1)
    }
}
