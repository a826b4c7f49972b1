//! The entries of one slot, in the order of insertion, one behind the other in memory.
//!
//! Whoever fires or moves them all walks through memory as it lies, which the processor foresees; a list of links would tell only
//! at each entry where the next one is. Whoever looks for one of them knows where it was put, or else bisects.
//!
//! An entry that is cancelled between others stays as a blank. There are never more blanks than entries that wait, but for a few,
//! and the first and the last one are none.

use std::collections::VecDeque;
use std::num::NonZeroU64;

/// One element of a list.
pub(super) struct Entry<T> {
    /// Greater than those of all that were inserted before.
    pub(super) sequence: NonZeroU64,
    /// The time asked for, which may lie before that at which the entry fires.
    pub(super) deadline: u64,
    /// `None` in a blank.
    pub(super) payload: Option<T>,
}

pub(super) struct List<T> {
    entries: VecDeque<Entry<T>>,
    /// How many of them are blank.
    blanks: usize,
    /// How many have left at the front: an entry that was put in at a place is so much further to the front now. It wraps.
    left: u32,
}

impl<T> List<T> {
    pub(super) const EMPTY: Self = Self { entries: VecDeque::new(), blanks: 0, left: 0 };

    /// How many there are, blanks among them.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Puts an entry at the end, and answers its place.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<T>, spares: &mut Spares<T>) -> u32 {
        if self.entries.capacity() == 0 {
            self.entries = spares.take();
        }
        let place = self.left.wrapping_add(self.entries.len() as u32);
        self.entries.push_back(entry);
        place
    }

    /// Takes out the first entry that waits.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Entry<T>> {
        let entry = self.entries.pop_front()?;
        self.left = self.left.wrapping_add(1);
        self.trim_front();
        Some(entry)
    }

    /// The position of an entry that was put in at that place.
    #[inline]
    pub(super) fn find(&self, sequence: NonZeroU64, place: u32) -> Option<usize> {
        let position = place.wrapping_sub(self.left) as usize;
        match self.entries.get(position) {
            Some(entry) if entry.sequence == sequence => Some(position),
            // It has moved here from elsewhere, or blanks before it have gone.
            _ => self.entries.binary_search_by_key(&sequence, |entry| entry.sequence).ok(),
        }
    }

    /// What waits at that position.
    pub(super) fn payload_mut(&mut self, position: usize) -> Option<&mut T> {
        self.entries.get_mut(position)?.payload.as_mut()
    }

    /// Takes out what waits at that position.
    pub(super) fn remove(&mut self, position: usize) -> Option<T> {
        let payload = self.entries.get_mut(position)?.payload.take()?;
        self.blanks += 1;
        while self.entries.back().is_some_and(Entry::is_blank) {
            self.entries.pop_back();
            self.blanks -= 1;
        }
        self.trim_front();
        if self.blanks > self.entries.len() / 2 + FEW {
            self.compact();
        }
        Some(payload)
    }

    /// No blank is the first one.
    #[inline]
    fn trim_front(&mut self) {
        while self.entries.front().is_some_and(Entry::is_blank) {
            self.entries.pop_front();
            self.left = self.left.wrapping_add(1);
            self.blanks -= 1;
        }
    }

    /// Gets rid of the blanks: a look at each entry, after as many cancels as there are blanks.
    #[cold]
    fn compact(&mut self) {
        self.entries.retain(|entry| !entry.is_blank());
        self.blanks = 0;
        if self.entries.capacity() > 4 * self.entries.len() {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// Gives up the memory of a list in which nobody waits. Whether it is one.
    #[inline]
    pub(super) fn tidy(&mut self, spares: &mut Spares<T>) -> bool {
        let is_empty = self.entries.is_empty();
        if is_empty {
            self.left = 0;
            spares.put(std::mem::take(&mut self.entries));
        }
        is_empty
    }

    /// Those that wait.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &T)> {
        self.entries.iter().filter_map(|entry| Some((entry.deadline, entry.payload.as_ref()?)))
    }

    /// Takes out all that wait.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry<T>> + use<T> {
        std::mem::replace(self, Self::EMPTY).entries.into_iter().filter(|entry| !entry.is_blank())
    }
}

impl<T> Entry<T> {
    #[inline]
    fn is_blank(&self) -> bool {
        self.payload.is_none()
    }
}

/// Memory of lists that are empty, for the next ones: with few timers, nothing is allocated.
pub(super) struct Spares<T>(Vec<VecDeque<Entry<T>>>);

impl<T> Spares<T> {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(MOST_SPARES))
    }

    fn take(&mut self) -> VecDeque<Entry<T>> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps the memory, unless it is large or there is enough.
    fn put(&mut self, memory: VecDeque<Entry<T>>) {
        if memory.capacity() <= MOST_ENTRIES && self.0.len() < MOST_SPARES {
            self.0.push(memory);
        }
    }
}

/// Blanks that are always allowed.
const FEW: usize = 16;
/// Entries for which there is room in memory that is kept: 8 KiB, for a waker each.
const MOST_ENTRIES: usize = 256;
/// As many as the finest level has slots.
const MOST_SPARES: usize = 64;

#[cfg(test)]
impl<T> List<T> {
    /// Asserts what must be true between any two calls. The sequence numbers of those that wait.
    pub(super) fn assert_sound(&self) -> Vec<NonZeroU64> {
        if self.entries.is_empty() {
            assert_eq!(self.blanks, 0);
            return Vec::new();
        }
        assert!(self.entries.iter().is_sorted_by(|one, next| one.sequence < next.sequence));
        assert!([self.entries.front(), self.entries.back()].into_iter().flatten().all(|end| !end.is_blank()));
        assert_eq!(self.entries.iter().filter(|entry| entry.is_blank()).count(), self.blanks);
        assert!(self.blanks <= self.entries.len() / 2 + FEW);
        self.entries.iter().filter(|entry| !entry.is_blank()).map(|entry| entry.sequence).collect()
    }

    /// For how many entries there is memory.
    pub(super) fn room(&self) -> usize {
        self.entries.capacity()
    }
}

#[cfg(test)]
impl<T> Spares<T> {
    /// For how many entries there is memory, in each piece.
    pub(super) fn rooms(&self) -> Vec<usize> {
        self.0.iter().map(VecDeque::capacity).collect()
    }
}
