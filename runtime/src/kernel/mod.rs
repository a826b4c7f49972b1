//! The boundary between the driver and a kernel: submission entries go in, completions come out.
//!
//! An SQE is already a plain description of one operation, and a CQE of its answer, so the boundary needs no vocabulary
//! of its own: an op is written once, and a kernel that is not io_uring can decode the SQE and answer with a CQE. What has
//! no SQE (socket options, addresses) goes through the functions of [`socket`]. Outside this folder and `sys`, nobody
//! makes a system call.

pub(crate) mod attempt;
pub(crate) mod choice;
mod epoll;
pub(crate) mod file;
mod gather;
pub(crate) mod probe;
pub(crate) mod refusal;
pub(crate) mod setup;
pub(crate) mod sim;
pub(crate) mod socket;
mod uring;

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use io_uring::{cqueue, squeue};

use crate::buf::BufferPool;
use crate::cancel_scope::error_of;
use crate::kernel::attempt::Attempt;
use crate::kernel::epoll::Epoll;
use crate::kernel::refusal::Refusal;
use crate::kernel::setup::SetupRequest;
use crate::kernel::sim::{Seat, Sim};
use crate::kernel::uring::Uring;
use crate::sys::sqe::RawSqe;

/// One submission queue entry: a description of one operation for the kernel.
///
/// It is made from an entry of the `io-uring` crate, whose opcode builders know every operation. Whoever hands an `Sqe` to
/// the driver answers for the memory that it names: see [`Op`](crate::op::Op).
#[derive(Clone)]
pub struct Sqe(squeue::Entry);

impl Sqe {
    /// The operation's code, `IORING_OP_*`.
    #[inline]
    pub fn opcode(&self) -> u32 {
        self.0.get_opcode()
    }

    /// The same entry under the key by which its completions will be known.
    #[inline]
    pub(crate) fn keyed(mut self, user_data: u64) -> Self {
        self.0.set_user_data(user_data);
        self
    }

    /// The same entry, silent where it succeeds: only a failure posts a completion.
    pub(crate) fn silent(self) -> Self {
        Self(self.0.flags(squeue::Flags::SKIP_SUCCESS))
    }

    /// Performs the entry, which has not been pushed, at once. Only where [`Kernel::attempts`] says that this world is its
    /// kernel's.
    #[inline]
    pub(crate) fn attempt(&self) -> Attempt {
        attempt::perform(&RawSqe::from(&self.0))
    }
}

impl From<squeue::Entry> for Sqe {
    fn from(entry: squeue::Entry) -> Self {
        Self(entry)
    }
}

impl fmt::Debug for Sqe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqe").field("opcode", &self.opcode()).field("user_data", &self.0.get_user_data()).finish()
    }
}

/// One completion queue entry: the kernel's answer, or one of several, to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cqe {
    pub(crate) user_data: u64,
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl Cqe {
    /// What the operation answered: a count, a descriptor, or a negative errno.
    #[inline]
    pub fn result(&self) -> i32 {
        self.result
    }

    /// The answer as std would give it.
    ///
    /// # Errors
    ///
    /// A negative result is the errno.
    #[inline]
    pub fn value(&self) -> io::Result<u32> {
        u32::try_from(self.result).map_err(|_| error_of(self, 0))
    }

    /// The answer of an operation in several steps that has transferred `count` bytes. Where it was stopped midway, the
    /// error [tells the count](crate::cancel_scope::transferred).
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    #[inline]
    pub fn transferred(&self, count: usize) -> io::Result<usize> {
        if self.result >= 0 { Ok(count) } else { Err(error_of(self, count)) }
    }

    /// The kernel has let go of the buffer of a zero-copy send (`IORING_CQE_F_NOTIF`).
    pub fn is_notification(&self) -> bool {
        cqueue::notif(self.flags)
    }

    /// Whether somebody waits for the operation that this completion, given to its step, belongs to.
    #[inline]
    pub fn is_wanted(&self) -> bool {
        self.user_data != UNWANTED
    }

    /// The same completion for the step of an operation whose future is gone.
    #[inline]
    pub(crate) fn unwanted(self) -> Self {
        Self { user_data: UNWANTED, ..self }
    }

    /// More completions of the same submission follow (`IORING_CQE_F_MORE`).
    #[inline]
    pub fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The buffer that the kernel picked from a buffer ring, if it did (`IORING_CQE_F_BUFFER`).
    #[inline]
    pub fn buffer_id(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }

    /// The socket held more bytes than this receive took (`IORING_CQE_F_SOCK_NONEMPTY`).
    pub fn socket_has_more(&self) -> bool {
        cqueue::sock_nonempty(self.flags)
    }

    /// An answer that no kernel gave: the operation ended before it reached one.
    #[inline]
    pub(crate) fn made_up(result: i32) -> Self {
        Self { user_data: 0, result, flags: 0 }
    }
}

