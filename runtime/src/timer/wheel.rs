//! The timer wheel: which deadlines are due, in order, without a clock and without a system call.
//!
//! Time is a count of ticks; what a tick is, is the caller's affair. The wheel is hierarchical: `LEVELS` levels of 64
//! slots. A slot of level 0 holds one tick, a slot of level 1 holds 64, and so on; eleven levels hold every `u64`, so
//! no deadline lies beyond the wheel and nothing is parked beside it.
//!
//! # Where an entry is
//!
//! The wheel's own clock, `elapsed`, and a deadline are read as numbers in base 64. The entry lives at the level of the
//! highest digit in which the two differ, in the slot which that digit of the deadline names. Three facts follow, and
//! everything here rests on them:
//!
//! - W1: the place is a function of `elapsed` and the deadline alone, so equal deadlines share one list, in insertion
//!   order.
//! - W2: all entries of a level are due before any entry of a higher level, and at each level a lower slot is due
//!   before a higher one. The lowest occupied slot of the lowest occupied level is therefore the next to look at.
//! - W3: a slot above level 0 starts after `elapsed`. When `elapsed` reaches its start, all lower levels are empty, and
//!   its entries move down, in order (the *cascade*), before anything else happens.
//!
//! A cascade is bounded, so it may be cut short and resumed. Until it ends, `draining` names the slot: what is inserted
//! meanwhile for that slot's span of time queues up in the slot itself, behind the entries still waiting there, which
//! keeps W1.

use std::fmt;
use std::num::NonZeroU64;

use crate::sys::prefetch::prefetch;

/// A set of deadlines, each with a payload that is given back when the deadline is reached or cancelled.
///
/// The wheel never calls, wakes or drops a payload on its own account, except when it is itself dropped. Its memory is
/// that of the greatest number of entries it ever held at one time.
pub(crate) struct Wheel<T> {
    /// The wheel's clock: all that was due before this tick has fired. It never goes back.
    elapsed: u64,
    /// The list whose entries are moving down. If there is one, it is not empty, and `elapsed` is the start of its
    /// slot.
    draining: Option<usize>,
    /// A bit for each slot of each level, set while the slot's list is not empty.
    occupied: [u64; LEVELS],
    /// The lists of all slots; slot `s` of level `l` is at `l * SLOTS + s`.
    lists: Box<[List; LISTS]>,
    /// The slab of entries, in use and free.
    entries: Vec<Entry<T>>,
    /// The head of the list of free entries, linked by `next`; the last one freed comes first, while it is in the
    /// cache.
    free: u32,
    /// How many entries are in use.
    len: usize,
    /// The sequence number of the next entry.
    sequence: NonZeroU64,
}

/// Names one insertion into a wheel, for ever: no later entry has an equal key, even one that reuses the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    /// Where the entry is in the slab.
    index: u32,
    /// The sequence number of the insertion. Sixty-four bits do not wrap around within the life of a machine.
    sequence: NonZeroU64,
}

/// One element of the slab.
struct Entry<T> {
    /// The tick asked for, which may lie before the tick at which the entry fires.
    deadline: u64,
    /// The sequence number of the last insertion into this element.
    sequence: NonZeroU64,
    /// The next entry of the same list, or of the list of free entries; `NIL` at the end.
    next: u32,
    /// The previous entry of the same list; `NIL` at the head. Without meaning while free.
    prev: u32,
    /// The list the entry is in. Without meaning while free.
    list: u16,
    /// `None` while the element is free.
    payload: Option<T>,
}

/// The ends of a doubly linked list of entries; both are `NIL` while it is empty.
#[derive(Clone, Copy, PartialEq, Eq)]
struct List {
    head: u32,
    tail: u32,
}

/// A slot that `advance` has to look at.
#[derive(Clone, Copy)]
struct Next {
    /// The list of the slot.
    list: usize,
    /// The tick at which the slot starts.
    tick: u64,
}

impl<T> Wheel<T> {
    /// An empty wheel whose clock is at tick 0.
    pub(crate) fn new() -> Self {
        Wheel {
            elapsed: 0,
            draining: None,
            occupied: [0; LEVELS],
            lists: Box::new([List::EMPTY; LISTS]),
            entries: Vec::new(),
            free: NIL,
            len: 0,
            sequence: NonZeroU64::MIN,
        }
    }

