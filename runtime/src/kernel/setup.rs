//! Sets a ring up: with as many of the flags we want as the kernel takes, and as many entries as it has memory for.
//!
//! [`negotiate`] decides and is pure: it talks to a closure that tries a setup, and to one that pauses, so that the tests put a
//! made-up kernel in their place. [`set_up`] puts the real one there, and checks that the ring it got can be entered.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use io_uring::{IoUring, Parameters, Probe, opcode};

use super::probe::Features;
use super::refusal::{self, Refusal};
use crate::sys::uring;

/// What is asked of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct SetupRequest {
    /// Entries of the submission queue: rounded up to a power of two, at most 32768.
    pub(crate) entries: u32,
    /// Entries of the completion queue, at least those of the submission queue and at most 65536; `None`: four times the
    /// submission queue, since multishot operations answer more often than they are asked.
    pub(crate) completion_entries: Option<u32>,
    /// A thread of the kernel polls the submission queue and sleeps after being idle for this long.
    pub(crate) sqpoll: Option<Duration>,
}

/// A ring that has been entered once, and how to enter it.
///
/// It stays on the thread that set it up: the registered index means another ring elsewhere, and a kernel that granted
/// `SINGLE_ISSUER` refuses all other threads. Dropping it lets go of the index, without which the ring would stay open until
/// the thread ends.
pub(crate) struct Ring {
    /// The mapped queues, and the descriptor, which is what `register` takes.
    pub(crate) ring: IoUring,
    /// What `enter` takes: the registered index, or the descriptor.
    pub(crate) enter_fd: i32,
    /// Flags to or into each `enter`.
    pub(crate) enter_flags: u32,
    /// What was granted.
    pub(crate) features: Features,
    /// Not `Send`.
    of_this_thread: PhantomData<*const ()>,
}

/// Sets a ring up on the calling thread, to be used by that thread only.
///
/// It takes system calls, and where memory is short pauses for up to a second in all.
///
/// # Errors
///
/// A [`Refusal`] with its cause. If memory stays short down to 8 entries its kind is `OutOfMemory`.
pub(crate) fn set_up(request: &SetupRequest) -> Result<Ring, Refusal> {
    let sizes = Sizes::of(request)?;
    let mut try_setup = |attempt: &Attempt| build(attempt, request.sqpoll);
    let (ring, granted) = negotiate(sizes, Flags::wanted(request), &mut try_setup, &mut thread::sleep)
        .map_err(|error| Refusal::of_call(refusal::SETUP, &error))?;

    let mut known = Probe::new();
    ring.submitter().register_probe(&mut known).map_err(|error| Refusal::of_call("io_uring_register", &error))?;
    let mut features = Features::read(ring.params(), granted, &known);
    if let Some(missing) = missing(ring.params(), &features) {
        return Err(Refusal::of_old_kernel(missing, features.release));
    }

    // The index is a saving only: without one (16 rings of this thread have theirs, say) the descriptor does.
    let fd = ring.as_raw_fd();
    let (enter_fd, index_flag) = match uring::register_ring_fd(fd) {
        Ok(index) => (index as i32, uring::ENTER_REGISTERED_RING),
        Err(_) => (fd, 0),
    };
    features.registered_ring = index_flag != 0;
    let enter_flags = index_flag | if features.no_iowait { uring::ENTER_NO_IOWAIT } else { 0 };
    let ring = Ring { ring, enter_fd, enter_flags, features, of_this_thread: PhantomData };

    // A filter may allow the other two calls but this one: better told now than by the first operation.
    match uring::enter_wait(ring.enter_fd, 0, 0, ring.enter_flags | uring::ENTER_GETEVENTS, None) {
        Ok(_) => Ok(ring),
        // Not now, which is no refusal: the call was let through.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)) => Ok(ring),
        Err(error) => Err(Refusal::of_call("io_uring_enter", &error)),
    }
}

