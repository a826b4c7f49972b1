//! Reading a file at a place: from memory, where the bytes lie there and the op is [alone](super::attempt), else by the ring.
#![allow(unsafe_code, reason = "ops answer for the memory that they name, and take over what the kernel wrote")]

use io_uring::{opcode, squeue, types};

use crate::buf::{BufResult, IoBufMut, commit, target};
use crate::fd::SharedFd;
use crate::op::attempt::perform;
use crate::op::{AT_POSITION, Completion, Description, Driver, Op, Sqe, Step, target_of};

/// Reads from a file at an offset (`IORING_OP_READ`, as
/// [`pread(2)`](https://man7.org/linux/man-pages/man2/pread.2.html)). Answers the count of bytes; 0 is the end of the file.
///
/// What lies in the page cache is read at once where the op is alone (`preadv2` with `RWF_NOWAIT`).
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

    /// `None` where there is no room.
    #[inline]
    fn entry(&mut self, file: types::Fd, flags: squeue::Flags) -> Option<Sqe> {
        let (pointer, room) = target(&mut self.buf);
        if room == 0 {
            return None;
        }
        Some(opcode::Read::new(file, pointer, room).offset(self.offset).build().flags(flags).into())
    }
}

// SAFETY: the entry names the room of `buf`, which the op owns and touches only when the completion is there (I1).
unsafe impl<B: IoBufMut> Op for ReadAt<B> {
    type Output = BufResult<usize, B>;

    const NAME: &'static str = "read";
    const MAY_END_AT_ONCE: bool = true;

    unsafe fn attempt(&mut self, driver: &Driver) -> Option<Completion> {
        // What has a position of its own is likely to be something that is waited for.
        let entry =
            if self.offset == AT_POSITION { None } else { self.entry(target_of(&self.fd), squeue::Flags::empty()) }?;
        perform(driver, self.fd.as_ref(), &entry)
    }

    #[inline]
    unsafe fn prepare(&mut self, driver: &Driver) -> Step {
        let (file, flags) = match self.fd.as_ref().and_then(|fd| fd.place(driver)) {
            Some(place) => (types::Fd(i32::from(place)), squeue::Flags::FIXED_FILE),
            None => (target_of(&self.fd), squeue::Flags::empty()),
        };
        match self.entry(file, flags) {
            Some(entry) => Step::Submit(entry),
            // The kernel would answer 0, which looks like the end of the file.
            None => Step::Done(Completion::made_up(-libc::EINVAL)),
        }
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