    /// How many entries wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether no entry waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry that fires at the tick `deadline`, in constant time.
    ///
    /// A deadline behind the wheel's clock counts as the clock's own tick: the entry fires on the next `advance`, in
    /// its turn among the entries of that tick. Memory is allocated only where more entries wait than ever did before.
    ///
    /// # Panics
    ///
    /// Where 2^32 - 1 entries wait already.
    pub(crate) fn insert(&mut self, deadline: u64, payload: T) -> TimerKey {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).expect("2^64 insertions outlast the machine");
        let index = self.allocate(Entry { deadline, sequence, next: NIL, prev: NIL, list: 0, payload: Some(payload) });
        self.len += 1;
        let mut list = place(self.elapsed, deadline);
        if let Some(draining) = self.draining
            && list / SLOTS < draining / SLOTS
        {
            // The deadline is in the draining slot's span; those still in the slot came earlier (W1).
            list = draining;
        }
        self.push_back(list, index);
        TimerKey { index, sequence }
    }

    /// Takes the entry out, in constant time, and gives back its payload; `None` if it has fired or was cancelled.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.payload_mut(key)?;
        self.unlink(key.index);
        Some(self.release(key.index))
    }

    /// The payload of an entry that still waits; `None` if it has fired or was cancelled.
    pub(crate) fn payload_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.sequence == key.sequence { entry.payload.as_mut() } else { None }
    }

    /// The payloads of those that wait, in no order.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| entry.payload.as_ref())
    }

    /// The earliest tick at which `advance` has something to do, or `None` if no entry waits.
    ///
    /// No entry is due before this tick. It is the earliest deadline itself where that is less than 64 ticks away, and
    /// may otherwise be the tick at which entries move to a finer level. After an `advance(now, ..)` that answered
    /// `false` it is later than `now`, so sleeping until this tick and advancing to it always gets on.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|next| next.tick)
    }

    /// The tick at which the first entry fires, however far away: a look at all entries of one slot, two while one drains.
    pub(crate) fn earliest(&self) -> Option<u64> {
        let lists = [self.draining, self.occupied_slot().map(|next| next.list)];
        lists.into_iter().flatten().filter_map(|list| self.earliest_in(list)).min()
    }

    fn earliest_in(&self, list: usize) -> Option<u64> {
        let following = |index: &u32| Some(self.entries[*index as usize].next).filter(|next| *next != NIL);
        let entries = std::iter::successors(self.lists[list].first(), following);
        entries.map(|index| self.entries[index as usize].deadline.max(self.elapsed)).min()
    }

    /// Brings the clock to `now` and appends to `fired` the payloads of the entries whose deadline is reached, at most
    /// `limit`.
    ///
    /// Entries fire in order of their deadline, and those of one tick in order of insertion. The answer is `true` if
    /// the call stopped at its bound, on entries or on the work of moving them (`MOVES_PER_FIRE` for each entry it may
    /// fire): call it again, even if nothing was fired. A tick earlier than one given before counts as that one.
    pub(crate) fn advance(&mut self, now: u64, limit: usize, fired: &mut Vec<T>) -> bool {
        debug_assert!(limit > 0, "an advance that may fire nothing never gets on");
        let now = self.elapsed.max(now);
        let mut fires_left = limit;
        let mut moves_left = limit.saturating_mul(MOVES_PER_FIRE);

        while let Some(next) = self.next_slot()
            && next.tick <= now
        {
            debug_assert!(self.elapsed <= next.tick, "the wheel's clock never goes back");
            self.elapsed = next.tick;
            let in_bounds = if next.list < SLOTS {
                self.fire(next.list, &mut fires_left, fired)
            } else {
                self.cascade(next.list, &mut moves_left)
            };
            if !in_bounds {
                return true;
            }
        }

        // Every occupied slot starts after `now`, so no entry's place changes with the clock (W1, W3).
        self.elapsed = now;
        false
    }

    /// Goes over to ticks of another length: the clock is at `elapsed` of the new ones, and `tick_of` tells the deadline of
    /// each entry in them. Keys stay what they are, and equal deadlines keep the order of insertion.
    pub(crate) fn rescale(&mut self, elapsed: u64, tick_of: impl Fn(&T) -> u64) {
        self.elapsed = elapsed;
        self.draining = None;
        self.occupied = [0; LEVELS];
        *self.lists = [List::EMPTY; LISTS];
        let mut waiting = Vec::with_capacity(self.len);
        for (index, entry) in (0_u32..).zip(&mut self.entries) {
            if let Some(payload) = &entry.payload {
                entry.deadline = tick_of(payload);
                waiting.push((entry.deadline, entry.sequence, index));
            }
        }
        // Those that are overdue share a slot: they come into it in the order in which they are due.
        waiting.sort_unstable();
        for (_, _, index) in waiting {
            self.push_back(place(elapsed, self.entries[index as usize].deadline), index);
        }
    }

    /// Fires the entries of one slot of level 0, all of which are due. Answers `false` if the bound came before the
    /// end.
    fn fire(&mut self, list: usize, fires_left: &mut usize, fired: &mut Vec<T>) -> bool {
        while let Some(index) = self.lists[list].first() {
            if *fires_left == 0 {
                return false;
            }
            *fires_left -= 1;
            debug_assert!(self.entries[index as usize].deadline <= self.elapsed, "an entry never fires early");
            self.prefetch_next(index);
            self.unlink(index);
            fired.push(self.release(index));
        }
        true
    }

    /// Moves the entries of a slot that starts now to their places below. Answers `false` if the bound came before the
    /// end.
    fn cascade(&mut self, list: usize, moves_left: &mut usize) -> bool {
        debug_assert!(self.draining.is_none_or(|draining| draining == list), "one slot drains at a time (W3)");
        self.draining = Some(list);
        while let Some(index) = self.lists[list].first() {
            if *moves_left == 0 {
                return false;
            }
            *moves_left -= 1;
            self.prefetch_next(index);
            let below = place(self.elapsed, self.entries[index as usize].deadline);
            debug_assert!(below / SLOTS < list / SLOTS, "a cascade only moves entries down (W3)");
            // Taking the last one ends the draining.
            self.unlink(index);
            self.push_back(below, index);
        }
        true
    }

    /// The entries of a list are anywhere in the slab: the next one comes into the cache while this one is dealt with.
    fn prefetch_next(&self, index: u32) {
        if let Some(next) = self.entries.get(self.entries[index as usize].next as usize) {
            prefetch::<1, _>(next);
        }
    }

    /// The slot to look at next: the one that drains, or the earliest one that is occupied (W2).
    fn next_slot(&self) -> Option<Next> {
        if let Some(list) = self.draining {
            return Some(Next { list, tick: self.elapsed });
        }
        self.occupied_slot()
    }

    /// The earliest slot that is occupied (W2).
    fn occupied_slot(&self) -> Option<Next> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        // The digits above the level's are those of the clock; the ones below are zero. Shifted in two steps, as the
        // top level has no digits above.
        let shift = level as u32 * SLOT_BITS;
        let tick = (self.elapsed >> shift >> SLOT_BITS << SLOT_BITS | slot as u64) << shift;
        Some(Next { list: level * SLOTS + slot, tick })
    }

    /// Puts an entry into a free element of the slab, or at its end.
    fn allocate(&mut self, entry: Entry<T>) -> u32 {
        let index = self.free;
        if let Some(free) = self.entries.get_mut(index as usize) {
            debug_assert!(free.payload.is_none(), "a free element holds no payload");
            self.free = free.next;
            *free = entry;
            return index;
        }
        debug_assert_eq!(index, NIL, "a free element is in the slab");
        let index = u32::try_from(self.entries.len()).ok().filter(|&index| index != NIL).expect("2^32 - 1 timers wait");
        self.entries.push(entry);
        index
    }

    /// Frees an entry that is in no list, and takes its payload.
    fn release(&mut self, index: u32) -> T {
        let entry = &mut self.entries[index as usize];
        let payload = entry.payload.take().expect("only an entry in use is released");
        entry.next = self.free;
        self.free = index;
        self.len -= 1;
        payload
    }

    /// Appends an entry that is in no list to a list.
    fn push_back(&mut self, list: usize, index: u32) {
        let tail = self.lists[list].tail;
        let entry = &mut self.entries[index as usize];
        entry.list = list as u16;
        entry.prev = tail;
        entry.next = NIL;
        match self.entries.get_mut(tail as usize) {
            Some(last) => last.next = index,
            None => {
                self.lists[list].head = index;
                self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
            }
        }
        self.lists[list].tail = index;
    }

    /// Takes an entry out of its list; a list that becomes empty is no longer occupied, nor draining.
    fn unlink(&mut self, index: u32) {
        let Entry { next, prev, list, .. } = self.entries[index as usize];
        let list = usize::from(list);
        match self.entries.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => self.lists[list].head = next,
        }
        match self.entries.get_mut(next as usize) {
            Some(after) => after.prev = prev,
            None => self.lists[list].tail = prev,
        }
        if self.lists[list] == List::EMPTY {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            if self.draining == Some(list) {
                self.draining = None;
            }
        }
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("elapsed", &self.elapsed)
            .field("len", &self.len)
            .field("next_tick", &self.next_tick())
            .finish_non_exhaustive()
    }
}