/// `user_data` of a completion that nobody waits for, once it has found its op.
const UNWANTED: u64 = u64::MAX - 5;

/// How long [`Kernel::enter`] may sleep for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Submit, and look what is there.
    No,
    /// Until a completion arrives or this much time has gone by.
    For(Duration),
    /// Until a completion arrives.
    Forever,
}

/// The kernels that a driver can stand on.
#[derive(Debug)]
pub(crate) enum Kernel {
    /// The real thing.
    Uring(Uring),
    /// The same, emulated in user space.
    Epoll(Epoll),
    /// A made-up world.
    Sim(Sim),
}

impl Kernel {
    /// The place of a simulated kernel in its world.
    pub(crate) fn seat(&self) -> Option<Rc<Seat>> {
        match self {
            Self::Sim(sim) => Some(Rc::clone(sim.seat())),
            Self::Uring(_) | Self::Epoll(_) => None,
        }
    }

    /// Sets up a real ring.
    pub(crate) fn uring(request: &SetupRequest) -> Result<Self, Refusal> {
        setup::set_up(request).map(|ring| Self::Uring(Uring::new(ring)))
    }

    /// Lets waits be for up to so many completions, for up to so many microseconds, where many come. Means nothing where the
    /// kernel cannot do that.
    pub(crate) fn gather(&mut self, most: u32, time_us: u32) {
        match self {
            Self::Uring(uring) => uring.gather(most, time_us),
            // One system call brings what is there already; and a made-up world has no time to lose.
            Self::Epoll(_) | Self::Sim(_) => {}
        }
    }

    /// How many waits were for more than one completion, and how many of them brought hardly any.
    pub(crate) fn gathers(&self) -> (u64, u64) {
        match self {
            Self::Uring(uring) => uring.gathers(),
            Self::Epoll(_) | Self::Sim(_) => (0, 0),
        }
    }

    /// Stages a copy of an entry. `false`: the queue is full.
    #[must_use]
    #[inline]
    pub(crate) fn push(&mut self, sqe: &Sqe) -> bool {
        match self {
            Self::Uring(uring) => uring.push(sqe),
            Self::Epoll(epoll) => epoll.push(sqe),
            Self::Sim(sim) => sim.push(sqe),
        }
    }

    /// How many staged entries the kernel has not consumed yet.
    pub(crate) fn staged(&mut self) -> usize {
        match self {
            Self::Uring(uring) => uring.staged(),
            Self::Epoll(epoll) => epoll.staged(),
            Self::Sim(sim) => sim.staged(),
        }
    }

    /// Whether [`enter`](Self::enter) would achieve anything now: staged entries, or work that the kernel has put off
    /// until we enter. Costs no system call.
    pub(crate) fn wants_entry(&mut self) -> bool {
        match self {
            Self::Uring(uring) => uring.wants_entry(),
            Self::Epoll(epoll) => epoll.wants_entry(),
            Self::Sim(sim) => sim.wants_entry(),
        }
    }

