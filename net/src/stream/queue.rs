//! The buffers that have arrived and wait for a reader, in order.

use std::collections::VecDeque;
use std::mem;

use quoit_runtime::buf::RecvBuf;

/// A queue of received buffers. Most often there is one at a time, which needs no allocation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    first: Option<RecvBuf>,
    /// Empty where there is no first one.
    others: VecDeque<RecvBuf>,
    /// How many bytes are in all of them.
    bytes: usize,
}

impl Queue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many bytes there are.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many buffers there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: RecvBuf) {
        self.bytes += bytes.len();
        if self.first.is_none() {
            self.first = Some(bytes);
        } else {
            self.others.push_back(bytes);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<RecvBuf> {
        let next = if self.others.is_empty() { None } else { self.others.pop_front() };
        let first = mem::replace(&mut self.first, next)?;
        self.bytes -= first.len();
        Some(first)
    }

    pub(super) fn front(&self) -> Option<&RecvBuf> {
        self.first.as_ref()
    }

    /// Takes the first `count` bytes of the first buffer, and the buffer with the last of them.
    pub(super) fn take_of_front(&mut self, count: usize) {
        let Some(first) = &mut self.first else { return };
        if count < first.len() {
            first.advance(count);
            self.bytes -= count;
        } else {
            drop(self.pop());
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RecvBuf> {
        self.first.iter().chain(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Queue {
        let mut queue = Queue::default();
        texts.iter().for_each(|text| queue.push(RecvBuf::from_vec(text.as_bytes().to_vec())));
        queue
    }

    fn counts(queue: &Queue) -> (usize, usize, bool) {
        (queue.len(), queue.bytes(), queue.is_empty())
    }

    #[test]
    fn buffers_come_out_as_they_came_in_and_are_counted() {
        let mut queue = of(&["one", "three", ""]);
        assert_eq!(counts(&queue), (3, 8, false));
        assert_eq!(queue.pop().unwrap(), b"one");
        queue.push(RecvBuf::from_vec(b"4".to_vec()));
        assert_eq!(counts(&queue), (3, 6, false));
        assert_eq!(queue.iter().map(|bytes| bytes.len()).collect::<Vec<_>>(), [5, 0, 1]);
        for text in ["three", "", "4"] {
            assert_eq!(queue.pop().unwrap(), text.as_bytes());
        }
        assert_eq!((queue.pop(), counts(&queue)), (None, (0, 0, true)));
    }

    #[test]
    fn a_buffer_goes_with_its_last_byte() {
        let mut queue = of(&["abc", "de"]);
        queue.take_of_front(2);
        assert_eq!((queue.front().unwrap().to_vec(), counts(&queue)), (b"c".to_vec(), (2, 3, false)));
        queue.take_of_front(1);
        assert_eq!((queue.front().unwrap().to_vec(), counts(&queue)), (b"de".to_vec(), (1, 2, false)));
        queue.take_of_front(2);
        assert_eq!(counts(&queue), (0, 0, true));
        queue.take_of_front(0);
        assert_eq!(counts(&queue), (0, 0, true));
    }
}
