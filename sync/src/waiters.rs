//! A queue of waiters that live in a slab.
//!
//! A future that waits owns a [`Key`] to its slot and nobody points into the future: one that is moved or forgotten does no
//! harm but to keep its slot. A waiter is *linked* while it queues; whoever serves it unlinks it and leaves the answer in
//! the slot, which its future reads or gives back when it is dropped. Slots are reused, so that waiting allocates nothing
//! once there have been as many waiters as there ever are.

use std::num::NonZeroUsize;

/// The right to one slot. Not `Clone`: [`Waiters::remove`] consumes it.
#[derive(Debug)]
pub(crate) struct Key {
    place: Place,
    /// The slot's at the time: a stale key is found, not obeyed.
    generation: u64,
}

/// The slots, and the queue through them.
pub(crate) struct Waiters<W> {
    slots: Vec<Slot<W>>,
    /// The first free slot; the others follow by `next`.
    free: Option<Place>,
    /// Who waits longest.
    head: Option<Place>,
    /// Who came last.
    tail: Option<Place>,
}

struct Slot<W> {
    /// Counts the slot's users.
    generation: u64,
    /// Whether it queues.
    linked: bool,
    /// The neighbour that came earlier, if linked.
    previous: Option<Place>,
    /// The neighbour that came later, if linked; the next free slot, if free.
    next: Option<Place>,
    /// None in a free slot.
    waiter: Option<W>,
}

impl<W> Waiters<W> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: None, head: None, tail: None }
    }

    /// Whether nobody queues.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Queues a waiter behind all others.
    // Always, because a waiter that is passed through memory is read back in other pieces than it was written in. For that the
    // processor waits, which was a fifth of a `Notify` with a waiter.
    #[inline(always)]
    pub(crate) fn push_back(&mut self, waiter: W) -> Key {
        let place = self.allocate(waiter);
        let previous = self.tail.replace(place);
        match previous {
            Some(previous) => self.slots[previous.index()].next = Some(place),
            None => self.head = Some(place),
        }
        let slot = &mut self.slots[place.index()];
        slot.previous = previous;
        slot.linked = true;
        Key { place, generation: slot.generation }
    }

    /// Who waits longest.
    #[inline]
    pub(crate) fn front(&self) -> Option<&W> {
        self.head.and_then(|place| self.slots[place.index()].waiter.as_ref())
    }

    /// Unlinks who waits longest, for the caller to leave the answer in its slot.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<&mut W> {
        self.pop(self.head?)
    }

    /// Unlinks who came last, for the caller to leave the answer in its slot.
    pub(crate) fn pop_back(&mut self) -> Option<&mut W> {
        self.pop(self.tail?)
    }

    /// Unlinks who waits longest among the `wanted`.
    pub(crate) fn pop_first(&mut self, wanted: impl Fn(&W) -> bool) -> Option<&mut W> {
        let mut next = self.head;
        while let Some(place) = next {
            let slot = &self.slots[place.index()];
            if slot.waiter.as_ref().is_some_and(&wanted) {
                return self.pop(place);
            }
            next = slot.next;
        }
        None
    }

    /// The waiter in a slot, linked or not.
    #[inline]
    pub(crate) fn at(&mut self, key: &Key) -> &mut W {
        let slot = &mut self.slots[key.place.index()];
        assert_eq!(slot.generation, key.generation, "a key outlived its slot");
        slot.waiter.as_mut().expect("a slot with a key is in use")
    }

    /// Frees a slot, and unlinks it if it still queues.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> W {
        let Key { place, generation } = key;
        assert_eq!(self.slots[place.index()].generation, generation, "a key outlived its slot");
        if self.slots[place.index()].linked {
            self.unlink(place);
        }
        let slot = &mut self.slots[place.index()];
        slot.generation += 1;
        slot.next = self.free.replace(place);
        slot.waiter.take().expect("a slot with a key is in use")
    }

    #[inline]
    fn pop(&mut self, place: Place) -> Option<&mut W> {
        self.unlink(place);
        self.slots[place.index()].waiter.as_mut()
    }

    #[inline(always)]
    fn allocate(&mut self, waiter: W) -> Place {
        let place = self.free.unwrap_or_else(|| self.grow());
        let slot = &mut self.slots[place.index()];
        self.free = slot.next.take();
        slot.waiter = Some(waiter);
        place
    }

    /// Adds a free slot. Apart, so that queueing is small where it is inlined.
    #[cold]
    fn grow(&mut self) -> Place {
        self.slots.push(Slot { generation: 0, linked: false, previous: None, next: None, waiter: None });
        Place::of(self.slots.len() - 1)
    }

    #[inline]
    fn unlink(&mut self, place: Place) {
        let slot = &mut self.slots[place.index()];
        slot.linked = false;
        let (previous, next) = (slot.previous.take(), slot.next.take());
        match previous {
            Some(previous) => self.slots[previous.index()].next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => self.slots[next.index()].previous = previous,
            None => self.tail = previous,
        }
    }
}

/// Where a slot is. It has a niche, so that a link is one word: of two, the processor would write the parts and read the whole,
/// and would have to wait between.
#[derive(Clone, Copy, Debug)]
struct Place(NonZeroUsize);

impl Place {
    #[inline]
    fn of(index: usize) -> Self {
        Self(NonZeroUsize::MIN.saturating_add(index))
    }

    #[inline]
    fn index(self) -> usize {
        self.0.get() - 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Waiters;

    #[test]
    fn waiters_are_served_in_the_order_they_came() {
        let mut waiters = Waiters::new();
        let keys: Vec<_> = (0..5).map(|n| waiters.push_back(n)).collect();
        assert_eq!(waiters.front(), Some(&0));
        assert_eq!(waiters.pop_front().copied(), Some(0));
        assert_eq!(waiters.pop_back().copied(), Some(4));
        assert_eq!(waiters.pop_first(|n| n % 2 == 0).copied(), Some(2));
        assert_eq!(waiters.pop_first(|n| *n > 3), None);
        assert_eq!(keys.into_iter().map(|key| waiters.remove(key)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(waiters.is_empty() && waiters.pop_front().is_none() && waiters.pop_back().is_none());
    }

    #[test]
    fn slots_are_reused() {
        let mut waiters = Waiters::new();
        for round in 0..100 {
            let keys = [round, round + 1, round + 2].map(|n| waiters.push_back(n));
            assert_eq!(waiters.pop_front().copied(), Some(round));
            assert_eq!(keys.map(|key| waiters.remove(key)), [round, round + 1, round + 2]);
        }
        assert_eq!(waiters.slots.len(), 3);
    }

    #[test]
    fn who_leaves_the_middle_closes_the_gap() {
        let mut waiters = Waiters::new();
        let [_first, second, third, _fourth] = [1, 2, 3, 4].map(|n| waiters.push_back(n));
        waiters.remove(second);
        waiters.remove(third);
        assert_eq!(waiters.pop_front().copied(), Some(1));
        assert_eq!(waiters.pop_front().copied(), Some(4));
        assert!(waiters.is_empty());
    }

    #[test]
    #[should_panic(expected = "a key outlived its slot")]
    fn a_stale_key_is_found() {
        let mut waiters = Waiters::new();
        let key = waiters.push_back(1);
        let stale = super::Key { place: key.place, generation: key.generation };
        waiters.remove(key);
        waiters.push_back(2);
        waiters.at(&stale);
    }
}