/// What quoit cannot do without and this kernel hasn't, if anything. Each was there in 6.0, the oldest release for us: a flag of
/// an operation cannot be asked for, so an opcode of the same release stands for multishot receive and synchronous cancel.
fn missing(parameters: &Parameters, features: &Features) -> Option<&'static str> {
    let needs = [
        (parameters.is_feature_single_mmap(), "queues in one mapping (5.4)"),
        (parameters.is_feature_nodrop(), "completions that are never dropped (5.5)"),
        (parameters.is_feature_submit_stable(), "arguments read at submission (5.5)"),
        (parameters.is_feature_fast_poll(), "operations that poll by themselves (5.7)"),
        (parameters.is_feature_ext_arg(), "waits with a timeout (5.11)"),
        (parameters.is_feature_native_workers(), "workers that are threads of the process (5.12)"),
        (parameters.is_feature_skip_cqe_on_success(), "success without a completion (5.17)"),
        (features.supports(opcode::MsgRingData::CODE), "messages between rings (5.18)"),
        (features.buffer_rings, "buffer rings and multishot accept (5.19)"),
        (features.multishot_recv, "multishot receive and synchronous cancel (6.0)"),
    ];
    needs.iter().find(|(there, _)| !there).map(|(_, name)| *name)
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("fd", &self.ring.as_raw_fd())
            .field("enter_fd", &self.enter_fd)
            .field("enter_flags", &self.enter_flags)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.features.registered_ring {
            // It fails only where a filter has forbidden such calls since. Then the index keeps the ring until this thread ends.
            let undone = uring::unregister_ring_fd(self.ring.as_raw_fd(), self.enter_fd as u32);
            let is_forbidden = || matches!(undone, Err(ref error) if error.kind() == io::ErrorKind::PermissionDenied);
            debug_assert!(undone.is_ok() || is_forbidden(), "the ring's registered index was taken away: {undone:?}");
        }
    }
}

/// How many entries: powers of two, the completion queue at least as long as the submission queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) entries: u32,
    completion_entries: u32,
}

impl Sizes {
    pub(super) fn of(request: &SetupRequest) -> Result<Sizes, Refusal> {
        if request.entries == 0 {
            return Err(Refusal::of_request("a submission queue has at least one entry, not 0"));
        }
        if request.completion_entries == Some(0) {
            return Err(Refusal::of_request("a completion queue has at least one entry, not 0"));
        }
        let entries = request.entries.min(MAX_ENTRIES).next_power_of_two();
        let completion_entries = request.completion_entries.unwrap_or(entries * COMPLETIONS_AN_ENTRY);
        let completion_entries = completion_entries.min(MAX_COMPLETION_ENTRIES).next_power_of_two().max(entries);
        Ok(Sizes { entries, completion_entries })
    }

    /// Half of both queues, but no less than [`FEWEST_ENTRIES`] to submit, unless fewer were asked for.
    fn halved(self) -> Sizes {
        if self.entries <= FEWEST_ENTRIES {
            return self;
        }
        let entries = self.entries / 2;
        Sizes { entries, completion_entries: (self.completion_entries / 2).max(entries) }
    }
}

/// The flags of a setup that may be dropped; the kernel's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u32);

impl Flags {
    pub(super) const CQSIZE: Flags = Flags(1 << 3);
    pub(super) const CLAMP: Flags = Flags(1 << 4);
    pub(super) const SUBMIT_ALL: Flags = Flags(1 << 7);
    pub(super) const COOP_TASKRUN: Flags = Flags(1 << 8);
    pub(super) const TASKRUN_FLAG: Flags = Flags(1 << 9);
    pub(super) const SINGLE_ISSUER: Flags = Flags(1 << 12);
    pub(super) const DEFER_TASKRUN: Flags = Flags(1 << 13);
    pub(super) const NO_SQARRAY: Flags = Flags(1 << 16);

    /// All flags, each behind those it needs.
    const ALL: [Flags; 8] = [
        Flags::CQSIZE,
        Flags::CLAMP,
        Flags::SUBMIT_ALL,
        Flags::COOP_TASKRUN,
        Flags::SINGLE_ISSUER,
        Flags::DEFER_TASKRUN,
        Flags::TASKRUN_FLAG,
        Flags::NO_SQARRAY,
    ];

    const NONE: Flags = Flags(0);

    /// All that go with the request: a ring polled by the kernel's thread runs no task work on ours.
    fn wanted(request: &SetupRequest) -> Flags {
        let of_task_work = [Flags::COOP_TASKRUN, Flags::DEFER_TASKRUN, Flags::TASKRUN_FLAG];
        let goes = |flag: &Flags| request.sqpoll.is_none() || !of_task_work.contains(flag);
        Flags::ALL.into_iter().filter(goes).fold(Flags::NONE, Flags::with)
    }

    pub(super) fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }

    /// Whether the kernel takes this one flag along with `others` at all, whichever it knows.
    fn goes_with(self, others: Flags) -> bool {
        match self {
            Flags::DEFER_TASKRUN => others.contains(Flags::SINGLE_ISSUER),
            Flags::TASKRUN_FLAG => others.contains(Flags::COOP_TASKRUN) || others.contains(Flags::DEFER_TASKRUN),
            _ => true,
        }
    }
}

