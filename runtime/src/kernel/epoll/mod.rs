//! An io_uring in user space, over epoll and a few threads.
//!
//! It takes the entries that the real ring takes and answers with completions of the same meaning, so nobody outside of
//! this folder knows which of both performs an operation.
//!
//! ```text
//!     push            staged entries
//!     enter ->        attempt: the call is made at once, without blocking     attempt.rs, sockets.rs, streams.rs, read_write.rs
//!                       done ------------------------------> completion       finish.rs
//!                       not now: in its descriptor's queue                    files.rs, requests.rs
//!                       it would block: to a thread                           workers.rs, jobs.rs
//!                     one epoll_wait: the due are attempted again             turn.rs
//!     take_completions
//! ```
//!
//! Descriptors are as on the real ring: blocking ones, whose flags are nobody's business here. So each call is made in a
//! form that does not wait (`MSG_DONTWAIT`, `RWF_NOWAIT`), and what has no such form goes to a thread.
//!
//! # Bounds
//!
//! One descriptor's queue gets at most 32 calls a turn (`MOST_SHOTS`); what is left goes on in the next turn, which
//! does not sleep. The completion queue grows as it must: by what was submitted and by that many shots of each descriptor.

mod abi;
mod attempt;
pub(super) mod calls;
mod cancel;
mod clock;
mod files;
mod finish;
mod groups;
mod jobs;
mod read_write;
mod requests;
mod sockets;
mod streams;
mod turn;
mod workers;

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buf::BufferPool;
use crate::kernel::epoll::files::Files;
use crate::kernel::epoll::groups::Groups;
use crate::kernel::epoll::requests::{Direction, Id, Requests};
use crate::kernel::epoll::workers::Mailbox;
use crate::kernel::setup::{self, SetupRequest};
use crate::kernel::{Cqe, Sqe, Wait};
use crate::sys::epoll::{Event, Poller};
use crate::sys::event::event;
use crate::sys::sqe::RawSqe;

/// The emulated ring.
#[derive(Debug)]
pub(crate) struct Epoll {
    poller: Poller,
    /// Pushed and not yet begun.
    staged: VecDeque<RawSqe>,
    /// As many may be staged.
    entries: usize,
    /// Links whose turn has come: an entry, and those that wait for it.
    followers: VecDeque<(RawSqe, Vec<RawSqe>)>,
    /// How many requests there have been.
    begun: u64,
    /// How often in a row nobody has looked at epoll, though somebody waits.
    unlooked: u32,
    /// Begun and not ended.
    requests: Requests,
    /// Who waits for which descriptor.
    files: Files,
    /// Queues whose first has had its share of this turn, and could go on.
    again: Vec<(RawFd, Direction)>,
    /// What the clock wakes.
    timers: BTreeSet<(Instant, Id)>,
    /// Timeouts that also count completions.
    counting: Vec<Id>,
    groups: Groups,
    mailbox: Arc<Mailbox>,
    completions: Vec<Cqe>,
    /// Kept for its capacity.
    events: Vec<Event>,
    /// As the real ring, it is one thread's: it knows its pool.
    not_send: PhantomData<*mut ()>,
}

impl Epoll {
    /// # Errors
    ///
    /// `InvalidInput` where the request makes no sense; those of `epoll_create1` and `eventfd`.
    pub(crate) fn new(request: &SetupRequest) -> io::Result<Self> {
        let sizes = setup::Sizes::of(request)?;
        let poller = Poller::new()?;
        let bell = event()?;
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        poller.add(bell.as_raw_fd(), events, BELL).map_err(io::Error::from_raw_os_error)?;
        let mailbox = Arc::new(Mailbox::new(File::from(bell)));
        Ok(Self {
            poller,
            staged: VecDeque::new(),
            entries: sizes.entries as usize,
            followers: VecDeque::new(),
            begun: 0,
            unlooked: 0,
            requests: Requests::default(),
            files: Files::default(),
            again: Vec::new(),
            timers: BTreeSet::new(),
            counting: Vec::new(),
            groups: Groups::default(),
            mailbox,
            completions: Vec::new(),
            events: Vec::new(),
            not_send: PhantomData,
        })
    }

    pub(crate) fn push(&mut self, sqe: &Sqe) -> bool {
        let has_room = self.staged.len() < self.entries;
        if has_room {
            self.staged.push_back(RawSqe::from(&sqe.0));
        }
        has_room
    }

    pub(crate) fn staged(&self) -> usize {
        self.staged.len()
    }

    /// No flag in shared memory tells that a descriptor has become ready. So while somebody waits for one, every few turns
    /// of tasks that have nothing to do with it are worth a look.
    pub(crate) fn wants_entry(&mut self) -> bool {
        if self.has_more() || !self.staged.is_empty() {
            return true;
        }
        self.unlooked += 1;
        self.unlooked >= TURNS_A_LOOK && !(self.files.is_idle() && self.timers.is_empty())
    }

    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.unlooked = 0;
        self.begin_staged();
        self.go_on();
        self.look(self.how_long(wait))
    }

    fn next_order(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// There is something to tell, or to do, without any event.
    fn has_more(&self) -> bool {
        let to_do = !self.again.is_empty() || !self.followers.is_empty() || self.mailbox.is_filled();
        to_do || !self.completions.is_empty()
    }

    /// How long epoll may sleep; none without end.
    fn how_long(&self, wait: Wait) -> Option<Duration> {
        if self.has_more() {
            return Some(Duration::ZERO);
        }
        let asked = match wait {
            Wait::No => return Some(Duration::ZERO),
            Wait::For(time) => Some(time),
            Wait::Forever => None,
        };
        let due = self.timers.first().map(|(deadline, _)| deadline.saturating_duration_since(Instant::now()));
        match (asked, due) {
            (Some(asked), Some(due)) => Some(asked.min(due)),
            (asked, due) => asked.or(due),
        }
    }

    pub(crate) fn take_completions(&mut self, into: &mut Vec<Cqe>) {
        into.append(&mut self.completions);
    }

    pub(crate) fn register_buffers(&mut self, pool: &BufferPool) -> io::Result<()> {
        self.groups.register(pool)
    }

    pub(crate) fn unregister_buffers(&mut self, group: u16) {
        self.groups.unregister(group);
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// The token of the mailbox's bell: no descriptor has this number.
const BELL: u64 = u64::MAX;

/// Turns without an entry before one that only looks.
const TURNS_A_LOOK: u32 = 4;

/// Calls that one descriptor's queue gets in a turn, and completions of one request, before the others have theirs.
const MOST_SHOTS: usize = 32;

#[cfg(test)]
mod tests;
