//! The executor of one thread: a table of tasks, a queue of those that are ready, and an inbox for other threads.
//!
//! Everything but the inbox belongs to one thread, so waking a task there is a few loads and stores (I5). Tasks run outside
//! of every borrow (I8): they may spawn, wake, abort and join as they like.

mod budget;
pub(crate) mod census;
mod mail;
pub(crate) mod remote;
pub(crate) mod waker;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::driver::shield;
use crate::executor::census::Readings;
use crate::executor::remote::{FIRST_TASK, Message, ROOT, Remote};
use crate::executor::waker::{MOST_INDEX, RuntimeId, TaskKey};
use crate::kernel::sim::Seat;
use crate::metrics::ExecutorCounters;
use crate::sys;
use crate::task::{Id, Task};
use crate::timer::Instant;

pub(crate) use crate::executor::budget::Budget;
pub use crate::executor::budget::poll_budget;

pub(crate) struct Executor {
    id: RuntimeId,
    remote: &'static Remote,
    table: RefCell<Table>,
    /// The tasks that are ready, in the order of their wakes. A task is in it at most once, so the table bounds it.
    ready: RefCell<VecDeque<u32>>,
    /// What other threads have asked for and was not done yet, in order.
    mail: RefCell<VecDeque<Message>>,
    /// The number of tasks that other threads know.
    published: Cell<usize>,
    /// The tasks that yielded: ready again after the next look at the kernel.
    deferred: RefCell<Vec<Waker>>,
    /// The future of `block_on` has been woken.
    root_woken: Cell<bool>,
    /// The task that is being polled.
    running: Cell<Option<Id>>,
    phase: Cell<Phase>,
    /// How deep destructors of refused tasks are spawning the next one, which is refused, too.
    refusing: Cell<u32>,
    /// What the task that runs may still do before it has to let others run.
    pub(crate) budget: Budget,
    /// Decides which of the ready tasks comes first, in a simulation.
    chooser: Option<Rc<Seat>>,
    pub(crate) counters: ExecutorCounters,
    /// What tasks are stamped with.
    pub(crate) readings: Readings,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Tasks are being ended; one that is spawned meanwhile is ended in its turn.
    Closing,
    /// No task is taken any more.
    Closed,
}

#[derive(Default)]
struct Table {
    entries: Vec<Entry>,
    /// The head of the list of vacant entries.
    vacant: Option<u32>,
    /// How many entries hold a task.
    len: usize,
}

struct Entry {
    /// Counts the uses of the place.
    generation: u32,
    /// It is in the queue.
    queued: bool,
    /// Its task is to be ended instead of polled.
    aborted: bool,
    /// The next vacant entry, while this one is vacant.
    next_vacant: Option<u32>,
    /// What the clock last showed when its task was spawned.
    spawned: Instant,
    /// What the clock last showed when its task was last polled; without meaning while `polls` is 0.
    polled: Instant,
    /// How often its task was polled.
    polls: u64,
    task: Option<Rc<dyn Task>>,
}

impl Executor {
    /// # Errors
    ///
    /// Where no descriptor is to be had for the doorbell, or too many runtimes live.
    pub(crate) fn new() -> io::Result<(Self, RawFd)> {
        let doorbell = sys::event::event()?;
        let (id, remote) = RuntimeId::take()
            .ok_or_else(|| io::Error::new(io::ErrorKind::ResourceBusy, "more than 4096 runtimes at the same time"))?;
        let descriptor = remote.open(doorbell);
        remote.grow_to(FIRST_TASK);
        let executor = Self {
            id,
            remote,
            table: RefCell::new(Table::default()),
            ready: RefCell::new(VecDeque::new()),
            mail: RefCell::new(VecDeque::new()),
            published: Cell::new(0),
            deferred: RefCell::new(Vec::new()),
            root_woken: Cell::new(false),
            running: Cell::new(None),
            phase: Cell::new(Phase::Open),
            refusing: Cell::new(0),
            budget: Budget::new(),
            chooser: None,
            counters: ExecutorCounters::default(),
            readings: Readings::new(),
        };
        Ok((executor, descriptor))
    }

    pub(crate) fn runtime(&self) -> RuntimeId {
        self.id
    }