/// One setup to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attempt {
    sizes: Sizes,
    flags: Flags,
}

/// The real setup. The kernel makes every ring close-on-exec; a child of a fork gets none of its memory.
fn build(attempt: &Attempt, sqpoll: Option<Duration>) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.dontfork();
    if let Some(idle) = sqpoll {
        // 0 would mean the kernel's own second.
        builder.setup_sqpoll(u32::try_from(idle.as_millis()).unwrap_or(u32::MAX).max(1));
    }
    if attempt.flags.contains(Flags::CQSIZE) {
        builder.setup_cqsize(attempt.sizes.completion_entries);
    }
    if attempt.flags.contains(Flags::CLAMP) {
        builder.setup_clamp();
    }
    if attempt.flags.contains(Flags::SUBMIT_ALL) {
        builder.setup_submit_all();
    }
    if attempt.flags.contains(Flags::COOP_TASKRUN) {
        builder.setup_coop_taskrun();
    }
    if attempt.flags.contains(Flags::SINGLE_ISSUER) {
        builder.setup_single_issuer();
    }
    if attempt.flags.contains(Flags::DEFER_TASKRUN) {
        builder.setup_defer_taskrun();
    }
    if attempt.flags.contains(Flags::TASKRUN_FLAG) {
        builder.setup_taskrun_flag();
    }
    if attempt.flags.contains(Flags::NO_SQARRAY) {
        builder.setup_no_sqarray();
    }
    builder.build(attempt.sizes.entries)
}

/// Finds a setup that the kernel takes: answers the ring, and the flags it was granted.
///
/// A first attempt has all flags. If it is invalid, the flags are tried one by one on small rings. If memory is short, the same
/// size is tried again with pauses, since the kernel gives back the memory of rings that are gone only after a while; then halves
/// of it at once, and the smallest with pauses again.
fn negotiate<R>(
    mut sizes: Sizes,
    wanted: Flags,
    try_setup: &mut impl FnMut(&Attempt) -> io::Result<R>,
    pause: &mut impl FnMut(Duration),
) -> io::Result<(R, Flags)> {
    let mut flags = wanted;
    let mut learned = false;
    let mut shortages = 0;
    loop {
        let error = match try_setup(&Attempt { sizes, flags }) {
            Ok(ring) => return Ok((ring, flags)),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EINVAL) if !learned => {
                flags = learn_flags(wanted, try_setup);
                learned = true;
            }
            Some(libc::ENOMEM) if shortages < MOST_SHORTAGES => {
                let smaller = sizes.halved();
                if shortages < SHORTAGES_OF_SAME_SIZE {
                    pause(SHORTEST_PAUSE * (1 << shortages));
                } else if smaller != sizes {
                    sizes = smaller;
                } else {
                    pause(LONGEST_PAUSE);
                }
                shortages += 1;
            }
            _ => return Err(error),
        }
    }
}

/// Which of the wanted flags the kernel takes; one attempt a flag, with all those taken before, on the smallest ring.
fn learn_flags<R>(wanted: Flags, try_setup: &mut impl FnMut(&Attempt) -> io::Result<R>) -> Flags {
    let sizes = Sizes { entries: 1, completion_entries: COMPLETIONS_AN_ENTRY };
    let mut taken = Flags::NONE;
    for flag in Flags::ALL {
        if !wanted.contains(flag) || !flag.goes_with(taken) {
            continue;
        }
        let flags = taken.with(flag);
        match try_setup(&Attempt { sizes, flags }) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            // The flags are looked at before anything else: any other error isn't about them.
            Ok(_) | Err(_) => taken = flags,
        }
    }
    taken
}

/// The kernel's own bounds.
const MAX_ENTRIES: u32 = 32768;
const MAX_COMPLETION_ENTRIES: u32 = 2 * MAX_ENTRIES;

const COMPLETIONS_AN_ENTRY: u32 = 4;
/// Below this a ring isn't worth having.
const FEWEST_ENTRIES: u32 = 8;

/// Shortages that cost patience only, not entries: 63 ms of it, each pause twice as long as the one before.
const SHORTAGES_OF_SAME_SIZE: u32 = 6;
/// Enough to get from the largest ring to the smallest; the pauses are 0.82 s at most.
const MOST_SHORTAGES: u32 = 20;
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(54);

#[cfg(test)]
mod tests;
