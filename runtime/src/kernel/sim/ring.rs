//! The simulated ring: entries are taken, operations wait for their moment, completions are posted.
//!
//! ```text
//!   push          enter                      its moment comes
//!   ----> queue --------> operation waiting ------------------> completion -> queue
//!                  |            ^  |                   |
//!                  |            |  | what it waits for |  not ready after all,
//!                  |            |  | has changed       |  or more to come
//!                  |            +--+-------------------+
//!                  +-- at once, mostly --------------------------^
//! ```

use std::collections::{BTreeMap, VecDeque};

use io_uring::squeue;

use crate::kernel::Cqe;
use crate::kernel::sim::files::FileId;
use crate::kernel::sim::memory::{self, Group, Piece};
use crate::kernel::sim::perform::Verdict;
use crate::kernel::sim::request::{Entry, Request};
use crate::kernel::sim::state::{Event, HostId, State};
use crate::sys::sqe::RawSqe;

/// Names a ring of a world: its place among them.
pub(crate) type RingId = usize;

pub(super) struct Ring {
    pub(super) host: HostId,
    /// Places in the submission queue.
    entries: usize,
    /// Places in the completion queue.
    capacity: usize,
    pub(super) staged: VecDeque<RawSqe>,
    pub(super) operations: Vec<Operation>,
    pub(super) completions: VecDeque<Cqe>,
    /// What did not fit.
    pub(super) overflow: VecDeque<Cqe>,
    pub(super) groups: BTreeMap<u16, Group>,
    /// Zero-copy sends whose buffer has not been given back.
    pub(super) notifications: usize,
    /// Its thread sleeps: until then, or for ever.
    pub(super) sleeps_until: Option<u64>,
    /// Its machine has crashed: nothing goes on, and what is asked is answered at once.
    pub(super) is_doomed: bool,
}

/// An operation in flight.
pub(super) struct Operation {
    /// Unlike that of any other operation of the world.
    pub(super) name: u64,
    pub(super) entry: Entry,
    pub(super) file: Option<FileId>,
    /// Another try is planned.
    pub(super) is_planned: bool,
    /// It was told to stop, and does so at its next try, unless it is faster.
    pub(super) is_stopping: bool,
    /// It has begun what it waits for: a connection is asked for, a disk is at work.
    pub(super) has_begun: bool,
    /// How much of a send is out.
    pub(super) done: usize,
    /// What a receive of everything (`MSG_WAITALL`) has got so far.
    pub(super) collected: Vec<u8>,
}

/// A zero-copy send that has been answered, and whose buffer the kernel still reads.
#[derive(Debug)]
pub(super) struct Notification {
    pub(super) ring: RingId,
    user_data: u64,
    /// What is being read, and what was there when it was sent.
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
}

impl State {
    pub(super) fn add_ring(&mut self, host: HostId, entries: u32, completions: u32) -> RingId {
        // Now and then a ring is tiny, whatever was asked for: nothing may depend on its size.
        let tiny = self.rng.once_in(8);
        let entries = if tiny { self.rng.count(4) } else { entries as usize };
        let capacity = if tiny { 2 + self.rng.index(6) } else { completions as usize };
        self.rings.push(Ring {
            host,
            entries,
            capacity: capacity.max(entries),
            staged: VecDeque::new(),
            operations: Vec::new(),
            completions: VecDeque::new(),
            overflow: VecDeque::new(),
            groups: BTreeMap::new(),
            notifications: 0,
            sleeps_until: None,
            is_doomed: false,
        });
        self.rings.len() - 1
    }

    /// Stages an entry; `false` where the queue is full.
    pub(super) fn push(&mut self, ring: RingId, entry: &squeue::Entry) -> bool {
        let ring = &mut self.rings[ring];
        let has_room = ring.staged.len() < ring.entries;
        if has_room {
            ring.staged.push_back(RawSqe::from(entry));
        }
        has_room
    }

    /// Takes staged entries, in order; not always all of them.
    pub(super) fn submit(&mut self, ring: RingId) {
        let staged = self.rings[ring].staged.len();
        let taken = if staged > 1 && self.rng.once_in(32) { self.rng.count(staged) } else { staged };
        for _ in 0..taken {
            let Some(sqe) = self.rings[ring].staged.pop_front() else { break };
            self.start(ring, Entry::decode(&sqe));
        }
    }

