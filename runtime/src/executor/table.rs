//! The table of the tasks, and the queue of those that are ready: what the executor borrows, for a few loads and stores at a
//! time. Nobody's code runs in here (I8), so tasks go in and come out whole.
//!
//! The queue is a list through the entries, and so is the list of vacant ones. An entry is in one of them at most: where a task
//! ends while it is in the queue, its entry stays there until its turn comes, and is vacant from then on.

use crate::executor::remote::FIRST_TASK;
use crate::executor::waker::{GENERATIONS, MOST_INDEX, RuntimeId, TaskKey};
use crate::sys::prefetch::prefetch;
use crate::task::{Header, Id, TaskRef};
use crate::timer::Instant;

pub(super) struct Table {
    runtime: RuntimeId,
    pub(super) entries: Vec<Entry>,
    /// The first vacant entry.
    vacant: u32,
    /// How many entries hold a task.
    len: usize,
    /// The first of the tasks that are ready, in the order of their wakes.
    first: u32,
    /// The last of them; without meaning while there is none.
    last: u32,
    /// The tasks that yielded: ready again after the next look at the kernel.
    pub(super) yielded: Vec<TaskKey>,
}

/// Small, because of many tasks that sleep, those that wake are anywhere: their entries should not be far away. What else there is to
/// know of a task is in its cell.
pub(super) struct Entry {
    pub(super) task: Option<TaskRef>,
    /// The next entry of the list that it is in.
    next: u32,
    /// The generation of this use of the place, and flags.
    marks: u32,
}

/// What comes next in the queue.
pub(super) enum Next {
    Turn(Turn),
    /// A task that has ended since.
    Gone,
    Nobody,
}

/// A task whose turn it is.
pub(super) struct Turn {
    /// It is to be ended instead of polled.
    pub(super) aborted: bool,
    pub(super) task: TaskRef,
}

impl Table {
    pub(super) fn new(runtime: RuntimeId) -> Self {
        Self { runtime, entries: Vec::new(), vacant: NONE, len: 0, first: NONE, last: NONE, yielded: Vec::new() }
    }

