//! Waiting until a descriptor is ready.

use std::io;

use io_uring::opcode;

use crate::fd::SharedFd;
use crate::op::{Completion, Driver, Op, Step, target_of};

/// Waits once until one of `events` (`POLLIN` and its kind, see
/// [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html)) holds (`IORING_OP_POLL_ADD`). Answers the events that do.
#[derive(Debug)]
pub struct PollOnce {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    events: u32,
}

impl PollOnce {
    /// Waits until one of `events` holds for `fd`, or it has come to an error or a hang-up, which are always told.
    pub fn new(fd: SharedFd, events: u32) -> Self {
        Self { fd: Some(fd), events }
    }

    /// Waits until `fd` can be read from, or has come to an end or an error.
    pub fn readable(fd: SharedFd) -> Self {
        Self::new(fd, (libc::POLLIN | libc::POLLRDHUP) as u32)
    }

    /// Waits until `fd` can be written to, or has come to an error.
    pub fn writable(fd: SharedFd) -> Self {
        Self::new(fd, libc::POLLOUT as u32)
    }
}

// SAFETY: the entry names no memory.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for PollOnce {
    type Output = io::Result<u32>;

    const NAME: &'static str = "poll";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        Step::Submit(opcode::PollAdd::new(target_of(&self.fd), self.events).build().into())
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<u32> {
        answer.value()
    }

    fn release(&mut self) {
        self.fd = None;
    }
}
