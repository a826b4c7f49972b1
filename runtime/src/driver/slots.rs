//! The in-flight table: one slot per operation, which owns the op from submission until its answer is taken.
//!
//! An op is moved into its slot *before* the kernel hears of it, and slots never move: the table grows by whole chunks and
//! gives none back before it is dropped. So an SQE may name memory inside the op, and a future that is dropped, leaked or
//! forgotten takes nothing away from the kernel: it only holds an [`OpKey`].
//!
//! # Safety
//!
//! The memory of a slot is touched by nobody but the functions of its [`OpKind`], and these are called only in the stages
//! that allow it: `prepare` and `step` while the slot is busy, `discard` and a take-out once the op has ended or before it
//! has started (I1). A stale key finds no slot (I2). Everything here stays on one thread (I5: `Cell`s, `!Send`).
#![allow(unsafe_code, reason = "ops of many types live inline in slots of one type")]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::task::Waker;

use crate::driver::lane::Lane;
use crate::driver::lifecycle::Stage;
use crate::driver::{Driver, shield};
use crate::kernel::Cqe;
use crate::op::Description;

/// Names one operation: a slot and the generation of its use. Its bits are the `user_data` of the op's entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpKey(u64);

/// `user_data` of the poll that other threads wake us by.
pub(crate) const WAKE: u64 = u64::MAX;
/// `user_data` of cancels, whose own answer tells nothing: the op that they name answers for itself.
pub(crate) const CANCEL: u64 = u64::MAX - 1;
/// The low half of the `user_data` of closes that nobody waits for; the high half is the descriptor.
const CLOSE: u32 = u32::MAX - 2;
/// The same for closes that only answer where they fail.
const SILENT_CLOSE: u32 = u32::MAX - 3;

/// A close that nobody waits for, as the `user_data` of its entry tells it.
pub(crate) struct DetachedClose {
    pub(crate) descriptor: RawFd,
    /// It only answers where it fails.
    pub(crate) is_silent: bool,
}

impl DetachedClose {
    pub(crate) fn from_user_data(user_data: u64) -> Option<Self> {
        let is_silent = match user_data as u32 {
            CLOSE => false,
            SILENT_CLOSE => true,
            _ => return None,
        };
        Some(Self { descriptor: (user_data >> 32) as RawFd, is_silent })
    }

    pub(crate) fn user_data(&self) -> u64 {
        (self.descriptor as u64) << 32 | u64::from(if self.is_silent { SILENT_CLOSE } else { CLOSE })
    }
}

impl OpKey {
    fn new(index: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(index))
    }

    pub(crate) fn from_user_data(user_data: u64) -> Self {
        Self(user_data)
    }

    pub(crate) fn user_data(self) -> u64 {
        self.0
    }

    fn index(self) -> usize {
        self.0 as u32 as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for OpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op {}.{}", self.index(), self.generation())
    }
}

/// What the table knows of a type of op: its code, behind pointers to a slot's memory.
#[derive(Debug)]
pub(crate) struct OpKind {
    /// The op's name in dumps and reports.
    pub(crate) name: &'static str,
    /// Whether dropping the future asks the kernel to stop; else the op finishes behind everybody's back.
    pub(crate) cancel_on_drop: bool,
    /// Whether dropping the future of an op that waits in a lane takes it out again; else it runs when its turn comes.
    pub(crate) withdraw_on_drop: bool,
    /// Starts an op whose turn has come. The answer is the lane that the op has left, where it ended at once.
    pub(crate) start: unsafe fn(&Driver, OpKey, &Slot) -> Option<Lane>,
    /// Has the op read one completion, and does what it wants. The answer is the lane that the op has left, where it ended.
    pub(crate) complete: unsafe fn(&Driver, OpKey, &Slot, Cqe) -> Option<Lane>,
    /// Tells a busy op that it will not go on.
    pub(crate) tell: unsafe fn(NonNull<Memory>, Cqe),
    /// Moves the op out, frees the slot, and then lets the op dispose of an answer that nobody waits for.
    pub(crate) discard: unsafe fn(&Slots, OpKey, Cqe),
    /// Moves the op out, frees the slot, and then drops the op, which has never been seen by the kernel.
    pub(crate) withdraw: unsafe fn(&Slots, OpKey),
    /// Has an op that has ended let go of its descriptor.
    pub(crate) release: unsafe fn(NonNull<Memory>),
    /// Does what makes the kernel give up an op that a cancel has not ended.
    pub(crate) abort: unsafe fn(NonNull<Memory>),
    /// How many bytes of memory the kernel may touch on the op's behalf.
    pub(crate) bytes: unsafe fn(NonNull<Memory>) -> usize,
    /// What the op is about.
    pub(crate) describe: unsafe fn(NonNull<Memory>) -> Description,
}