    /// How many tasks have not ended.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is a task to run, or will be after the next look at the kernel.
    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        self.first != NONE || !self.yielded.is_empty()
    }

    /// Takes in a task, and puts it into the queue.
    ///
    /// # Panics
    ///
    /// With more than 268 million tasks.
    #[inline]
    pub(super) fn insert(&mut self, task: &TaskRef, now: Instant) {
        if self.vacant == NONE {
            self.add_entry();
        }
        let index = self.vacant;
        let runtime = self.runtime;
        let entry = self.entry(index);
        let next = entry.next;
        entry.task = Some(task.clone());
        entry.marks = entry.marks & GENERATIONS as u32 | QUEUED;
        task.taken_in(TaskKey::new(runtime, entry.marks, index), now);
        self.vacant = next;
        self.len += 1;
        self.push(index);
    }

    /// One more vacant entry.
    #[cold]
    fn add_entry(&mut self) {
        let index = FIRST_TASK + self.entries.len() as u32;
        assert!(index <= MOST_INDEX, "more than {MOST_INDEX} tasks");
        self.entries.push(Entry { task: None, next: NONE, marks: 0 });
        self.vacant = index;
    }

    fn entry(&mut self, index: u32) -> &mut Entry {
        &mut self.entries[index.wrapping_sub(FIRST_TASK) as usize]
    }

    /// The entry of a task that has not ended.
    #[inline]
    pub(super) fn live(&mut self, index: u32) -> Option<&mut Entry> {
        let position = index.wrapping_sub(FIRST_TASK);
        self.entries.get_mut(position as usize).filter(|entry| entry.task.is_some())
    }

    /// Puts a task into the queue, unless it is there, or has ended.
    #[inline]
    pub(super) fn wake(&mut self, key: TaskKey) {
        let position = key.index().wrapping_sub(FIRST_TASK);
        if let Some(entry) = self.entries.get_mut(position as usize)
            && entry.marks & !ABORTED == key.generation()
            // Generations come round: an old key may find its own again where there is no task, in the list of vacant entries.
            && entry.task.is_some()
        {
            entry.marks |= QUEUED;
            self.push(key.index());
        }
    }

    /// Brings the entry of a task into the cache, which is to be woken soon.
    #[inline]
    pub(super) fn expect(&self, key: TaskKey) {
        if let Some(entry) = self.entries.get(key.index().wrapping_sub(FIRST_TASK) as usize) {
            prefetch::<1, _>(entry);
        }
    }

    /// Brings a task into the cache, which is to run soon.
    #[inline]
    pub(super) fn expect_to_run(&self, key: TaskKey) {
        if let Some(Entry { task: Some(task), .. }) = self.entries.get(key.index().wrapping_sub(FIRST_TASK) as usize) {
            prefetch::<LINES, Header>(task);
        }
    }

    /// Puts an entry at the end of the queue.
    #[inline]
    fn push(&mut self, index: u32) {
        if self.first == NONE {
            self.first = index;
        } else {
            let last = self.last;
            self.entry(last).next = index;
        }
        self.last = index;
        self.entry(index).next = NONE;
    }

    /// Puts those that yielded into the queue. Whether the future of `block_on` is among them.
    #[inline]
    pub(super) fn wake_yielded(&mut self, root: TaskKey) -> bool {
        let mut root_yielded = false;
        for place in 0..self.yielded.len() {
            let key = self.yielded[place];
            if key == root {
                root_yielded = true;
            } else {
                self.wake(key);
            }
        }
        self.yielded.clear();
        root_yielded
    }

    /// Takes the first task out of the queue.
    #[inline]
    pub(super) fn begin_turn(&mut self) -> Next {
        let index = self.first;
        let Some(entry) = self.entries.get_mut(index.wrapping_sub(FIRST_TASK) as usize) else { return Next::Nobody };
        let next = entry.next;
        let aborted = entry.marks & ABORTED != 0;
        entry.marks &= !QUEUED;
        self.first = next;
        let turn = match &entry.task {
            Some(task) => Next::Turn(Turn { aborted, task: task.clone() }),
            None => {
                self.vacate(index);
                Next::Gone
            }
        };
        // The one behind it comes into the cache meanwhile: of many tasks that sleep, most are far away.
        if let Some(Entry { task: Some(task), .. }) = self.entries.get(next.wrapping_sub(FIRST_TASK) as usize) {
            prefetch::<LINES, Header>(task);
        }
        turn
    }

    /// How many entries are in the queue: a walk through it.
    pub(super) fn ready_count(&self) -> usize {
        self.queue().count()
    }

    /// The positions of the entries in the queue.
    fn queue(&self) -> impl Iterator<Item = usize> {
        let position = |index: u32| Some(index.wrapping_sub(FIRST_TASK) as usize).filter(|_| index != NONE);
        std::iter::successors(position(self.first), move |place| position(self.entries[*place].next))
    }

    /// Moves the entry that has so many before it to the head of the queue.
    pub(super) fn put_first(&mut self, place: usize) {
        let Some(before) = place.checked_sub(1).and_then(|before| self.queue().nth(before)) else { return };
        let chosen = self.entries[before].next;
        let first = self.first;
        let behind = std::mem::replace(&mut self.entry(chosen).next, first);
        self.entries[before].next = behind;
        self.first = chosen;
        if self.last == chosen {
            self.last = FIRST_TASK + before as u32;
        }
    }

    /// Marks a task to be ended at its next turn, if it is still there.
    pub(super) fn abort(&mut self, index: u32, id: Id) {
        let is_that = |entry: &&mut Entry| entry.task.as_ref().is_some_and(|task| task.origin().id == id);
        let Some(entry) = self.live(index).filter(is_that) else { return };
        let queued = entry.marks & QUEUED != 0;
        entry.marks |= ABORTED | QUEUED;
        if !queued {
            self.push(index);
        }
    }

    /// Frees the place of a task that has ended. The task is for the caller to drop.
    #[must_use]
    #[inline]
    pub(super) fn remove(&mut self, index: u32) -> Option<TaskRef> {
        let entry = self.live(index)?;
        let task = entry.task.take();
        let queued = entry.marks & QUEUED;
        entry.marks = entry.marks.wrapping_add(1) & GENERATIONS as u32 | queued;
        self.len -= 1;
        if queued == 0 {
            self.vacate(index);
        }
        task
    }

    /// An entry that holds no task and is in no list may hold another one.
    #[inline]
    fn vacate(&mut self, index: u32) {
        let vacant = self.vacant;
        self.entry(index).next = vacant;
        self.vacant = index;
    }

    /// Forgets who is ready, and who yielded. No task is left.
    pub(super) fn clear_queues(&mut self) {
        while !matches!(self.begin_turn(), Next::Nobody) {}
        self.yielded.clear();
    }
}

impl Entry {
    /// It is in the queue.
    pub(super) fn is_queued(&self) -> bool {
        self.marks & QUEUED != 0
    }
}

/// No entry.
const NONE: u32 = u32::MAX;

/// It is in the queue.
const QUEUED: u32 = 1 << 31;
/// Its task is to be ended instead of polled.
const ABORTED: u32 = 1 << 30;

/// What is brought into the cache of a task that is next, in lines of 64 bytes: all of a small one.
const LINES: usize = 3;

#[cfg(all(test, not(loom)))]
mod tests;
