//! `dump`: which tasks there are, and what each of them waits for.
//!
//! Nobody keeps a list of that. Wakers are numbers that name a task, so it is read out of the places where wakers rest: the
//! slots of operations, the queues of sockets (which the operation that feeds them leads to), the wheel of timers, and
//! tasks that are joined. So programs that do not dump pay for no more than a stamp at each poll.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;
use std::time::Duration;

use crate::context;
use crate::executor::census::Resident;
use crate::executor::remote::ROOT;
use crate::executor::waker::TaskKey;
use crate::runtime::Core;
use crate::task::Id;
use crate::timer::Instant;

/// What the tasks of the current runtime do and wait for, as it is now.
///
/// It wakes and polls nobody. What a task waits for is known where the runtime itself will wake it: operations, the queues of
/// sockets and pipes, timers, tasks that it joins. Channels, locks and other threads are not the runtime's, and some
/// combinators (such as `FuturesUnordered` and [`JoinSet`](crate::task::JoinSet)) have wakers of their own: a task that waits
/// for nothing that is known is told to wait for something outside.
///
/// # Cancel safety
///
/// It is ready at its first poll.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quoit_runtime::timer::{Instant, Timer};
/// use quoit_runtime::{TaskState, WaitsFor, task};
///
/// quoit_runtime::block_on(async {
///     let mut timer = Timer::new(Instant::now() + Duration::from_secs(3600));
///     let sleep = std::future::poll_fn(move |cx| timer.poll_elapsed(cx));
///     let sleeper = task::Builder::new().name("sleeper").spawn(sleep);
///     task::yield_now().await;
///
///     let dump = quoit_runtime::dump().await;
///     println!("{dump}");
///     let [task] = dump.tasks() else { panic!("one task") };
///     assert_eq!((task.id(), task.name()), (sleeper.id(), Some("sleeper")));
///     assert_eq!(task.state(), TaskState::Waiting);
///     assert!(matches!(task.waits_for(), [WaitsFor::Timer { .. }]));
/// });
/// ```
pub async fn dump() -> Dump {
    context::with(Core::dump)
}

/// The tasks of a runtime at one time. Made by [`dump()`]; shown with `{}`, it has a paragraph for each task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    tasks: Vec<TaskDump>,
    root: Vec<WaitsFor>,
}

impl Dump {
    /// The tasks that have not ended, the oldest first.
    pub fn tasks(&self) -> &[TaskDump] {
        &self.tasks
    }

    /// What the future of `block_on`, which is no task, waits for.
    pub fn root_waits_for(&self) -> &[WaitsFor] {
        &self.root
    }
}

/// One task in a [`Dump`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskDump {
    id: Id,
    name: Option<Box<str>>,
    location: &'static Location<'static>,
    age: Duration,
    polls: u64,
    since_poll: Option<Duration>,
    state: TaskState,
    waits_for: Vec<WaitsFor>,
}

impl TaskDump {
    /// The task's id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Its name, if its spawner gave it one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.location
    }

    /// How long ago it was spawned, at most.
    ///
    /// The runtime does not look at its clock for the sake of tasks. It does so before and after each sleep while there are
    /// timers, and every 16 turns while it does not sleep; and it does not at all while there are none. So this may be more
    /// than the truth, by as much as there was between two looks.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// How often it was polled.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// How long ago its last poll began, at most: as exact as [`age`](Self::age). `None` if it was never polled.
    pub fn since_poll(&self) -> Option<Duration> {
        self.since_poll
    }

    /// Whether it runs, is to run, or waits.
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// What it waits for, as far as the runtime knows, operations first. Of a task that is ready or runs, what it would still
    /// be woken by.
    pub fn waits_for(&self) -> &[WaitsFor] {
        &self.waits_for
    }
}

/// What a task is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled: it is the task that asked for the dump.
    Running,
    /// It was woken, and is to be polled.
    Ready,
    /// It is polled when something wakes it.
    Waiting,
}

