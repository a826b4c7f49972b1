//! The entries of one slot, in the order of insertion, one behind the other in memory.
//!
//! Whoever fires or moves them all walks through memory as it lies, which the processor foresees; a list of links would tell only
//! at each entry where the next one is. Whoever looks for one of them knows where it was put, or else bisects.
//!
//! An entry that leaves from between others, or before them, stays as a blank, so that the others keep their positions. The last
//! one is no blank.

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
    entries: Vec<Entry<T>>,
    /// How many of them wait.
    count: usize,
    /// All entries before this position are blanks, and the one here is none.
    first: usize,
}

impl<T> List<T> {
    pub(super) const EMPTY: Self = Self { entries: Vec::new(), count: 0, first: 0 };

    /// How many wait.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether nobody waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts an entry at the end, and answers its position.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<T>) -> usize {
        let position = self.entries.len();
        self.entries.push(entry);
        self.count += 1;
        position
    }

    /// The deadline of the first one that waits.
    #[inline]
    pub(super) fn first_deadline(&self) -> Option<u64> {
        Some(self.entries.get(self.first)?.deadline)
    }

    /// Takes out the first one that waits.
    pub(super) fn pop_first(&mut self) -> Option<Entry<T>> {
        let Entry { sequence, deadline, payload } = self.entries.get_mut(self.first)?;
        let entry = Entry { sequence: *sequence, deadline: *deadline, payload: payload.take() };
        self.left();
        Some(entry)
    }

    /// Whether an entry waits where it was put.
    #[inline]
    pub(super) fn has(&self, position: usize, sequence: NonZeroU64) -> bool {
        self.entries.get(position).is_some_and(|entry| entry.sequence == sequence && !entry.is_blank())
    }

    /// The position of an entry that has come here from elsewhere, or that has moved up.
    pub(super) fn find(&self, sequence: NonZeroU64) -> Option<usize> {
        self.entries.binary_search_by_key(&sequence, |entry| entry.sequence).ok()
    }

    /// What waits at that position.
    pub(super) fn payload_mut(&mut self, position: usize) -> Option<&mut T> {
        self.entries.get_mut(position)?.payload.as_mut()
    }

    /// Takes out what waits at that position.
    #[inline]
    pub(super) fn remove(&mut self, position: usize) -> Option<T> {
        if self.count == 1 && position == self.first {
            let payload = self.entries.pop()?.payload;
            self.clear();
            return payload;
        }
        self.remove_among(position)
    }

    #[inline(never)]
    fn remove_among(&mut self, position: usize) -> Option<T> {
        let payload = self.entries.get_mut(position)?.payload.take()?;
        self.left();
        if self.entries.len() > 2 * self.count + FEW {
            self.close_up();
        }
        Some(payload)
    }

    /// One has left, of several perhaps: finds the first one again, and frees the end of blanks.
    #[inline]
    fn left(&mut self) {
        self.count -= 1;
        if self.count == 0 {
            return self.clear();
        }
        while self.entries.last().is_some_and(Entry::is_blank) {
            self.entries.pop();
        }
        while self.entries.get(self.first).is_some_and(Entry::is_blank) {
            self.first += 1;
        }
    }

    #[inline]
    fn clear(&mut self) {
        self.entries.clear();
        self.count = 0;
        self.first = 0;
    }

    /// Gets rid of the blanks: a look at each entry, after as many have left as are looked at.
    #[cold]
    fn close_up(&mut self) {
        self.entries.retain(|entry| !entry.is_blank());
        self.first = 0;
        if self.entries.capacity() > 4 * self.entries.len() {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// Those that wait.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &T)> {
        self.entries.iter().filter_map(|entry| Some((entry.deadline, entry.payload.as_ref()?)))
    }

    /// Takes out all that wait.
    #[inline]
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry<T>> {
        let first = std::mem::take(&mut self.first);
        self.count = 0;
        self.entries.drain(..).skip(first).filter(|entry| !entry.is_blank())
    }

    #[inline]
    pub(super) fn has_memory(&self) -> bool {
        self.entries.capacity() > 0
    }

    /// Gives a list memory that has none.
    pub(super) fn put_memory(&mut self, memory: Memory<T>) {
        debug_assert!(!self.has_memory(), "it has memory of its own");
        // Not dropped: there is nothing to free.
        std::mem::forget(std::mem::replace(&mut self.entries, memory.0));
    }

    /// Takes the memory of an empty list.
    pub(super) fn take_memory(&mut self) -> Memory<T> {
        debug_assert!(self.entries.is_empty(), "it is in use");
        Memory(std::mem::take(&mut self.entries))
    }
}

impl<T> Entry<T> {
    #[inline]
    fn is_blank(&self) -> bool {
        self.payload.is_none()
    }
}

/// Memory without entries.
pub(super) struct Memory<T>(Vec<Entry<T>>);

/// Memory of lists that are empty, for the next ones: with few timers, nothing is allocated.
pub(super) struct Spares<T>(Vec<Memory<T>>);

impl<T> Spares<T> {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(MOST_SPARES))
    }

    /// Memory that is kept, or else none: it comes with the first entry.
    pub(super) fn take(&mut self) -> Memory<T> {
        self.0.pop().unwrap_or(Memory(Vec::new()))
    }

    /// Keeps the memory, unless it is large or there is enough.
    pub(super) fn put(&mut self, memory: Memory<T>) {
        if memory.0.capacity() <= MOST_ENTRIES && self.0.len() < MOST_SPARES {
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
            assert_eq!((self.count, self.first), (0, 0));
            return Vec::new();
        }
        assert!(self.entries.iter().is_sorted_by(|one, next| one.sequence < next.sequence));
        assert_eq!(self.entries.iter().position(|entry| !entry.is_blank()), Some(self.first));
        assert!(self.entries.last().is_some_and(|last| !last.is_blank()));
        let sequences: Vec<_> =
            self.entries.iter().filter(|entry| !entry.is_blank()).map(|entry| entry.sequence).collect();
        assert_eq!(sequences.len(), self.count);
        sequences
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
        self.0.iter().map(|memory| memory.0.capacity()).collect()
    }
}