    fn start(&mut self, ring: RingId, entry: Entry) {
        let host = self.rings[ring].host;
        let file = self.file_of(entry.fd).filter(|_| entry.has_descriptor());
        let number = file.and_then(|file| self.files.get(&file)).map_or(0, |file| file.number);
        self.note(host, entry.name(), number, 0);
        match entry.request {
            Request::Unknown => return self.post(ring, &entry, -libc::EINVAL, 0),
            Request::Cancel { user_data, flags } => {
                let target = self.file_of(entry.fd);
                let answer = self.cancel(ring, user_data, flags, target);
                return self.post(ring, &entry, answer, 0);
            }
            Request::Close => {
                let answer = self.close(host, entry.fd);
                return self.post(ring, &entry, answer, 0);
            }
            // A descriptor of the real machine: it is never ready here. The bell of other threads is one.
            Request::Poll { .. } if file.is_none() => {}
            _ if entry.has_descriptor() && file.is_none() => return self.post(ring, &entry, -libc::EBADF, 0),
            _ => {}
        }
        if let Some(file) = file.and_then(|file| self.files.get_mut(&file)) {
            file.uses += 1;
        }
        let is_at_once = entry.is_immediate || (entry.may_be_instant() && !self.rng.once_in(4));
        let name = self.name();
        self.rings[ring].operations.push(Operation {
            name,
            entry,
            file,
            is_planned: false,
            is_stopping: false,
            has_begun: false,
            done: 0,
            collected: Vec::new(),
        });
        if is_at_once { self.attempt(ring, name) } else { self.plan(ring, name) }
    }

    /// An operation has another try soon.
    pub(super) fn plan(&mut self, ring: RingId, name: u64) {
        let Some(operation) = self.rings[ring].operations.iter_mut().find(|operation| operation.name == name) else {
            return;
        };
        if std::mem::replace(&mut operation.is_planned, true) {
            return;
        }
        let slow = operation.entry.is_slow();
        let delay = if slow {
            20_000 + self.rng.below(2_000_000)
        } else if self.rng.once_in(16) {
            self.rng.below(1_000_000)
        } else {
            self.rng.below(5_000)
        };
        self.after(delay, Event::Attempt { ring, name });
    }

    /// Something about a file has changed: the operations that wait for it have another try.
    pub(super) fn poke(&mut self, file: FileId) {
        let mut names = Vec::new();
        for (id, ring) in self.rings.iter().enumerate() {
            let waiting =
                ring.operations.iter().filter(|operation| operation.file == Some(file) && !operation.is_planned);
            names.extend(waiting.map(|operation| (id, operation.name)));
        }
        for (ring, name) in names {
            self.plan(ring, name);
        }
    }

    pub(super) fn attempt_again(&mut self, ring: RingId, name: u64) {
        if let Some(operation) = self.rings[ring].operations.iter_mut().find(|operation| operation.name == name) {
            operation.is_planned = false;
            self.attempt(ring, name);
        }
    }

    /// Tries an operation, and posts what comes of it.
    pub(super) fn attempt(&mut self, ring: RingId, name: u64) {
        let Some(index) = self.rings[ring].operations.iter().position(|operation| operation.name == name) else {
            return;
        };
        let mut operation = self.rings[ring].operations.remove(index);
        let verdict = self.perform(ring, &mut operation);
        let stopped = operation.is_stopping && matches!(verdict, Verdict::Wait | Verdict::More(..));
        if let Verdict::More(result, flags) = verdict {
            self.post(ring, &operation.entry, result, flags | MORE);
        }
        match verdict {
            _ if stopped => {
                let answer = self.broken_off(&mut operation);
                self.end(ring, operation, answer, 0);
            }
            Verdict::Wait if operation.entry.is_immediate => {
                let answer = if operation.done > 0 { operation.done as i32 } else { -libc::EAGAIN };
                self.end(ring, operation, answer, 0);
            }
            Verdict::Wait => self.rings[ring].operations.insert(index, operation),
            Verdict::More(..) => {
                self.rings[ring].operations.insert(index, operation);
                self.plan(ring, name);
            }
            Verdict::Done(result, flags) => self.end(ring, operation, result, flags),
        }
    }

    /// What an operation answers that is cancelled now: what it has done so far, if anything.
    pub(super) fn broken_off(&mut self, operation: &mut Operation) -> i32 {
        if operation.done > 0 {
            return operation.done as i32;
        }
        if !operation.collected.is_empty() {
            let collected = std::mem::take(&mut operation.collected);
            return memory::scatter(operation.entry.written_to(), &collected) as i32;
        }
        -libc::ECANCELED
    }

