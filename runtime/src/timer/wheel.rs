//! The timer wheel: which deadlines are due, in order, without a clock and without a system call.
//!
//! Time is a count of some unit, and a tick is a power of two of those; what they are, is the caller's affair. The wheel is
//! hierarchical: `LEVELS` levels of 64 slots. A slot of level 0 holds one tick, a slot of level 1 holds 64, and so on; eleven
//! levels hold every `u64`, so no deadline lies beyond the wheel and nothing is parked beside it.
//!
//! # Where an entry is
//!
//! The wheel's own clock, `elapsed`, and the tick of a deadline are read as numbers in base 64. The entry lives at the level of
//! the highest digit in which the two differ, in the slot which that digit of the deadline names. Four facts follow, and
//! everything here rests on them:
//!
//! - W1: the place is a function of `elapsed` and the deadline alone, so equal deadlines share one list, in insertion
//!   order.
//! - W2: all entries of a level are due before any entry of a higher level, and at each level a lower slot is due
//!   before a higher one. The lowest occupied slot of the lowest occupied level is therefore the next to look at.
//! - W3: a slot above level 0 starts after `elapsed`. When `elapsed` reaches its start, all lower levels are empty, and
//!   its entries move down, in order (the *cascade*), before anything else happens.
//! - W4: each list is in the order of insertion, as nothing is inserted into a slot before those that move down into it. So
//!   whoever knows deadline and sequence number of an entry finds it (`list.rs`), and no table tells where entries are.
//!
//! A cascade is bounded, so it may be cut short and resumed. Until it ends, `draining` names the slot: what is inserted
//! meanwhile for that slot's span of time queues up in the slot itself, behind the entries still waiting there, which
//! keeps W1 and W4.

mod batch;
mod list;

use std::fmt;
use std::num::NonZeroU64;

use crate::timer::wheel::list::{Entry, List, Spares};

/// A set of deadlines, each with a payload that is given back when the deadline is reached or cancelled.
///
/// The wheel never calls, wakes or drops a payload on its own account, except when it is itself dropped.
pub(crate) struct Wheel<T> {
    /// A tick is 2 to this power of the unit of time.
    tick_bits: u32,
    /// The wheel's clock, in ticks: all that was due before this tick has fired. It never goes back.
    elapsed: u64,
    /// The list whose entries are moving down. If there is one, it is not empty, and `elapsed` is the start of its
    /// slot.
    draining: Option<usize>,
    /// A bit for each slot of each level, set while an entry waits in the slot's list.
    occupied: [u64; LEVELS],
    /// The lists of all slots; slot `s` of level `l` is at `l * SLOTS + s`.
    lists: Box<[List<T>; LISTS]>,
    /// Memory of lists that are empty.
    spares: Spares<T>,
    /// The list that became empty last, which still has its memory: likely enough, it is the next that needs some.
    emptied: usize,
    /// How many entries wait.
    len: usize,
    /// The sequence number of the next entry.
    sequence: NonZeroU64,
}

