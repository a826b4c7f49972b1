//! Counting the tasks, for a dump: who they are, and where they stand.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::Location;

use crate::executor::Executor;
use crate::executor::remote::{FIRST_TASK, ROOT};
use crate::executor::waker::TaskKey;
use crate::task::Id;
use crate::timer::Instant;

/// What the runtime saw when it last looked at its clock. Tasks are stamped with it, which costs no look of their own.
#[derive(Debug)]
pub(crate) struct Readings {
    first: Cell<Option<Instant>>,
    last: Cell<Instant>,
}

impl Readings {
    pub(crate) fn new() -> Self {
        Self { first: Cell::new(None), last: Cell::new(Instant::from_nanos(0)) }
    }

    /// The runtime has looked at its clock.
    pub(crate) fn record(&self, now: Instant) {
        self.last.set(now);
        if self.first.get().is_none() {
            self.first.set(Some(now));
        }
    }

    pub(crate) fn last(&self) -> Instant {
        self.last.get()
    }

    pub(crate) fn are_none(&self) -> bool {
        self.first.get().is_none()
    }

    /// When something happened that was stamped with the last reading, which may have been none yet.
    fn time_of(&self, stamp: Instant) -> Instant {
        self.first.get().map_or(stamp, |first| first.max(stamp))
    }
}

/// What the table of tasks knows of one.
#[derive(Debug)]
pub(crate) struct Resident {
    pub(crate) index: u32,
    pub(crate) id: Id,
    pub(crate) name: Option<Box<str>>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) spawned: Instant,
    pub(crate) polled: Option<Instant>,
    pub(crate) polls: u64,
    /// It is in the queue.
    pub(crate) is_ready: bool,
    pub(crate) is_running: bool,
    /// The task that waits for its end.
    pub(crate) joiner: Option<TaskKey>,
}

impl Executor {
    /// All tasks that have not ended. No code of users' runs.
    pub(crate) fn census(&self) -> Vec<Resident> {
        let table = self.table.borrow();
        let mut residents = Vec::with_capacity(table.len());
        for (position, entry) in table.entries.iter().enumerate() {
            let Some(task) = &entry.task else { continue };
            let origin = task.origin();
            residents.push(Resident {
                index: FIRST_TASK + position as u32,
                id: origin.id,
                name: origin.name.clone(),
                location: origin.location,
                spawned: self.readings.time_of(task.spawned()),
                polled: (task.polls() > 0).then(|| self.readings.time_of(task.polled())),
                polls: task.polls(),
                is_ready: entry.is_queued(),
                is_running: self.running.get() == Some(origin.id),
                joiner: task.joiner(),
            });
        }
        // Those that yielded are ready, if behind the next look at the kernel.
        let yielded: BTreeSet<_> = table.yielded.iter().map(|key| key.index()).collect();
        for resident in &mut residents {
            resident.is_ready |= yielded.contains(&resident.index);
        }
        residents
    }

    /// Whether the key is that of the future of `block_on`, or of a task here that has not ended.
    pub(crate) fn is_resident(&self, key: TaskKey) -> bool {
        let is_live = || {
            let mut table = self.table.borrow_mut();
            table.live(key.index()).is_some_and(|entry| entry.task.as_ref().is_some_and(|task| task.key() == key))
        };
        key.runtime() == self.id && (key.index() == ROOT || is_live())
    }
}
