//! An accept that goes on: one submission, a completion for each connection.
//!
//! What the kernel accepts belongs to the listener, not to a future: the op hands it to an [`AcceptSink`], the listener's
//! queue, and so no connection is lost with a future that is dropped (I7).
#![allow(unsafe_code, reason = "takes ownership of the descriptors that the kernel makes")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::{opcode, types};

use crate::fd::SharedFd;
use crate::op::description::Sink;
use crate::op::recv_multi::Rearm;
use crate::op::{Completion, Description, Driver, Op, Step};
use crate::waiters::Waiters;

/// Where a listener's connections go.
///
/// The methods are called by the driver between two polls of tasks. They may submit operations and wake tasks.
pub trait AcceptSink: 'static {
    /// A connection has been accepted.
    fn accepted(&self, connection: OwnedFd);

    /// The accept has ended, with this errno (0: for no reason that concerns anybody); the answer says whether to arm it
    /// again at once. One that was cancelled cannot be.
    fn ended(self: Rc<Self>, errno: i32) -> Rearm;

    /// Those that wait for what arrives here, for a [dump](crate::dump()): an operation that serves them stands for what they
    /// wait for. Called by nobody else, with nothing borrowed.
    fn waiters(&self) -> Option<&Waiters> {
        None
    }
}

/// A multishot accept (`IORING_OP_ACCEPT` with `IORING_ACCEPT_MULTISHOT`). Dropping its future cancels it.
pub struct AcceptMulti {
    fd: SharedFd,
    sink: Rc<dyn AcceptSink>,
}

impl AcceptMulti {
    /// Accepts from a listening socket.
    pub fn new(fd: SharedFd, sink: Rc<dyn AcceptSink>) -> Self {
        Self { fd, sink }
    }

    fn entry(&self) -> Step {
        let fd = types::Fd(self.fd.as_raw_fd());
        Step::Submit(opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build().into())
    }
}

// SAFETY: the entry names no memory.
unsafe impl Op for AcceptMulti {
    type Output = io::Result<()>;

    const NAME: &'static str = "accept (multishot)";
    const STOPPABLE: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        self.entry()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        if completion.result() >= 0 {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
            self.sink.accepted(unsafe { OwnedFd::from_raw_fd(completion.result()) });
        }
        if completion.more() {
            return Step::Pending;
        }
        let errno = match -completion.result() {
            // The kernel says "not now" for reasons of its own.
            ..=0 | libc::EINTR | libc::EAGAIN => 0,
            errno => errno,
        };
        match Rc::clone(&self.sink).ended(errno) {
            Rearm::Yes => self.entry(),
            Rearm::No => Step::Done(completion),
        }
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn describe(&self) -> Description {
        Description::of(Some(&self.fd)).serving(Sink::Accept(Rc::clone(&self.sink)))
    }
}

impl std::fmt::Debug for AcceptMulti {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceptMulti").field("fd", &self.fd).finish_non_exhaustive()
    }
}
