//! What has arrived and nobody has read: bytes put together for a `read_exact`, then the buffers of the queue.

use quoit_runtime::buf::RecvBuf;

use crate::stream::queue::Queue;
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

    fn into_buf(self) -> RecvBuf {
        let mut bytes = RecvBuf::from_vec(self.bytes);
        bytes.advance(self.taken);
        bytes
    }
}

/// What had arrived, while a reader looks at it.
pub(super) struct Arrived<'a> {
    of: &'a Receiving,
    pub(super) assembled: Assembled,
    pub(super) queue: Queue,
}

impl Arrived<'_> {
    pub(super) fn there_are(&self) -> bool {
        !self.assembled.rest().is_empty() || !self.queue.is_empty()
    }
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        // The reader's buffer may have brought about that more has arrived, and even that it was put together.
        let assembled = self.of.assembled.replace(std::mem::take(&mut self.assembled));
        let mut late = self.of.queue.replace(std::mem::take(&mut self.queue));
        let mut queue = self.of.queue.borrow_mut();
        if !assembled.rest().is_empty() {
            queue.push(assembled.into_buf());
        }
        while let Some(bytes) = late.pop() {
            queue.push(bytes);
        }
    }
}

impl Receiving {
    /// Takes the first bytes.
    #[inline]
    pub(super) fn pop(&self) -> Option<RecvBuf> {
        if self.assembled.borrow().bytes.is_empty() {
            self.queue.borrow_mut().pop()
        } else {
            Some(self.pop_assembled())
        }
    }

    #[cold]
    fn pop_assembled(&self) -> RecvBuf {
        self.assembled.take().into_buf()
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
        while let Some(front) = queue.front() {
            let (taken, len) = (take(front), front.len());
            self.advance(taken);
            queue.take_of_front(taken);
            if taken < len {
                break;
            }
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
        self.assembled.borrow().rest().len() + self.queue.borrow().bytes()
    }

    /// Moves the queued bytes into memory of our own, which gives their buffers back to the ring.
    pub(super) fn assemble(&self, wanted: usize) {
        let mut assembled = self.assembled.borrow_mut();
        let room = wanted.saturating_sub(assembled.rest().len());
        assembled.bytes.reserve(room);
        let mut queue = self.queue.take();
        while let Some(bytes) = queue.pop() {
            assembled.bytes.extend_from_slice(&bytes);
        }
    }

    /// Whether so many buffers, or so many bytes, wait in the queue.
    #[inline]
    pub(super) fn exceeds(&self, buffers: usize, bytes: usize) -> bool {
        let queue = self.queue.borrow();
        queue.len() >= buffers || queue.bytes() >= bytes
    }

    /// A receive that was stopped may go on: the queue is half empty.
    pub(super) fn has_room(&self) -> bool {
        !self.exceeds(MOST_QUEUED / 2 + 1, MOST_BYTES_QUEUED / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(receiving: &Receiving, text: &str) {
        receiving.queue.borrow_mut().push(RecvBuf::from_vec(text.as_bytes().to_vec()));
    }

    #[test]
    fn what_arrives_while_a_reader_looks_comes_behind_the_rest_also_where_it_was_put_together() {
        let receiving = Receiving::default();
        arrive(&receiving, "abc");
        let mut arrivals = vec!["jkl", "ghi", "def"];
        receiving.hand_out(|bytes| {
            for _ in 0..arrivals.len() {
                arrive(&receiving, arrivals.pop().expect("as many as there are"));
                if arrivals.len() == 1 {
                    receiving.assemble(100);
                }
            }
            bytes.len().min(2)
        });
        assert_eq!(receiving.available(), 10);
        let mut text = Vec::new();
        receiving.consume(|bytes| {
            text.extend_from_slice(bytes);
            bytes.len()
        });
        assert_eq!((text, receiving.available()), (b"cdefghijkl".to_vec(), 0));
    }
}