    /// Submits what is staged, lets the kernel do what it had put off, and waits as told: one system call.
    ///
    /// A return tells nothing about how many completions there are. `EINTR` and an expired wait are `Ok`.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.enter(wait),
            Self::Epoll(epoll) => epoll.enter(wait),
            Self::Sim(sim) => sim.enter(wait),
        }
    }

    /// Whether an entry that may not wait has ended by the time that it is submitted, so that one which posts nothing where
    /// it succeeds (`IOSQE_CQE_SKIP_SUCCESS`) tells that by silence.
    pub(crate) fn tells_by_silence(&self) -> bool {
        match self {
            Self::Uring(uring) => uring.tells_by_silence(),
            // Calls are made, and answered, when their entry is submitted.
            Self::Epoll(_) => true,
            Self::Sim(_) => true,
        }
    }

    /// Whether [`has_news`](Self::has_news) tells when something has happened.
    pub(crate) fn shows_news(&self) -> bool {
        match self {
            Self::Uring(uring) => uring.shows_news(),
            // Only a system call tells.
            Self::Epoll(_) => false,
            // Nothing happens there by itself.
            Self::Sim(_) => false,
        }
    }

    /// Something has happened that an entry would bring out. Costs no system call.
    pub(crate) fn has_news(&mut self) -> bool {
        match self {
            Self::Uring(uring) => uring.has_news(),
            Self::Epoll(_) | Self::Sim(_) => false,
        }
    }

    /// Whether an entry may be performed by a system call of our own instead.
    pub(crate) fn attempts(&self) -> bool {
        // What a world holds is made up.
        self.calls() && !matches!(self, Self::Sim(_))
    }

    /// Whether calls that end at once may take the place of entries.
    pub(crate) fn calls(&self) -> bool {
        // Not where a thread of the kernel's submits, which is where silence tells nothing: a call is what was to be saved.
        self.tells_by_silence()
    }

    /// Copies out the completions that are there, and gives their places back to the kernel.
    pub(crate) fn take_completions(&mut self, into: &mut Vec<Cqe>) {
        match self {
            Self::Uring(uring) => uring.take_completions(into),
            Self::Epoll(epoll) => epoll.take_completions(into),
            Self::Sim(sim) => sim.take_completions(into),
        }
    }

    /// Completions overflowed the queue and wait inside the kernel: only an entry brings them out.
    pub(crate) fn has_overflowed(&mut self) -> bool {
        match self {
            Self::Uring(uring) => uring.has_overflowed(),
            // Its queue grows.
            Self::Epoll(_) => false,
            Self::Sim(sim) => sim.has_overflowed(),
        }
    }

    /// Lets the kernel pick from the buffers of `pool`. They are the kernel's until the ring is gone (I6).
    pub(crate) fn register_buffers(&mut self, pool: &BufferPool) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.register_buffers(pool),
            Self::Epoll(epoll) => epoll.register_buffers(pool),
            Self::Sim(sim) => sim.register_buffers(pool),
        }
    }

    /// Takes a buffer group back. To be called only when no op names the group.
    pub(crate) fn unregister_buffers(&mut self, group: u16) {
        match self {
            Self::Uring(uring) => uring.unregister_buffers(group),
            Self::Epoll(epoll) => epoll.unregister_buffers(group),
            Self::Sim(sim) => sim.unregister_buffers(group),
        }
    }

    /// Whether files may have places in a table of the kernel's, by which entries name them instead (`IOSQE_FIXED_FILE`).
    /// Where they may not, no entry does.
    pub(crate) fn registers_files(&self) -> bool {
        match self {
            Self::Uring(uring) => uring.registers_files(),
            // There a descriptor is looked up by the call itself.
            Self::Epoll(_) => false,
            Self::Sim(_) => false,
        }
    }

    /// Makes the table. Once.
    pub(crate) fn register_files(&mut self, places: u16) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.register_files(places),
            Self::Epoll(_) | Self::Sim(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Puts a file into a place, or takes it out. The table owns the open file as a descriptor does.
    pub(crate) fn update_file(&mut self, place: u16, file: Option<RawFd>) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.update_file(place, file),
            Self::Epoll(_) | Self::Sim(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes all files out, and the table away.
    pub(crate) fn unregister_files(&mut self) {
        match self {
            Self::Uring(uring) => uring.unregister_files(),
            Self::Epoll(_) | Self::Sim(_) => {}
        }
    }
}
