//! Connecting a socket.

use std::io;

use io_uring::opcode;

use crate::fd::SharedFd;
use crate::op::{Completion, Description, Driver, Op, Step, target_of};
use crate::sys::address::RawAddress;

/// Connects a socket (`IORING_OP_CONNECT`).
///
/// A connect that was cancelled goes on in the kernel all the same, so its socket is of no further use: the owner drops it.
#[derive(Debug)]
pub struct Connect {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    /// Read by the kernel when the entry is submitted, which may be later than `prepare`.
    address: RawAddress,
}

impl Connect {
    /// Connects `fd` to an address.
    pub fn new(fd: SharedFd, address: impl Into<RawAddress>) -> Self {
        Self { fd: Some(fd), address: address.into() }
    }
}

// SAFETY: the entry names `address`, which lives in the op.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for Connect {
    type Output = io::Result<()>;

    const NAME: &'static str = "connect";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let fd = target_of(&self.fd);
        Step::Submit(opcode::Connect::new(fd, self.address.as_ptr(), self.address.len()).build().into())
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn bytes(&self) -> usize {
        self.address.len() as usize
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}