/// Something that a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// An operation, or what an operation is to bring into the queue of a socket or a pipe.
    #[non_exhaustive]
    Operation {
        /// What it is called, such as `accept (multishot)`.
        name: &'static str,
        /// The descriptor that it is about, if that is one and known.
        descriptor: Option<RawFd>,
        /// It has not begun: others of the same socket come first.
        is_queued: bool,
    },
    /// A deadline.
    #[non_exhaustive]
    Timer {
        /// How long until then; zero if it has passed.
        left: Duration,
    },
    /// The end of another task.
    #[non_exhaustive]
    Task {
        /// Which one.
        id: Id,
    },
}

impl Core {
    /// Nothing is borrowed while sinks are asked, whose code may be anybody's.
    pub(crate) fn dump(&self) -> Dump {
        let now = self.read_clock();
        let residents = self.executor.census();
        let mut waits = Waits::new();
        let mut add = |key: TaskKey, what: WaitsFor| {
            if self.executor.is_resident(key) {
                waits.entry(key.index()).or_default().push(what);
            }
        };
        for report in self.driver.reports() {
            let descriptor = report.description.descriptor();
            let mut tasks = report.description.waiting_tasks();
            tasks.extend(&report.tasks);
            tasks.sort_by_key(|key| key.bits());
            tasks.dedup();
            for key in tasks {
                add(key, WaitsFor::Operation { name: report.name, descriptor, is_queued: report.is_parked });
            }
        }
        for (deadline, key) in self.timers.waiting_tasks() {
            add(key, WaitsFor::Timer { left: deadline.duration_since(now) });
        }
        for resident in &residents {
            if let Some(joiner) = resident.joiner {
                add(joiner, WaitsFor::Task { id: resident.id });
            }
        }
        let root = waits.remove(&ROOT).unwrap_or_default();
        let mut tasks: Vec<_> =
            residents.into_iter().map(|resident| TaskDump::new(resident, now, &mut waits)).collect();
        // Ids ascend on a thread, but others may have spawned some.
        tasks.sort_by_key(|task| (Reverse(task.age), task.id));
        Dump { tasks, root }
    }
}

/// What is waited for, by the place of the task in the table.
type Waits = BTreeMap<u32, Vec<WaitsFor>>;

impl TaskDump {
    fn new(resident: Resident, now: Instant, waits: &mut Waits) -> Self {
        let state = match &resident {
            Resident { is_running: true, .. } => TaskState::Running,
            Resident { is_ready: true, .. } => TaskState::Ready,
            _ => TaskState::Waiting,
        };
        Self {
            id: resident.id,
            name: resident.name,
            location: resident.location,
            age: now.duration_since(resident.spawned),
            polls: resident.polls,
            since_poll: resident.polled.map(|polled| now.duration_since(polled)),
            state,
            waits_for: waits.remove(&resident.index).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tasks.len() {
            1 => write!(f, "1 task")?,
            count => write!(f, "{count} tasks")?,
        }
        for what in &self.root {
            write!(f, "\n    the future of block_on waits for {what}")?;
        }
        self.tasks.iter().try_for_each(|task| write!(f, "\n\n{task}"))
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, ", spawned at {} {:.1?} ago", self.location, self.age)?;
        match self.since_poll {
            None => write!(f, ", never polled")?,
            Some(since) if self.polls == 1 => write!(f, ", polled once, {since:.1?} ago")?,
            Some(since) => write!(f, ", polled {} times, the last time {since:.1?} ago", self.polls)?,
        }
        match self.state {
            TaskState::Running => return write!(f, "\n    is running"),
            TaskState::Ready => return write!(f, "\n    is ready to run"),
            TaskState::Waiting if self.waits_for.is_empty() => {
                return write!(f, "\n    waits for something outside: a channel, a lock, another thread");
            }
            TaskState::Waiting => {}
        }
        self.waits_for.iter().try_for_each(|what| write!(f, "\n    waits for {what}"))
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation { name, descriptor, is_queued } => {
                f.write_str(name)?;
                if let Some(descriptor) = descriptor {
                    write!(f, " on descriptor {descriptor}")?;
                }
                f.write_str(if *is_queued { ", which others of the same socket come before" } else { "" })
            }
            Self::Timer { left } => write!(f, "a timer that is due in {left:.1?}"),
            Self::Task { id } => write!(f, "task {id} to end"),
        }
    }
}