impl List {
    const EMPTY: List = List { head: NIL, tail: NIL };

    /// The index of the first entry.
    fn first(self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }
}

/// The list in which an entry belongs when the wheel's clock is at `elapsed`.
fn place(elapsed: u64, deadline: u64) -> usize {
    let due = deadline.max(elapsed);
    // The highest base-64 digit in which the two differ; the lowest one if they are equal.
    let level = (elapsed ^ due).checked_ilog2().unwrap_or(0) / SLOT_BITS;
    let slot = (due >> (level * SLOT_BITS)) as usize % SLOTS;
    level as usize * SLOTS + slot
}

/// How many bits of a tick choose the slot within a level.
const SLOT_BITS: u32 = 6;

/// Slots of a level.
const SLOTS: usize = 1 << SLOT_BITS;

/// Enough levels for all bits of a tick; of the highest, only 16 slots are ever used.
const LEVELS: usize = u64::BITS.div_ceil(SLOT_BITS) as usize;

/// Slots of all levels.
const LISTS: usize = LEVELS * SLOTS;

/// How many moves to a finer level `advance` makes at most for each entry it may fire. An entry up to 64^5 ticks away
/// moves four times at most before it fires, so a caller that keeps up with the firing keeps up with the moving too.
const MOVES_PER_FIRE: usize = 4;

/// No entry.
const NIL: u32 = u32::MAX;

#[cfg(test)]
mod tests;