    /// The final completion of an operation; of a zero-copy send, the last but one.
    pub(super) fn end(&mut self, ring: RingId, operation: Operation, result: i32, flags: u32) {
        let Operation { entry, file, .. } = operation;
        if let Request::Send { from, is_zero_copy: true, .. } = &entry.request
            && !self.rings[ring].is_doomed
            && (result >= 0 || self.rng.once_in(2))
        {
            // Errors may have a notification, too.
            self.post(ring, &entry, result, MORE);
            let bytes = memory::gather(from, 0, usize::MAX);
            self.rings[ring].notifications += 1;
            let late = if self.rng.once_in(4) { 1_000_000_000 } else { 1_000_000 };
            let delay = self.rng.below(late);
            let notification = Notification { ring, user_data: entry.user_data, pieces: from.clone(), bytes };
            self.after(delay, Event::Notify(notification));
        } else {
            self.post(ring, &entry, result, flags);
        }
        if let Some(file) = file {
            self.end_use(file);
        }
    }

    pub(super) fn notify(&mut self, notification: &Notification) {
        let Notification { ring, user_data, pieces, bytes } = notification;
        if memory::gather(pieces, 0, usize::MAX) != *bytes {
            self.violation = Some("a buffer that was sent without a copy has changed before the kernel gave it back");
        }
        self.rings[*ring].notifications -= 1;
        let host = self.rings[*ring].host;
        self.note(host, "notification", 0, 0);
        self.enqueue(*ring, Cqe { user_data: *user_data, result: 0, flags: NOTIFICATION });
    }

    /// Posts a completion of an operation.
    pub(super) fn post(&mut self, ring: RingId, entry: &Entry, result: i32, flags: u32) {
        let host = self.rings[ring].host;
        // The number of an accepted descriptor is the real machine's.
        let is_descriptor = matches!(entry.request, Request::Accept { .. } | Request::Open { .. }) && result >= 0;
        self.note(host, entry.name(), u64::from(flags & 0xFFFF), if is_descriptor { 0 } else { i64::from(result) });
        if entry.is_silent && !entry.is_failure(result) {
            return;
        }
        self.enqueue(ring, Cqe { user_data: entry.user_data, result, flags });
    }

    fn enqueue(&mut self, id: RingId, cqe: Cqe) {
        let ring = &mut self.rings[id];
        if ring.completions.len() >= ring.capacity || !ring.overflow.is_empty() {
            return ring.overflow.push_back(cqe);
        }
        // Completions of one operation keep their order; those of several have none.
        let earliest =
            ring.completions.iter().rposition(|other| other.user_data == cqe.user_data).map_or(0, |at| at + 1);
        let room = ring.completions.len() - earliest;
        let back = if room > 0 && self.rng.once_in(4) { self.rng.index(room + 1) } else { 0 };
        let ring = &mut self.rings[id];
        let at = ring.completions.len() - back;
        ring.completions.insert(at, cqe);
    }

    /// Brings in what did not fit before.
    pub(super) fn flush_overflow(&mut self, ring: RingId) {
        let ring = &mut self.rings[ring];
        while ring.completions.len() < ring.capacity
            && let Some(cqe) = ring.overflow.pop_front()
        {
            ring.completions.push_back(cqe);
        }
    }

    /// Garbage goes to all that the kernel may write to: whoever reads it early, or has freed it, finds out.
    pub(super) fn scribble(&mut self, ring: RingId) {
        let Self { rings, rng, .. } = self;
        for operation in &rings[ring].operations {
            for piece in operation.entry.written_to() {
                memory::scribble(*piece, rng);
            }
        }
        for group in rings[ring].groups.values() {
            group.scribble(rng);
        }
    }

    /// Whether a completion queue that runs over ends multishot operations now.
    pub(super) fn is_full(&self, ring: RingId) -> bool {
        let ring = &self.rings[ring];
        ring.completions.len() >= ring.capacity || !ring.overflow.is_empty()
    }
}

/// `IORING_CQE_F_MORE`, `IORING_CQE_F_NOTIF`.
pub(super) const MORE: u32 = 1 << 1;
const NOTIFICATION: u32 = 1 << 3;
