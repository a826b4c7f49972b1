//! Reading a file at a place.
#![allow(unsafe_code, reason = "ops answer for the memory that they name, and take over what the kernel wrote")]

use io_uring::opcode;

use crate::buf::{BufResult, IoBufMut, commit, target};
use crate::fd::SharedFd;
use crate::op::{Completion, Description, Driver, Op, Step, target_of};

/// Reads from a file at an offset (`IORING_OP_READ`, as
/// [`pread(2)`](https://man7.org/linux/man-pages/man2/pread.2.html)). Answers the count of bytes; 0 is the end of the file.
#[derive(Debug)]
pub struct ReadAt<B: IoBufMut> {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    buf: B,
    offset: u64,
}

impl<B: IoBufMut> ReadAt<B> {
    /// Reads into the spare room of `buf`.
    pub fn new(fd: SharedFd, buf: B, offset: u64) -> Self {
        Self { fd: Some(fd), buf, offset }
    }
}

// SAFETY: the entry names the room of `buf`, which the op owns and touches only when the completion is there (I1).
unsafe impl<B: IoBufMut> Op for ReadAt<B> {
    type Output = BufResult<usize, B>;

    const NAME: &'static str = "read";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let (pointer, room) = target(&mut self.buf);
        if room == 0 {
            // The kernel would answer 0, which looks like the end of the file.
            return Step::Done(Completion::made_up(-libc::EINVAL));
        }
        let entry = opcode::Read::new(target_of(&self.fd), pointer, room).offset(self.offset);
        Step::Submit(entry.build().into())
    }

    unsafe fn complete(mut self, answer: Completion) -> Self::Output {
        let result = answer.value().map(|count| {
            // SAFETY: the kernel has written this many bytes to where `prepare` pointed.
            unsafe { commit(&mut self.buf, count as usize) }
        });
        (result, self.buf)
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn bytes(&self) -> usize {
        self.buf.capacity()
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}
