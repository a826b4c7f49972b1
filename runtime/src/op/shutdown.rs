//! Half-closing a socket.

use std::io;
use std::net;

use io_uring::opcode;

use crate::fd::SharedFd;
use crate::op::{Completion, Description, Driver, Op, Step, target_of};

/// Shuts down one direction of a socket, or both (`IORING_OP_SHUTDOWN`). Dropping the future does not stop it.
#[derive(Debug)]
pub struct Shutdown {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    how: i32,
}

impl Shutdown {
    /// Shuts down `fd`.
    pub fn new(fd: SharedFd, how: net::Shutdown) -> Self {
        let how = match how {
            net::Shutdown::Read => libc::SHUT_RD,
            net::Shutdown::Write => libc::SHUT_WR,
            net::Shutdown::Both => libc::SHUT_RDWR,
        };
        Self { fd: Some(fd), how }
    }
}

// SAFETY: the entry names no memory.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for Shutdown {
    type Output = io::Result<()>;

    const NAME: &'static str = "shutdown";
    const CANCEL_ON_DROP: bool = false;
    const WITHDRAW_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        Step::Submit(opcode::Shutdown::new(target_of(&self.fd), self.how).build().into())
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        if let (0, true, Some(fd)) = (completion.result(), self.how != libc::SHUT_RD, &self.fd) {
            fd.latch_send_shut();
        }
        Step::Done(completion)
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}
