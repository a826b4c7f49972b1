//! The real ring.
//!
//! The `io-uring` crate sets the ring up and maps its queues; entering is our own, because that crate cannot combine the
//! registered ring descriptor with `IORING_ENTER_NO_IOWAIT`, and a wait with a timeout should not cost an entry more.
//!
//! # Safety
//!
//! Entries are pushed here on behalf of the driver, which keeps every piece of memory that they name until their final
//! completion (I1), and only from the thread that owns the ring (I5: [`Uring`] is `!Send`).
#![allow(unsafe_code, reason = "the submission queue takes entries that name memory")]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::IoUring;

use crate::buf::BufferPool;
use crate::kernel::gather::Gather;
use crate::kernel::setup::Ring;
use crate::kernel::{Cqe, Sqe, Wait};
use crate::sys::uring as raw;

#[derive(Debug)]
pub(crate) struct Uring {
    /// The mapped queues, the features granted, and the descriptor to enter by.
    ring: Ring,
    /// Whether a wait is for more than one completion.
    gather: Gather,
    /// Only the thread that set the ring up may enter it (`SINGLE_ISSUER`).
    not_send: PhantomData<*mut ()>,
}

impl Uring {
    pub(crate) fn new(ring: Ring) -> Self {
        Self { ring, gather: Gather::default(), not_send: PhantomData }
    }

    pub(crate) fn gather(&mut self, most: u32, time_us: u32) {
        // Where a thread of the kernel's submits, what it submits is waited for along with the rest.
        if self.ring.features.min_wait && !self.ring.features.sqpoll {
            let places = self.ring.ring.params().cq_entries();
            self.gather = Gather::new(most.min(places / 2), time_us);
        }
    }

    pub(crate) fn gathers(&self) -> (u64, u64) {
        (self.gather.gathers, self.gather.vain_gathers)
    }

    #[inline]
    pub(crate) fn push(&mut self, sqe: &Sqe) -> bool {
        // SAFETY: what the entry names stays valid until its final completion: its slot owns it (I1).
        unsafe { self.ring.ring.submission().push(&sqe.0) }.is_ok()
    }

    pub(crate) fn staged(&mut self) -> usize {
        self.ring.ring.submission().len()
    }

    pub(crate) fn wants_entry(&mut self) -> bool {
        let submission = self.ring.ring.submission();
        if !submission.is_empty() || submission.cq_overflow() {
            return true;
        }
        // Without the flag there is no telling, so we enter. With it, completions that are put off (DEFER_TASKRUN) show
        // themselves here.
        let put_off = !self.ring.features.taskrun_flag || submission.taskrun();
        drop(submission);
        put_off || !self.ring.ring.completion().is_empty()
    }

    pub(crate) fn shows_news(&self) -> bool {
        // Without the flag completions that are put off don't show. A thread of the kernel's puts nothing off.
        self.ring.features.taskrun_flag || self.ring.features.sqpoll
    }

    pub(crate) fn has_news(&mut self) -> bool {
        let submission = self.ring.ring.submission();
        let is_put_off = submission.taskrun() || submission.cq_overflow();
        drop(submission);
        is_put_off || !self.ring.ring.completion().is_empty()
    }

    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        let (min_complete, timeout) = match wait {
            Wait::No => (0, None),
            Wait::For(timeout) => (1, Some(timeout)),
            Wait::Forever => (1, None),
        };
        let is_long = |time_us: u32| timeout.is_none_or(|timeout| timeout > Duration::from_micros(time_us.into()));
        // The kernel looks at the timeout when the time for gathering is over.
        let gather = self.gather.next().filter(|(_, time_us)| min_complete > 0 && is_long(*time_us));
        let (min_complete, min_wait_us) = gather.unwrap_or((min_complete, 0));
        let submission = self.ring.ring.submission();
        let staged = submission.len() as u32;
        let wakeup = self.ring.features.sqpoll && submission.need_wakeup();
        let is_full = self.ring.features.sqpoll && submission.is_full();
        drop(submission);
        // GETEVENTS always: with DEFER_TASKRUN nothing is posted without it, and an overflowed queue isn't flushed.
        let mut flags = self.ring.enter_flags | raw::ENTER_GETEVENTS;
        if wakeup {
            flags |= raw::ENTER_SQ_WAKEUP;
        }
        if is_full {
            // The kernel's thread takes the entries: wait until it has taken some, instead of asking again and again.
            flags |= raw::ENTER_SQ_WAIT;
        }
        let entered = raw::gather_wait(self.ring.enter_fd, staged, min_complete, flags, timeout, min_wait_us);
        if min_complete > 0 && self.gather.is_on() {
            let found = self.ring.ring.completion().len() as u32;
            self.gather.waited(gather.map(|(wanted, _)| wanted), found);
        }
        match entered {
            Ok(_) => Ok(()),
            // A signal ended the wait: what was staged is still staged, and the next turn enters again.
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn tells_by_silence(&self) -> bool {
        // Where a thread of the kernel's takes the entries, there is no telling when.
        !self.ring.features.sqpoll
    }

    pub(crate) fn take_completions(&mut self, into: &mut Vec<Cqe>) {
        let completions = self.ring.ring.completion();
        into.extend(completions.map(|entry| Cqe {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    pub(crate) fn has_overflowed(&mut self) -> bool {
        self.ring.ring.submission().cq_overflow()
    }

    pub(crate) fn register_buffers(&mut self, pool: &BufferPool) -> io::Result<()> {
        let (address, entries) = (pool.ring_address() as *mut _, u32::from(pool.ring_entries()));
        // SAFETY: the pool's ring has that many entries, and lives until the kernel's ring is gone, or is leaked with it (I6).
        unsafe { raw::register_buf_ring(self.descriptor(), address, entries, pool.group()) }
    }

    pub(crate) fn unregister_buffers(&mut self, group: u16) {
        // An error means that the kernel does not know the group (any more): there is nothing to take back.
        let _ = raw::unregister_buf_ring(self.descriptor(), group);
    }

    pub(crate) fn registers_files(&self) -> bool {
        self.ring.features.registered_files
    }

    pub(crate) fn register_files(&mut self, places: u16) -> io::Result<()> {
        raw::register_files(self.descriptor(), u32::from(places))
    }

    pub(crate) fn update_file(&mut self, place: u16, file: Option<RawFd>) -> io::Result<()> {
        raw::update_file(self.descriptor(), u32::from(place), file)
    }

    pub(crate) fn unregister_files(&mut self) {
        // An error means that there is no table: there is nothing to take out.
        let _ = raw::unregister_files(self.descriptor());
    }

    fn descriptor(&self) -> RawFd {
        let ring: &IoUring = &self.ring.ring;
        ring.as_raw_fd()
    }
}