/// Room for an op; a larger one lives in a box, and the box here.
pub(crate) type Memory = [MaybeUninit<u64>; 8];

pub(crate) struct Slot {
    /// Counts the uses of the slot, so that the key of an earlier one is known as stale.
    generation: Cell<u32>,
    /// The next vacant slot, while this one is vacant.
    next_vacant: Cell<u32>,
    /// Where the op stands. Set only by the driver.
    pub(crate) stage: Cell<Stage>,
    /// The answer, once the op has ended.
    pub(crate) answer: Cell<Cqe>,
    /// Who waits for the answer. Taken out before it is woken or dropped: a waker may be anybody's code (I8).
    pub(crate) waker: Cell<Option<Waker>>,
    /// The code of the op that lives here; meaningless while the slot is vacant.
    pub(crate) kind: Cell<&'static OpKind>,
    /// The lane in which the op runs, if it runs in one; taken when it ends.
    pub(crate) lane: Cell<Option<Lane>>,
    /// The op itself.
    memory: UnsafeCell<Memory>,
}

impl Slot {
    /// Somebody waits for the answer, or behind the op in its lane.
    pub(crate) fn is_awaited(&self) -> bool {
        let (waker, lane) = (self.waker.take(), self.lane.take());
        let is_awaited = waker.is_some() || lane.as_ref().is_some_and(Lane::is_awaited);
        self.waker.set(waker);
        self.lane.set(lane);
        is_awaited
    }

    #[inline]
    pub(crate) fn memory(&self) -> NonNull<Memory> {
        NonNull::from(&self.memory).cast()
    }
}

pub(crate) struct Slots {
    /// Chunks of [`CHUNK`] slots each, leaked boxes; freed when the table is dropped. The list is looked at several times for each
    /// op, so it is borrowed unchecked, and for no longer than a few lines of this file.
    chunks: UnsafeCell<Vec<NonNull<[Slot; CHUNK]>>>,
    /// The head of the list of vacant slots.
    vacant: Cell<u32>,
    /// How many slots hold an op.
    occupied: Cell<usize>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self { chunks: UnsafeCell::new(Vec::new()), vacant: Cell::new(NONE), occupied: Cell::new(0) }
    }

    /// Takes a vacant slot for an op of this kind. The caller writes the op into the slot's memory and sets its stage.
    ///
    /// # Panics
    ///
    /// With more than 16 million operations at once.
    #[inline]
    pub(crate) fn reserve(&self, kind: &'static OpKind) -> (OpKey, &Slot) {
        if self.vacant.get() == NONE {
            self.grow();
        }
        let index = self.vacant.get();
        let slot = self.at(index as usize).expect("the list of vacant slots names slots that exist");
        self.vacant.set(slot.next_vacant.get());
        slot.kind.set(kind);
        self.occupied.set(self.occupied.get() + 1);
        (OpKey::new(index, slot.generation.get()), slot)
    }

    /// The slot of an op that is still there.
    #[inline]
    pub(crate) fn get(&self, key: OpKey) -> Option<&Slot> {
        let slot = self.at(key.index())?;
        (slot.generation.get() == key.generation()).then_some(slot)
    }

    /// Frees a slot whose op has been moved out. Every copy of the key is stale from here on.
    pub(crate) fn release(&self, key: OpKey) {
        let slot = self.get(key).expect("only the holder of a live key releases it");
        self.vacate(key, slot);
    }

    /// As [`release`](Self::release), for who has looked the slot up.
    #[inline]
    pub(crate) fn vacate(&self, key: OpKey, slot: &Slot) {
        debug_assert_eq!(slot.generation.get(), key.generation(), "the key is that of the slot");
        slot.stage.set(Stage::Vacant);
        slot.generation.set(slot.generation.get().wrapping_add(1));
        slot.next_vacant.set(self.vacant.get());
        self.vacant.set(key.index() as u32);
        self.occupied.set(self.occupied.get() - 1);
        // Both may be the last owners of something: dropped last, when the slot is already free. Most often nothing is left.
        let (lane, waker) = (slot.lane.take(), slot.waker.take());
        if lane.is_some() || waker.is_some() {
            Self::drop_left(lane, waker);
        }
    }

    /// The op is in the hands of who vacates its slot, and yet to be told its answer: a panic would have it dropped without, and a
    /// descriptor that is closed, closed again.
    #[cold]
    fn drop_left(lane: Option<Lane>, waker: Option<Waker>) {
        shield(move || drop((lane, waker)));
    }

    /// How many slots hold an op.
    pub(crate) fn occupied(&self) -> usize {
        self.occupied.get()
    }

    /// The ops that are there, for reports.
    pub(crate) fn keys(&self) -> Vec<OpKey> {
        let count = self.chunk_count() * CHUNK;
        let occupied = |index: &usize| self.at(*index).is_some_and(|slot| slot.stage.get() != Stage::Vacant);
        let key = |index| self.at(index).map(|slot| OpKey::new(index as u32, slot.generation.get()));
        (0..count).filter(occupied).filter_map(key).collect()
    }

    fn chunk_count(&self) -> usize {
        // SAFETY: as in `at`.
        unsafe { &*self.chunks.get() }.len()
    }

    #[inline]
    fn at(&self, index: usize) -> Option<&Slot> {
        // SAFETY: the list is changed by `grow` and `drop` only, which call nobody, and this borrow ends with the line.
        let chunk = *unsafe { &*self.chunks.get() }.get(index / CHUNK)?;
        // SAFETY: a chunk lives until the table is dropped, and nobody holds a `&mut` to it.
        let chunk: &[Slot; CHUNK] = unsafe { chunk.as_ref() };
        Some(&chunk[index % CHUNK])
    }

    #[cold]
    fn grow(&self) {
        let first = self.chunk_count() * CHUNK;
        assert!(first + CHUNK <= MOST, "more than {MOST} operations are in flight");
        // The new slots are chained in order, so that the low ones, which are warm in the cache, are used first.
        let chunk: Box<[Slot; CHUNK]> = Box::new(std::array::from_fn(|offset| Slot {
            generation: Cell::new(0),
            next_vacant: Cell::new(if offset + 1 < CHUNK { (first + offset + 1) as u32 } else { NONE }),
            stage: Cell::new(Stage::Vacant),
            answer: Cell::new(Cqe::made_up(0)),
            waker: Cell::new(None),
            kind: Cell::new(&NOTHING),
            lane: Cell::new(None),
            memory: UnsafeCell::new([MaybeUninit::uninit(); 8]),
        }));
        let chunk = NonNull::from(Box::leak(chunk));
        // SAFETY: nobody else has the list: all borrows of it end within a line, and pushing calls nobody.
        unsafe { &mut *self.chunks.get() }.push(chunk);
        self.vacant.set(first as u32);
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // A future keeps the driver, and with it this table, alive; an op without a future ends before shutdown does, or
        // else the whole driver is leaked (I4). So no op is left here.
        debug_assert_eq!(self.occupied.get(), 0, "a table of operations was dropped with operations in it");
        for chunk in self.chunks.get_mut().drain(..) {
            // SAFETY: the chunk came from `Box::leak` in `grow`, and nobody can borrow from a table that is being dropped.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("occupied", &self.occupied.get()).finish_non_exhaustive()
    }
}

