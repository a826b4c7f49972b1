//! The executor of one thread: a table of tasks, a queue of those that are ready, and an inbox for other threads.
//!
//! Everything but the inbox belongs to one thread, so waking a task there is a few loads and stores (I5). Tasks run outside
//! of every borrow (I8): they may spawn, wake, abort and join as they like.

mod budget;
pub(crate) mod census;
mod mail;
pub(crate) mod remote;
mod table;
pub(crate) mod waker;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::driver::{shield, wake};
use crate::executor::census::Readings;
use crate::executor::remote::{FIRST_TASK, Message, ROOT, Remote};
use crate::executor::table::{Next, Table, Turn};
use crate::executor::waker::{RuntimeId, TaskKey};
use crate::kernel::sim::Seat;
use crate::metrics::ExecutorCounters;
use crate::sys;
use crate::task::{Id, Spares, TaskRef};

pub(crate) use crate::executor::budget::Budget;
pub use crate::executor::budget::poll_budget;

pub(crate) struct Executor {
    id: RuntimeId,
    remote: &'static Remote,
    /// Its borrows are as short as they can be: each of them does all that one step has to do.
    table: RefCell<Table>,
    /// The greatest index for whose wakes the inbox has room.
    room: Cell<u32>,
    /// What other threads have asked for and was not done yet, in order.
    mail: RefCell<VecDeque<Message>>,
    /// How much that is.
    mail_count: Cell<usize>,
    /// The number of tasks that other threads know.
    published: Cell<usize>,
    /// Who yielded and is no task of ours: woken after the next look at the kernel.
    strangers: RefCell<Vec<Waker>>,
    /// How many these are.
    stranger_count: Cell<usize>,
    /// The future of `block_on` has been woken.
    root_woken: Cell<bool>,
    /// The task that is being polled.
    running: Cell<Option<Id>>,
    phase: Cell<Phase>,
    /// How deep destructors of refused tasks are spawning the next one, which is refused, too.
    refusing: Cell<u32>,
    /// Memory for tasks.
    pub(crate) spares: Spares,
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

impl Executor {
    /// # Errors
    ///
    /// Where no descriptor is to be had for the doorbell, or too many runtimes live.
    pub(crate) fn new() -> io::Result<(Self, RawFd)> {
        let doorbell = sys::event::event()?;
        let (id, remote) = RuntimeId::take()
            .ok_or_else(|| io::Error::new(io::ErrorKind::ResourceBusy, "more than 4096 runtimes at the same time"))?;
        let descriptor = remote.open(doorbell);
        let executor = Self {
            id,
            remote,
            table: RefCell::new(Table::new(id)),
            room: Cell::new(remote.grow_to(FIRST_TASK)),
            mail: RefCell::new(VecDeque::new()),
            mail_count: Cell::new(0),
            published: Cell::new(0),
            strangers: RefCell::new(Vec::new()),
            stranger_count: Cell::new(0),
            root_woken: Cell::new(false),
            running: Cell::new(None),
            phase: Cell::new(Phase::Open),
            refusing: Cell::new(0),
            spares: Spares::new(),
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
        self.table.borrow().len()
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

    /// Takes in a task, and puts it into the queue.
    ///
    /// # Panics
    ///
    /// With more than 268 million tasks.
    #[inline]
    pub(crate) fn spawn(&self, task: &TaskRef) {
        self.table.borrow_mut().insert(task, self.readings.last());
        let index = task.key().index();
        if index > self.room.get() {
            self.room.set(self.remote.grow_to(index));
        }
    }

    /// Owner's thread: puts a task into the queue, unless it is there.
    #[inline]
    pub(crate) fn wake(&self, key: TaskKey) {
        if key.index() == ROOT {
            return self.root_woken.set(true);
        }
        self.table.borrow_mut().wake(key);
    }

    /// Owner's thread: wakes many at once, in order. Where many tasks sleep, those that wake are anywhere: what this takes of each
    /// comes into the cache while others are dealt with.
    pub(crate) fn wake_all(&self, wakers: &mut Vec<Waker>) {
        let ours = |waker: &Waker| TaskKey::of_waker(waker).filter(|key| key.runtime() == self.id);
        let table = self.table.borrow();
        wakers.iter().filter_map(ours).for_each(|key| table.expect(key));
        drop(table);
        for waker in wakers.drain(..) {
            let key = ours(&waker);
            wake(waker);
            if let Some(key) = key {
                self.table.borrow().expect_to_run(key);
            }
        }
    }

    /// Whatever its generation: other threads leave no more than the place.
    fn wake_index(&self, index: u32) {
        let mut table = self.table.borrow_mut();
        if let Some(key) = table.live(index).and_then(|entry| entry.task.as_ref()).map(|task| task.key()) {
            table.wake(key);
        }
    }

    /// Wakes somebody after the next look at the kernel.
    #[inline]
    pub(crate) fn defer(&self, waker: &Waker) {
        match TaskKey::of_waker(waker).filter(|key| key.runtime() == self.id) {
            Some(key) => self.table.borrow_mut().yielded.push(key),
            None => self.defer_stranger(waker.clone()),
        }
    }

    #[cold]
    fn defer_stranger(&self, waker: Waker) {
        let mut strangers = self.strangers.borrow_mut();
        strangers.push(waker);
        self.stranger_count.set(strangers.len());
    }

    /// Wakes those that yielded.
    #[inline]
    pub(crate) fn wake_deferred(&self) {
        let mut table = self.table.borrow_mut();
        if !table.yielded.is_empty() && table.wake_yielded(self.root()) {
            self.root_woken.set(true);
        }
        drop(table);
        if self.stranger_count.get() > 0 {
            self.wake_strangers();
        }
    }

    #[cold]
    fn wake_strangers(&self) {
        // Somebody's waker may yield meanwhile.
        self.stranger_count.set(0);
        let strangers = self.strangers.take();
        strangers.into_iter().for_each(wake);
    }

    /// Something is ready to run.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        self.root_woken.get()
            || self.table.borrow().has_ready()
            || self.stranger_count.get() > 0
            || self.mail_count.get() > 0
    }

    /// How many tasks are in the queue.
    pub(crate) fn ready_count(&self) -> usize {
        self.table.borrow().ready_count()
    }

    /// Polls ready tasks, at most `most` of them. Those that become ready meanwhile come behind. How many more it may be.
    #[inline]
    pub(crate) fn run(&self, most: usize) -> usize {
        for polled in 0..most {
            let mut table = self.table.borrow_mut();
            if self.chooser.is_some() {
                self.choose(&mut table);
            }
            let next = table.begin_turn();
            drop(table);
            match next {
                Next::Turn(turn) => self.run_one(turn),
                Next::Gone => {}
                Next::Nobody => return most - polled,
            }
        }
        0
    }

    /// A world decides which of the ready tasks comes first.
    #[cold]
    fn choose(&self, table: &mut Table) {
        let ready = table.ready_count();
        if let Some(seat) = self.chooser.as_ref().filter(|_| ready > 0) {
            table.put_first(seat.world.choose(ready));
        }
    }

    /// Lets a world decide which of the ready tasks comes first.
    pub(crate) fn choose_by(&mut self, seat: Rc<Seat>) {
        self.chooser = Some(seat);
    }

    #[inline]
    fn run_one(&self, turn: Turn) {
        let Turn { aborted, task } = turn;
        let key = task.key();
        task.polled_at(self.readings.last());
        self.counters.polls.add(1);
        let before = self.running.replace(Some(task.origin().id));
        let ended = if aborted {
            task.cancel();
            true
        } else {
            self.budget.refill();
            task.poll(&mut Context::from_waker(&key.waker()))
        };
        self.running.set(before);
        if ended {
            self.remove(key.index());
        }
        drop_task(task);
    }

    /// Frees the place of a task that has ended.
    fn remove(&self, index: u32) {
        let task = self.table.borrow_mut().remove(index);
        if let Some(task) = task {
            drop_task(task);
        }
    }

    /// Marks a task to be ended at its next turn, if it is still there.
    fn abort(&self, index: u32, id: Id) {
        self.table.borrow_mut().abort(index, id);
    }

    /// Ends all tasks, also those that are spawned meanwhile, unless that has no end. How many.
    pub(crate) fn shut_down(&self) -> usize {
        self.phase.set(Phase::Closing);
        // What has not begun never will. Destructors are the users', and run with nothing borrowed.
        let unread = self.remote.refuse_work();
        let unread: Vec<_> = self.mail.take().into_iter().chain(unread).collect();
        self.mail_count.set(0);
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
        let mut table = self.table.borrow_mut();
        table.clear_queues();
        drop(table);
        self.stranger_count.set(0);
        let strangers = self.strangers.take();
        shield(|| drop(strangers));
        ended
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

/// Lets go of a task. Where nobody else has it, its output dies here, whose destructor is the user's.
#[inline]
fn drop_task(task: TaskRef) {
    if task.is_last() { shield(|| drop(task)) } else { drop(task) }
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