/// Names one insertion into a wheel, for ever: no later entry has an equal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    /// The sequence number of the insertion. Sixty-four bits do not wrap around within the life of a machine.
    sequence: NonZeroU64,
    /// The list that it was put in, and where: most often, that is where it is found.
    list: u16,
    position: u32,
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
    /// An empty wheel whose clock is at 0.
    pub(crate) fn new(tick_bits: u32) -> Self {
        Wheel {
            tick_bits,
            elapsed: 0,
            draining: None,
            occupied: [0; LEVELS],
            lists: Box::new([const { List::EMPTY }; LISTS]),
            spares: Spares::new(),
            emptied: 0,
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

    /// Adds an entry that fires at the first tick that is not before `deadline`: it goes to the end of a list.
    ///
    /// A deadline behind the wheel's clock counts as the clock's own tick: the entry fires on the next `advance`, in
    /// its turn among the entries of that tick.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, payload: T) -> TimerKey {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).expect("2^64 insertions outlast the machine");
        self.len += 1;
        let mut list = place(self.elapsed, self.tick_of(deadline));
        if let Some(draining) = self.draining
            && list / SLOTS < draining / SLOTS
        {
            // The deadline is in the draining slot's span; those still in the slot came earlier (W1).
            list = draining;
        }
        let position = self.push(list, Entry { sequence, deadline, payload: Some(payload) });
        TimerKey { sequence, list: list as u16, position: position as u32 }
    }

    /// Takes out the entry that was inserted with that deadline, and gives back its payload; `None` if it has fired or was
    /// cancelled.
    #[inline]
    pub(crate) fn cancel(&mut self, key: TimerKey, deadline: u64) -> Option<T> {
        let (list, position) = self.find(key, deadline)?;
        let payload = self.lists[list].remove(position)?;
        self.len -= 1;
        self.tidy(list);
        Some(payload)
    }

    /// The payload of the entry that was inserted with that deadline; `None` if it has fired or was cancelled.
    pub(crate) fn payload_mut(&mut self, key: TimerKey, deadline: u64) -> Option<&mut T> {
        let (list, position) = self.find(key, deadline)?;
        self.lists[list].payload_mut(position)
    }

    /// The deadlines and payloads of those that wait, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, &T)> {
        self.lists.iter().flat_map(List::entries)
    }

    /// The earliest time at which `advance` has something to do, or `None` if no entry waits.
    ///
    /// No entry is due before. It is the first tick of the earliest deadline itself where that is less than 64 ticks away or alone
    /// in its slot, and may otherwise be the time at which entries move to a finer level. After an `advance(now, ..)` that answered
    /// `false` it is later than `now`, so sleeping until this time and advancing to it always gets on.
    pub(crate) fn next_time(&self) -> Option<u64> {
        let next = self.next_slot()?;
        self.time_of(self.alone(next).unwrap_or(next.tick))
    }

    /// The time at which the first entry fires, however far away: a look at all entries of one slot, two while one drains.
    pub(crate) fn earliest(&self) -> Option<u64> {
        let lists = [self.draining, self.occupied_slot().map(|next| next.list)];
        let deadlines = lists.into_iter().flatten().flat_map(|list| self.lists[list].entries());
        let tick = deadlines.map(|(deadline, _)| self.tick_of(deadline).max(self.elapsed)).min()?;
        self.time_of(tick)
    }

    /// Brings the clock to `now` and appends to `fired` the payloads of the entries whose tick is reached, at most
    /// `limit`.
    ///
    /// Entries fire in order of their ticks, and those of one tick in order of insertion. The answer is `true` if
    /// the call stopped at its bound, on entries or on the work of moving them (`MOVES_PER_FIRE` for each entry it may
    /// fire): call it again, even if nothing was fired. A time earlier than one given before counts as that one.
    pub(crate) fn advance(&mut self, now: u64, limit: usize, fired: &mut Vec<T>) -> bool {
        debug_assert!(limit > 0, "an advance that may fire nothing never gets on");
        let now = self.elapsed.max(now >> self.tick_bits);
        let mut fires_left = limit;
        let mut moves_left = limit.saturating_mul(MOVES_PER_FIRE);

        while let Some(next) = self.next_slot()
            && next.tick <= now
        {
            debug_assert!(self.elapsed <= next.tick, "the wheel's clock never goes back");
            let due = if next.list < SLOTS { Some(next.tick) } else { self.alone(next).filter(|tick| *tick <= now) };
            let in_bounds = match due {
                Some(_) if fires_left == 0 => false,
                Some(tick) => {
                    self.elapsed = tick;
                    self.fire(next.list, &mut fires_left, fired)
                }
                None => {
                    self.elapsed = next.tick;
                    self.cascade(next.list, &mut moves_left)
                }
            };
            if !in_bounds {
                return true;
            }
        }

        // Every occupied slot starts after `now`, so no entry's place changes with the clock (W1, W3).
        self.elapsed = now;
        false
    }

    /// Goes over to ticks of another length, at the time `now`. Keys stay what they are, and equal deadlines keep the order of
    /// insertion.
    pub(crate) fn rescale(&mut self, now: u64, tick_bits: u32) {
        let mut entries: Vec<_> = self.lists.iter_mut().flat_map(List::drain).collect();
        // In the order in which they came (W4).
        entries.sort_unstable_by_key(|entry| entry.sequence);
        self.tick_bits = tick_bits;
        self.draining = None;
        self.occupied = [0; LEVELS];
        // Those that are overdue are told from one another: the clock is not past the first of them.
        let first = entries.iter().map(|entry| self.tick_of(entry.deadline)).min();
        let now = now >> tick_bits;
        self.elapsed = first.map_or(now, |first| first.min(now));
        for entry in entries {
            self.push(place(self.elapsed, self.tick_of(entry.deadline)), entry);
        }
    }

    /// Fires the entries of one slot, all of which are due. Answers `false` if the bound came before the
    /// end.
    fn fire(&mut self, list: usize, fires_left: &mut usize, fired: &mut Vec<T>) -> bool {
        debug_assert!(
            self.lists[list].entries().all(|(deadline, _)| self.tick_of(deadline) <= self.elapsed),
            "not early"
        );
        let count = self.lists[list].count().min(*fires_left);
        *fires_left -= count;
        self.len -= count;
        if count == self.lists[list].count() {
            fired.extend(self.lists[list].drain().filter_map(|entry| entry.payload));
            return self.tidy(list);
        }
        fired.extend((0..count).filter_map(|_| self.lists[list].pop_first()?.payload));
        false
    }

    /// Moves the entries of a slot that starts now to their places below. Answers `false` if the bound came before the
    /// end.
    fn cascade(&mut self, list: usize, moves_left: &mut usize) -> bool {
        debug_assert!(self.draining.is_none_or(|draining| draining == list), "one slot drains at a time (W3)");
        self.draining = Some(list);
        while *moves_left > 0
            && let Some(entry) = self.lists[list].pop_first()
        {
            *moves_left -= 1;
            let below = place(self.elapsed, self.tick_of(entry.deadline));
            debug_assert!(below / SLOTS < list / SLOTS, "a cascade only moves entries down (W3)");
            // Without the last one, the draining has ended. Its memory may serve at once.
            let is_last = self.tidy(list);
            self.push(below, entry);
            if is_last {
                return true;
            }
        }
        false
    }

    /// Puts an entry at the end of a list, and answers its position there.
    #[inline]
    fn push(&mut self, list: usize, entry: Entry<T>) -> usize {
        if !self.lists[list].has_memory() {
            self.give_memory(list);
        }
        self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
        self.lists[list].push(entry)
    }

    /// Gives a list memory that another one does not need, if there is some.
    #[inline(never)]
    fn give_memory(&mut self, list: usize) {
        let emptied = &mut self.lists[self.emptied];
        let is_idle = emptied.is_empty() && emptied.has_memory();
        let memory = if is_idle { emptied.take_memory() } else { self.spares.take() };
        self.lists[list].put_memory(memory);
    }

    /// Where an entry is that was inserted with that deadline: its list, and the position in it.
    #[inline]
    fn find(&self, key: TimerKey, deadline: u64) -> Option<(usize, usize)> {
        let (list, position) = (usize::from(key.list), key.position as usize);
        if self.lists[list].has(position, key.sequence) {
            return Some((list, position));
        }
        self.find_moved(key.sequence, deadline)
    }

    /// Where an entry is now (W1, W4).
    #[inline(never)]
    fn find_moved(&self, sequence: NonZeroU64, deadline: u64) -> Option<(usize, usize)> {
        let list = place(self.elapsed, self.tick_of(deadline));
        let draining = self.draining.filter(|draining| list / SLOTS < draining / SLOTS);
        let find = |list: usize| Some((list, self.lists[list].find(sequence)?));
        find(list).or_else(|| find(draining?))
    }

    /// A list in which nobody waits is no longer occupied, nor draining. Whether it is one.
    #[inline]
    fn tidy(&mut self, list: usize) -> bool {
        let is_empty = self.lists[list].is_empty();
        if is_empty {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            if self.draining == Some(list) {
                self.draining = None;
            }
            if self.emptied != list {
                self.give_up_memory(list);
            }
        }
        is_empty
    }

    /// A list became empty that is not the one that did so last: that one gives up its memory, if it is still empty.
    #[inline(never)]
    fn give_up_memory(&mut self, list: usize) {
        let before = &mut self.lists[std::mem::replace(&mut self.emptied, list)];
        if before.is_empty() && before.has_memory() {
            self.spares.put(before.take_memory());
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

    /// When the only entry of a slot is due, if there is but one: it need not move down.
    #[inline]
    fn alone(&self, next: Next) -> Option<u64> {
        let list = &self.lists[next.list];
        let is_alone = list.count() == 1 && self.draining.is_none();
        Some(self.tick_of(list.first_deadline().filter(|_| is_alone)?).max(self.elapsed))
    }

    /// The first tick that is not before the deadline.
    fn tick_of(&self, deadline: u64) -> u64 {
        (deadline >> self.tick_bits) + u64::from(!deadline.is_multiple_of(1 << self.tick_bits))
    }

    /// When a tick is; `None` where time has ended before.
    fn time_of(&self, tick: u64) -> Option<u64> {
        tick.checked_mul(1 << self.tick_bits)
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("elapsed", &self.elapsed)
            .field("len", &self.len)
            .field("next_time", &self.next_time())
            .finish_non_exhaustive()
    }
}

/// The list in which an entry of that tick belongs when the wheel's clock is at `elapsed`.
fn place(elapsed: u64, tick: u64) -> usize {
    let due = tick.max(elapsed);
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

#[cfg(test)]
mod tests;
