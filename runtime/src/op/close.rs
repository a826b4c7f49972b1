//! A close whose answer somebody wants.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, types};

use crate::op::{Completion, Driver, Op, Step};

/// Closes a descriptor (`IORING_OP_CLOSE`). Dropping the future does not stop it.
#[derive(Debug)]
pub struct Close {
    fd: OwnedFd,
}

impl Close {
    /// Closes this descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// The descriptor is gone, unless the kernel never came to it: then dropping it closes it.
    fn settle(self, answer: Completion) {
        if -answer.result() != libc::ECANCELED && -answer.result() != crate::driver::GONE {
            let _ = self.fd.into_raw_fd();
        }
    }
}

// SAFETY: the entry names no memory, and nobody else owns the descriptor.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for Close {
    type Output = io::Result<()>;

    const NAME: &'static str = "close";
    const CANCEL_ON_DROP: bool = false;
    const STOPPABLE: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        Step::Submit(opcode::Close::new(types::Fd(self.fd.as_raw_fd())).build().into())
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        self.settle(answer);
        answer.value().map(drop)
    }

    unsafe fn discard(self, answer: Completion) {
        self.settle(answer);
    }
}
