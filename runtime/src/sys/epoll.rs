//! An epoll instance, see [epoll(7)](https://man7.org/linux/man-pages/man7/epoll.7.html).
//!
//! # Safety
//!
//! The calls take numbers, one event of ours, or a list of events that is as long as they are told; none keeps a pointer.
#![allow(unsafe_code, reason = "libc's epoll functions are foreign")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Tells which descriptors are ready.
#[derive(Debug)]
pub(crate) struct Poller {
    fd: OwnedFd,
    /// The kernel has no wait with a timeout in nanoseconds (before 5.11, or filtered).
    coarse: bool,
}

/// What a wait tells of one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// `EPOLLIN` and its kind.
    pub(crate) events: u32,
    /// What the descriptor was registered with.
    pub(crate) token: u64,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes a number.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, coarse: false })
    }

    /// Registers a descriptor. The error is the errno.
    pub(crate) fn add(&self, fd: RawFd, events: u32, token: u64) -> Result<(), i32> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, token)
    }

    /// Changes what a registered descriptor is watched for; events that hold already are told again.
    pub(crate) fn modify(&self, fd: RawFd, events: u32, token: u64) -> Result<(), i32> {
        self.control(libc::EPOLL_CTL_MOD, fd, events, token)
    }

    pub(crate) fn remove(&self, fd: RawFd) -> Result<(), i32> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, operation: i32, fd: RawFd, events: u32, token: u64) -> Result<(), i32> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the event outlives the call.
        let answer = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) };
        if answer < 0 { Err(errno()) } else { Ok(()) }
    }

    /// Waits until a descriptor is ready, or `timeout` is over; `None` waits without end. `EINTR` is no event.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, into: &mut Vec<Event>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST_EVENTS];
        let count = match self.wait_for(timeout, &mut events) {
            Ok(count) => count,
            Err(libc::EINTR) => 0,
            Err(errno) => return Err(io::Error::from_raw_os_error(errno)),
        };
        into.extend(events[..count].iter().map(|event| Event { events: event.events, token: event.u64 }));
        Ok(())
    }

    fn wait_for(&mut self, timeout: Option<Duration>, events: &mut [libc::epoll_event]) -> Result<usize, i32> {
        let (fd, most) = (self.fd.as_raw_fd(), events.len() as i32);
        // Whole milliseconds, and waits without end, need no finer call.
        if let Some(time) = timeout.filter(|time| !time.is_zero() && !self.coarse) {
            let time = time.min(LONGEST_WAIT);
            let time = libc::timespec { tv_sec: time.as_secs() as libc::time_t, tv_nsec: time.subsec_nanos().into() };
            let mask: *const libc::sigset_t = ptr::null();
            // SAFETY: the kernel writes at most `most` events to the list; it and the time outlive the call.
            let answer = unsafe {
                libc::syscall(libc::SYS_epoll_pwait2, fd, events.as_mut_ptr(), most, &raw const time, mask, 0_usize)
            };
            match (answer, answer < 0 && matches!(errno(), libc::ENOSYS | libc::EPERM)) {
                (count @ 0.., _) => return Ok(count as usize),
                (_, false) => return Err(errno()),
                (_, true) => self.coarse = true,
            }
        }
        // Rounded up: a wait that ends early would be entered again and again.
        let milliseconds = timeout.map_or(-1, |time| time.as_nanos().div_ceil(1_000_000).min(MOST_MS) as i32);
        // SAFETY: the kernel writes at most `most` events to the list, which outlives the call.
        let answer = unsafe { libc::epoll_wait(fd, events.as_mut_ptr(), most, milliseconds) };
        if answer < 0 { Err(errno()) } else { Ok(answer as usize) }
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Descriptors that one wait tells of; the others stay ready, and are told by the next.
const MOST_EVENTS: usize = 256;
/// 30 years: far from overflow when the kernel adds the time of its clock.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
/// The longest wait of the coarse call.
const MOST_MS: u128 = i32::MAX as u128;