/// Slots in a chunk: some 8 KiB.
const CHUNK: usize = 64;
/// No slot.
const NONE: u32 = u32::MAX;
/// The bound of the table: keys of ops never meet the reserved constants.
const MOST: usize = 1 << 24;

/// The kind of a slot that has never been used.
static NOTHING: OpKind = OpKind {
    name: "nothing",
    cancel_on_drop: false,
    withdraw_on_drop: true,
    start: |_, _, _| unreachable!("a vacant slot is not started"),
    complete: |_, _, _, _| unreachable!("a vacant slot gets no completion"),
    tell: |_, _| unreachable!("a vacant slot has nobody to be told"),
    discard: |_, _, _| unreachable!("a vacant slot has nothing to discard"),
    withdraw: |_, _| unreachable!("a vacant slot has nothing to withdraw"),
    release: |_| unreachable!("a vacant slot has nothing to let go of"),
    abort: |_| {},
    bytes: |_| 0,
    describe: |_| Description::default(),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_two_cache_lines() {
        assert_eq!(size_of::<Slot>(), 128);
    }

    #[test]
    fn a_stale_key_never_finds_the_next_op_of_its_slot() {
        let slots = Slots::new();
        let (first, _) = slots.reserve(&NOTHING);
        slots.release(first);
        let (second, slot) = slots.reserve(&NOTHING);
        assert_eq!(first.index(), second.index());
        assert!(slots.get(first).is_none());
        assert!(std::ptr::eq(slots.get(second).expect("live"), slot));
        slots.release(second);
        assert_eq!(slots.occupied(), 0);
    }

    #[test]
    fn slots_stay_where_they_are_while_the_table_grows() {
        let slots = Slots::new();
        let (first, slot) = slots.reserve(&NOTHING);
        let address = slot.memory();
        let keys: Vec<_> = (0..1000).map(|_| slots.reserve(&NOTHING).0).collect();
        assert_eq!(slots.get(first).expect("live").memory(), address);
        assert_eq!(slots.occupied(), 1001);
        keys.into_iter().chain([first]).for_each(|key| slots.release(key));
        assert_eq!(slots.occupied(), 0);
        assert!(slots.keys().is_empty());
    }
}