    pub(crate) fn remote(&self) -> &'static Remote {
        self.remote
    }

    /// How many tasks have not ended.
    pub(crate) fn tasks(&self) -> usize {
        self.table.borrow().len
    }

    /// The task that is being polled.
    pub(crate) fn running(&self) -> Option<Id> {
        self.running.get()
    }

    /// The waker's number of the future of `block_on`.
    pub(crate) fn root(&self) -> TaskKey {
        TaskKey::new(self.id, 0, ROOT)
    }

    /// Whether the future of `block_on` was woken since the last call.
    pub(crate) fn take_root_woken(&self) -> bool {
        self.root_woken.replace(false)
    }

    /// The end has begun.
    pub(crate) fn is_closing(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// No task is taken any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.phase.get() == Phase::Closed
    }

    /// Drops a future that came too late to be a task. Its destructor may spawn another one, and so on: where that goes
    /// too deep, the future is leaked instead.
    pub(crate) fn refuse<F>(&self, future: F) {
        let depth = self.refusing.get();
        if depth >= MOST_REFUSALS {
            return std::mem::forget(future);
        }
        self.refusing.set(depth + 1);
        shield(|| drop(future));
        self.refusing.set(depth);
    }

    /// Reserves a place, has a task made for it, and puts it into the queue.
    ///
    /// # Panics
    ///
    /// With more than 268 million tasks.
    pub(crate) fn spawn<T: Task + 'static>(&self, make: impl FnOnce(TaskKey) -> Rc<T>) -> Rc<T> {
        let key = self.reserve();
        let task = make(key);
        let mut table = self.table.borrow_mut();
        table.entries[(key.index() - FIRST_TASK) as usize].task = Some(task.clone());
        drop(table);
        self.ready.borrow_mut().push_back(key.index());
        task
    }

    fn reserve(&self) -> TaskKey {
        let mut table = self.table.borrow_mut();
        let index = match table.vacant {
            Some(index) => {
                table.vacant = table.entry(index).next_vacant.take();
                index
            }
            None => {
                let index = FIRST_TASK + table.entries.len() as u32;
                assert!(index <= MOST_INDEX, "more than {MOST_INDEX} tasks");
                table.entries.push(Entry {
                    generation: 0,
                    queued: false,
                    aborted: false,
                    next_vacant: None,
                    spawned: self.readings.last(),
                    polled: self.readings.last(),
                    polls: 0,
                    task: None,
                });
                self.remote.grow_to(index);
                index
            }
        };
        table.len += 1;
        let entry = table.entry(index);
        entry.queued = true;
        entry.aborted = false;
        entry.spawned = self.readings.last();
        entry.polls = 0;
        TaskKey::new(self.id, entry.generation, index)
    }

    /// Owner's thread: puts a task into the queue, unless it is there.
    pub(crate) fn wake(&self, key: TaskKey) {
        if key.index() == ROOT {
            return self.root_woken.set(true);
        }
        let mut table = self.table.borrow_mut();
        let Some(entry) = table.live(key.index()).filter(|entry| key.is_of_generation(entry.generation)) else {
            return;
        };
        if !std::mem::replace(&mut entry.queued, true) {
            self.ready.borrow_mut().push_back(key.index());
        }
    }

    /// Whatever its generation: other threads leave no more than the place.
    fn wake_index(&self, index: u32) {
        let key = self.table.borrow_mut().live(index).map(|entry| TaskKey::new(self.id, entry.generation, index));
        if let Some(key) = key {
            self.wake(key);
        }
    }

    /// Wakes somebody after the next look at the kernel.
    pub(crate) fn defer(&self, waker: &Waker) {
        let waker = waker.clone();
        self.deferred.borrow_mut().push(waker);
    }

    /// Wakes those that yielded.
    pub(crate) fn wake_deferred(&self) {
        if self.deferred.borrow().is_empty() {
            return;
        }
        let mut deferred = self.deferred.take();
        deferred.drain(..).for_each(|waker| shield(|| waker.wake()));
        // The list's capacity is kept; somebody's waker may have yielded meanwhile.
        let late = self.deferred.replace(deferred);
        self.deferred.borrow_mut().extend(late);
    }

    /// Something is ready to run.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        self.root_woken.get()
            || !self.ready.borrow().is_empty()
            || !self.deferred.borrow().is_empty()
            || !self.mail.borrow().is_empty()
    }

    /// How many tasks are in the queue.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Polls ready tasks, at most `most` of them. Those that become ready meanwhile come behind.
    pub(crate) fn run(&self, most: usize) {
        for _ in 0..most {
            let Some(index) = self.next_ready() else { break };
            self.run_one(index);
        }
    }

    fn next_ready(&self) -> Option<u32> {
        let mut ready = self.ready.borrow_mut();
        match &self.chooser {
            None => ready.pop_front(),
            Some(_) if ready.is_empty() => None,
            Some(seat) => {
                let place = seat.world.choose(ready.len());
                ready.remove(place)
            }
        }
    }

    /// Lets a world decide which of the ready tasks comes first.
    pub(crate) fn choose_by(&mut self, seat: Rc<Seat>) {
        self.chooser = Some(seat);
    }

    fn run_one(&self, index: u32) {
        let mut table = self.table.borrow_mut();
        let Some(entry) = table.live(index) else { return };
        entry.queued = false;
        entry.polls += 1;
        entry.polled = self.readings.last();
        let (generation, aborted, task) = (entry.generation, entry.aborted, entry.task.clone());
        drop(table);
        let Some(task) = task else { unreachable!("a live entry holds a task") };
        self.counters.polls.add(1);
        let before = self.running.replace(Some(task.origin().id));
        let ended = if aborted {
            task.cancel();
            true
        } else {
            self.budget.refill();
            let waker = TaskKey::new(self.id, generation, index).waker();
            task.poll(&mut Context::from_waker(&waker))
        };
        self.running.set(before);
        if ended {
            self.remove(index);
        }
        // A detached task's output dies here; its destructor is the user's.
        shield(|| drop(task));
    }

    /// Frees the place of a task that has ended.
    fn remove(&self, index: u32) {
        let mut table = self.table.borrow_mut();
        let vacant = table.vacant;
        let Some(entry) = table.live(index) else { return };
        let task = entry.task.take();
        entry.generation = entry.generation.wrapping_add(1);
        entry.queued = false;
        entry.next_vacant = vacant;
        table.vacant = Some(index);
        table.len -= 1;
        drop(table);
        shield(|| drop(task));
    }

    /// Marks a task to be ended at its next turn, if it is still there.
    fn abort(&self, index: u32, id: Id) {
        let mut table = self.table.borrow_mut();
        let Some(entry) = table.live(index) else { return };
        if entry.task.as_ref().is_none_or(|task| task.origin().id != id) {
            return;
        }
        entry.aborted = true;
        if !std::mem::replace(&mut entry.queued, true) {
            self.ready.borrow_mut().push_back(index);
        }
    }

    /// Ends all tasks, also those that are spawned meanwhile, unless that has no end. How many.
    pub(crate) fn shut_down(&self) -> usize {
        self.phase.set(Phase::Closing);
        // What has not begun never will. Destructors are the users', and run with nothing borrowed.
        let unread = self.remote.refuse_work();
        let unread: Vec<_> = self.mail.take().into_iter().chain(unread).collect();
        unread.into_iter().for_each(|message| shield(|| drop(message)));
        let most = self.tasks().saturating_add(MOST_LATE);
        let mut ended = 0;
        let mut position = 0;
        while self.tasks() > 0 {
            if ended >= most {
                self.phase.set(Phase::Closed);
            }
            // Round and round, because destructors may spawn, join, wake and end others.
            position = if position < self.table.borrow().entries.len() { position } else { 0 };
            let index = FIRST_TASK + position as u32;
            position += 1;
            let task = self.table.borrow_mut().live(index).and_then(|entry| entry.task.clone());
            let Some(task) = task else { continue };
            let before = self.running.replace(Some(task.origin().id));
            shield(|| task.cancel());
            self.running.set(before);
            shield(|| drop(task));
            self.remove(index);
            ended += 1;
        }
        self.phase.set(Phase::Closed);
        self.ready.borrow_mut().clear();
        let deferred = self.deferred.take();
        shield(|| drop(deferred));
        ended
    }
}

impl Table {
    fn entry(&mut self, index: u32) -> &mut Entry {
        &mut self.entries[(index - FIRST_TASK) as usize]
    }

    /// The entry of a task that has not ended.
    fn live(&mut self, index: u32) -> Option<&mut Entry> {
        let position = index.checked_sub(FIRST_TASK)?;
        self.entries.get_mut(position as usize).filter(|entry| entry.task.is_some())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.remote.close();
        self.id.give_back();
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.tasks()).finish_non_exhaustive()
    }
}

/// Tasks that are ended beyond those that were there when the end began.
const MOST_LATE: usize = 1_000_000;
/// See [`Executor::refuse`].
const MOST_REFUSALS: u32 = 16;

/// Aborts a task, from whatever thread.
pub(crate) fn abort(key: u64, id: Id) {
    let key = TaskKey::from_bits(key);
    let here = crate::context::try_with(|core| {
        let is_here = core.executor.runtime() == key.runtime();
        if is_here {
            core.executor.abort(key.index(), id);
        }
        is_here
    });
    if here != Some(true)
        && let Some(remote) = key.runtime().remote()
    {
        remote.abort(key.index(), id);
    }
}
