//! Reading what comes next: from a pipe, a terminal, a device, or a file at its own position.
//!
//! The bytes belong to the object that is read, not to a future: the op hands them to a [`RecvSink`].
#![allow(unsafe_code, reason = "ops answer for the memory that they name, and take over what the kernel wrote")]

use std::fmt;
use std::io;
use std::rc::Rc;

use io_uring::opcode;

use crate::buf::{RecvBuf, commit, target};
use crate::fd::SharedFd;
use crate::op::description::Sink;
use crate::op::recv_multi::{Rearm, RecvEnd, RecvSink};
use crate::op::{AT_POSITION, Completion, Description, Driver, Op, Step, target_of};

/// Reads once at the file's own position (`IORING_OP_READ`, as
/// [`read(2)`](https://man7.org/linux/man-pages/man2/read.2.html)), into memory of its own. Where a descriptor is
/// non-blocking and has nothing, it is polled. Dropping the future cancels it.
pub struct ReadNext {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    buf: Vec<u8>,
    sink: Rc<dyn RecvSink>,
    /// The entry with the kernel is a poll, not a read.
    is_polling: bool,
}

impl ReadNext {
    /// Reads at most `bytes` bytes, and at least one.
    pub fn new(fd: SharedFd, bytes: usize, sink: Rc<dyn RecvSink>) -> Self {
        Self { fd: Some(fd), buf: Vec::with_capacity(bytes.max(1)), sink, is_polling: false }
    }

    fn read(&mut self) -> Step {
        self.is_polling = false;
        let (pointer, room) = target(&mut self.buf);
        Step::Submit(opcode::Read::new(target_of(&self.fd), pointer, room).offset(AT_POSITION).build().into())
    }

    fn poll(&mut self) -> Step {
        self.is_polling = true;
        Step::Submit(opcode::PollAdd::new(target_of(&self.fd), libc::POLLIN as u32).build().into())
    }
}

// SAFETY: the entry names the heap memory of `buf`, which the op owns and touches only when the completion is there (I1).
unsafe impl Op for ReadNext {
    type Output = io::Result<()>;

    const NAME: &'static str = "read (next)";
    const STOPPABLE: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        self.read()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match -completion.result() {
            // What the poll tells is looked at by the read.
            ..=0 if self.is_polling => return self.read(),
            libc::EINTR => return self.read(),
            // Only a non-blocking descriptor says so.
            libc::EAGAIN if !self.is_polling => return self.poll(),
            count @ ..0 => {
                let mut buf = std::mem::take(&mut self.buf);
                // SAFETY: the kernel has written this many bytes to where `read` pointed.
                unsafe { commit(&mut buf, count.unsigned_abs() as usize) };
                self.sink.received(RecvBuf::from_vec(buf));
            }
            _ => {}
        }
        let rearm = Rc::clone(&self.sink).ended(RecvEnd::of(completion));
        debug_assert_eq!(rearm, Rearm::No, "a single read is not armed again");
        Step::Done(completion)
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn bytes(&self) -> usize {
        self.buf.capacity()
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref()).serving(Sink::Recv(Rc::clone(&self.sink)))
    }
}

impl fmt::Debug for ReadNext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadNext").field("fd", &self.fd).finish_non_exhaustive()
    }
}
