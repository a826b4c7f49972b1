//! Waiting until a descriptor is ready.

use std::io;

use io_uring::opcode;

use crate::fd::SharedFd;
use crate::op::pause::{is_unasked, pause};
use crate::op::{Completion, Description, Driver, Op, Step, target_of};

/// Waits once until one of `events` (`POLLIN` and its kind, see
/// [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html)) holds (`IORING_OP_POLL_ADD`). Answers the events that do.
#[derive(Debug)]
pub struct PollOnce {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    events: u32,
    /// How often it was told what nobody had asked for.
    pauses: u8,
}

impl PollOnce {
    /// Waits until one of `events` holds for `fd`, or it has come to an error or a hang-up, which are always told.
    pub fn new(fd: SharedFd, events: u32) -> Self {
        Self { fd: Some(fd), events, pauses: 0 }
    }

    /// Waits until `fd` can be read from, or has come to an end or an error.
    pub fn readable(fd: SharedFd) -> Self {
        Self::new(fd, (libc::POLLIN | libc::POLLRDHUP) as u32)
    }

    /// Waits until `fd` can be written to, or has come to an error.
    pub fn writable(fd: SharedFd) -> Self {
        Self::new(fd, libc::POLLOUT as u32)
    }

    fn poll(&self) -> Step {
        Step::Submit(opcode::PollAdd::new(target_of(&self.fd), self.events).build().into())
    }
}

// SAFETY: the entries name no memory but what is static.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for PollOnce {
    type Output = io::Result<u32>;

    const NAME: &'static str = "poll";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        self.poll()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match -completion.result() {
            // The pause is over.
            libc::ETIME => self.poll(),
            found if is_unasked(-found, self.events) => pause(&mut self.pauses),
            _ => Step::Done(completion),
        }
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<u32> {
        answer.value()
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}
