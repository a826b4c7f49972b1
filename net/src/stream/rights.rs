//! Descriptors that were passed along with the bytes of a stream, each at its place among them.
//!
//! The kernel does not tell which byte they were sent with, but only with which bytes they were received: it puts bytes that
//! have none in front of those that have, if there is room for both. So the place of descriptors is a range of bytes. They
//! belong to the stream until a future that asks for descriptors has got a byte of their range. Where all of it is read
//! without asking, they are closed, as the kernel does; likewise with the stream.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

#[derive(Debug, Default)]
pub(crate) struct Rights {
    /// In the order of the bytes.
    queue: RefCell<VecDeque<Passed>>,
    /// How many bytes have arrived in all.
    arrived: Cell<u64>,
    /// How many of them readers have taken.
    taken: Cell<u64>,
    /// How many descriptors wait.
    count: Cell<usize>,
}

/// What came with one message.
#[derive(Debug)]
struct Passed {
    /// The range of bytes that it came with: how many came before the first of them, and before the first behind them.
    start: u64,
    end: u64,
    descriptors: Vec<OwnedFd>,
    /// There were more, for which the process had no room; nobody has been told.
    were_lost: bool,
}

impl Rights {
    /// Bytes have arrived, and descriptors with them.
    pub(crate) fn arrived(&self, bytes: usize, descriptors: Vec<OwnedFd>, were_lost: bool) {
        let start = self.arrived.get();
        let end = start + bytes as u64;
        self.arrived.set(end);
        if !descriptors.is_empty() || were_lost {
            self.count.set(self.count.get() + descriptors.len());
            self.queue.borrow_mut().push_back(Passed { start, end, descriptors, were_lost });
        }
    }

    /// Readers have taken bytes.
    pub(crate) fn advance(&self, bytes: usize) {
        self.taken.set(self.taken.get() + bytes as u64);
    }

    /// How many bytes readers have taken.
    pub(crate) fn position(&self) -> u64 {
        self.taken.get()
    }

    /// Closes the descriptors of bytes that have been taken, which nobody has claimed.
    pub(crate) fn close_taken(&self) {
        while let Some(passed) = self.pop_if(|passed| passed.end <= self.taken.get()) {
            drop(passed);
        }
    }

    /// How many descriptors wait.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Whether descriptors that may be those of the next byte were lost. Told once.
    pub(crate) fn take_loss(&self) -> bool {
        let mut queue = self.queue.borrow_mut();
        let next = queue.front_mut().filter(|passed| passed.start <= self.taken.get());
        next.is_some_and(|passed| std::mem::take(&mut passed.were_lost))
    }

    /// How many bytes may be taken together, so that descriptors stay with theirs: up to where the next range begins or ends.
    pub(crate) fn bytes_until_border(&self) -> usize {
        let taken = self.taken.get();
        let queue = self.queue.borrow();
        let borders = queue.iter().flat_map(|passed| [passed.start, passed.end]);
        let next = borders.filter_map(|border| border.checked_sub(taken)).find(|distance| *distance > 0);
        next.map_or(usize::MAX, |distance| usize::try_from(distance).unwrap_or(usize::MAX))
    }

    /// The descriptors of the bytes from this position on that have just been taken.
    pub(crate) fn claim(&self, position: u64) -> Vec<OwnedFd> {
        let taken = self.taken.get();
        self.pop_if(|passed| passed.start < taken && position < passed.end)
            .map_or_else(Vec::new, |passed| passed.descriptors)
    }

    /// The stream is gone.
    pub(crate) fn close(&self) {
        while self.pop_if(|_| true).is_some() {}
    }

    fn pop_if(&self, wanted: impl FnOnce(&Passed) -> bool) -> Option<Passed> {
        let mut queue = self.queue.borrow_mut();
        if !wanted(queue.front()?) {
            return None;
        }
        let passed = queue.pop_front()?;
        self.count.set(self.count.get() - passed.descriptors.len());
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize) -> Vec<OwnedFd> {
        let null = std::fs::File::open("/dev/null").unwrap();
        (0..count).map(|_| OwnedFd::from(null.try_clone().unwrap())).collect()
    }

    /// Takes bytes with their descriptors.
    fn take(rights: &Rights, bytes: usize) -> usize {
        let position = rights.position();
        rights.advance(bytes);
        let claimed = rights.claim(position).len();
        rights.close_taken();
        claimed
    }

    #[test]
    fn descriptors_are_claimed_once_with_bytes_of_their_range() {
        let rights = Rights::default();
        rights.arrived(5, Vec::new(), false);
        rights.arrived(3, some(2), false);
        rights.arrived(4, some(1), true);
        assert_eq!((rights.bytes_until_border(), rights.count(), take(&rights, 4)), (5, 3, 0));
        assert_eq!((rights.bytes_until_border(), take(&rights, 1)), (1, 0));
        assert_eq!((rights.bytes_until_border(), rights.take_loss()), (3, false));
        assert_eq!((take(&rights, 2), rights.count(), take(&rights, 1)), (2, 1, 0));
        assert_eq!((rights.take_loss(), rights.take_loss(), take(&rights, 4)), (true, false, 1));
        assert_eq!((rights.bytes_until_border(), rights.count()), (usize::MAX, 0));
    }

    #[test]
    fn descriptors_are_closed_when_all_of_their_range_was_read_without_them() {
        let rights = Rights::default();
        rights.arrived(2, some(1), false);
        rights.arrived(4, some(2), false);
        rights.advance(3);
        rights.close_taken();
        // Their byte may be the next one.
        assert_eq!((rights.count(), take(&rights, 1), rights.count()), (2, 2, 0));
        rights.arrived(2, some(3), false);
        rights.advance(4);
        rights.close_taken();
        assert_eq!((rights.count(), rights.bytes_until_border()), (0, usize::MAX));
        rights.arrived(2, some(3), false);
        assert_eq!(rights.count(), 3);
        rights.close();
        assert_eq!((rights.bytes_until_border(), rights.count()), (usize::MAX, 0));
    }
}
