//! How long a thread sleeps for entries of which there are many.
//!
//! To fall asleep and to be woken costs a thread more than dozens of timers do. So where entries are due in nearly every tick, it
//! sleeps through several ticks, and those that it finds due then are late by half a millisecond at most.

use crate::timer::wheel::{SLOT_BITS, SLOTS, Wheel};

impl<T> Wheel<T> {
    /// Until when a thread may sleep. It is `next_time`, but where entries are due in nearly every tick from there on, it is the
    /// last of `BATCH` ticks: one sleep for all of them.
    pub(crate) fn next_batch(&self) -> Option<u64> {
        let next = self.next_slot()?;
        let is_dense = next.list < SLOTS && self.occupied_ticks(next.list) >= DENSE;
        if is_dense { self.time_of(next.tick + u64::from(BATCH) - 1) } else { self.next_time() }
    }

    /// In how many of `BATCH` ticks entries are due, beginning with one of the finest level.
    fn occupied_ticks(&self, slot: usize) -> u32 {
        let ahead = (self.occupied[0] >> slot & ((1 << BATCH) - 1)).count_ones();
        // What is behind the last slot of the level is in the next one of the level above, if it has one.
        let behind = (slot as u32 + BATCH).saturating_sub(SLOTS as u32);
        let above = (self.elapsed >> SLOT_BITS) as usize % SLOTS + 1;
        let is_crowded = above < SLOTS && self.lists[SLOTS + above].count() >= SLOTS;
        if is_crowded { ahead + behind } else { ahead }
    }
}

/// Ticks for which a thread that sleeps for entries in nearly every one of them is woken once.
const BATCH: u32 = 8;

/// In how many of those entries must be due.
const DENSE: u32 = BATCH * 3 / 4;
