//! A single receive into a buffer of its own, for when the pool has none left.
//!
//! So that a socket whose owner hoards the ring's buffers cannot starve the others.
#![allow(unsafe_code, reason = "ops answer for the memory that they name, and take over what the kernel wrote")]

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{opcode, types};

use crate::buf::{RecvBuf, commit, target};
use crate::fd::SharedFd;
use crate::op::description::Sink;
use crate::op::recv_multi::{Rearm, RecvEnd, RecvSink};
use crate::op::{Completion, Description, Driver, Op, Step};

/// A single receive (`IORING_OP_RECV`) into memory of its own. What arrives belongs to the socket's [`RecvSink`].
pub struct Recv {
    fd: SharedFd,
    buf: Vec<u8>,
    sink: Rc<dyn RecvSink>,
}

impl Recv {
    /// Receives at most `bytes` bytes from a socket.
    pub fn new(fd: SharedFd, bytes: usize, sink: Rc<dyn RecvSink>) -> Self {
        Self { fd, buf: Vec::with_capacity(bytes), sink }
    }
}

// SAFETY: the entry names the heap memory of `buf`, which the op owns and touches only when the completion is there.
unsafe impl Op for Recv {
    type Output = io::Result<()>;

    const NAME: &'static str = "recv";
    const STOPPABLE: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let (pointer, room) = target(&mut self.buf);
        Step::Submit(opcode::Recv::new(types::Fd(self.fd.as_raw_fd()), pointer, room).build().into())
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        if completion.result() > 0 {
            let mut buf = std::mem::take(&mut self.buf);
            // SAFETY: the kernel has written this many bytes to where `prepare` pointed.
            unsafe { commit(&mut buf, completion.result() as usize) };
            self.sink.received(RecvBuf::from_vec(buf));
        }
        // Whatever comes next is the sink's to arm: the pool may have buffers again.
        let rearm = Rc::clone(&self.sink).ended(RecvEnd::of(completion));
        debug_assert_eq!(rearm, Rearm::No, "a single receive is not armed again");
        Step::Done(completion)
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn bytes(&self) -> usize {
        self.buf.capacity()
    }

    fn describe(&self) -> Description {
        Description::of(Some(&self.fd)).serving(Sink::Recv(Rc::clone(&self.sink)))
    }
}

impl std::fmt::Debug for Recv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recv").field("fd", &self.fd).finish_non_exhaustive()
    }
}
