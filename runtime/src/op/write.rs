//! Writing to what is no socket: a pipe, a terminal, a device, or a file at its own position.
//!
//! As a [send](crate::op::Send), a write that has begun goes on by itself until all is out, and writes of one object share a
//! [lane](crate::driver). A pipe that nobody reads answers `EPIPE`; the signal that `write(2)` would raise with it, and that
//! could end the process, is kept away (`RWF_NOSIGNAL`, or blocked on the thread where the kernel lacks that).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::opcode;

use crate::buf::{BufResult, IoBuf, sqe_len};
use crate::fd::SharedFd;
use crate::op::pause::{is_unasked, pause};
use crate::op::send::broken;
use crate::op::{AT_POSITION, Completion, Description, Driver, Op, Step, target_of};
use crate::sys;

/// Writes a buffer at the file's own position (`IORING_OP_WRITE`, as
/// [`write(2)`](https://man7.org/linux/man-pages/man2/write.2.html)). Answers the count of bytes written.
pub struct Write<B: IoBuf> {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    buf: B,
    /// How much is out. Less than the length while the op is in the kernel.
    written: usize,
    /// To the end of the buffer, or as much as the kernel takes at once.
    is_whole: bool,
    /// What the entry with the kernel is.
    entry: Entry,
    /// How often a poll has told of other things than room.
    pauses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// A write that raises no signal.
    Quiet,
    /// A write, on a thread that takes no `SIGPIPE`.
    Plain,
    /// A poll, of a descriptor that is non-blocking, or a pause behind one.
    Poll,
}

impl<B: IoBuf> Write<B> {
    /// Writes as much of the buffer as the kernel takes at once.
    pub fn some(fd: SharedFd, buf: B) -> Self {
        Self { fd: Some(fd), buf, written: 0, is_whole: false, entry: Entry::Quiet, pauses: 0 }
    }

    /// Writes the whole buffer.
    pub fn all(fd: SharedFd, buf: B) -> Self {
        Self { is_whole: true, ..Self::some(fd, buf) }
    }

    fn write_rest(&mut self) -> Step {
        if let Some(answer) = broken(self.fd.as_ref()) {
            return Step::Done(answer);
        }
        let rest = &self.buf.as_bytes()[self.written..];
        if rest.is_empty() {
            return Step::Done(Completion::made_up(0));
        }
        let entry = opcode::Write::new(target_of(&self.fd), rest.as_ptr(), sqe_len(rest.len())).offset(AT_POSITION);
        self.entry = if KNOWS_NOSIGNAL.load(Ordering::Relaxed) { Entry::Quiet } else { Entry::Plain };
        let flags = if self.entry == Entry::Quiet { RWF_NOSIGNAL } else { 0 };
        if self.entry == Entry::Plain {
            sys::signal::keep_broken_pipes_quiet();
        }
        Step::Submit(entry.rw_flags(flags).build().into())
    }

    fn poll(&mut self) -> Step {
        self.entry = Entry::Poll;
        Step::Submit(opcode::PollAdd::new(target_of(&self.fd), libc::POLLOUT as u32).build().into())
    }

    /// The error that ends this write, and those behind it where the bytes would not follow one another any more: where it is
    /// cut, and nobody waits who could be told how much is out.
    fn fail(&mut self, errno: i32, is_wanted: bool) -> Step {
        let is_cut = errno == libc::ECANCELED && self.written > 0 && self.is_whole && !is_wanted;
        if let Some(fd) = self.fd.as_ref().filter(|_| is_cut || errno == libc::EPIPE) {
            fd.latch_send_error(errno);
        }
        Step::Done(Completion::made_up(-errno))
    }
}

// SAFETY: the entry names the bytes of `buf`, which the op owns until the completion is there (I1), or what is static.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl<B: IoBuf> Op for Write<B> {
    type Output = BufResult<usize, B>;

    const NAME: &'static str = "write";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        self.write_rest()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match (self.entry, -completion.result()) {
            (Entry::Poll, found) if is_unasked(-found, libc::POLLOUT as u32) => return pause(&mut self.pauses),
            // What the poll tells is looked at by the write.
            (Entry::Poll, ..=0 | libc::ETIME) | (_, libc::EINTR) => return self.write_rest(),
            // Only a non-blocking descriptor says so.
            (Entry::Quiet | Entry::Plain, libc::EAGAIN) => return self.poll(),
            // A kernel that does not know the flag; if it meant something else, it will say so again.
            (Entry::Quiet, libc::EOPNOTSUPP | libc::EINVAL) => {
                KNOWS_NOSIGNAL.store(false, Ordering::Relaxed);
                return self.write_rest();
            }
            (_, count @ ..0) => {
                self.written = (self.written + count.unsigned_abs() as usize).min(self.buf.len());
                self.pauses = 0;
            }
            // A write of at least one byte that brings out none could go on for ever.
            (_, 0) => return self.fail(libc::EIO, true),
            (_, errno) => return self.fail(errno, completion.is_wanted()),
        }
        if self.is_whole && self.written < self.buf.len() { self.write_rest() } else { Step::Done(completion) }
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        (answer.transferred(self.written), self.buf)
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn bytes(&self) -> usize {
        self.buf.len()
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}

impl<B: IoBuf> fmt::Debug for Write<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").field("fd", &self.fd).field("written", &self.written).finish_non_exhaustive()
    }
}

/// The ops of the hot path live inline in their slots.
const _: () = assert!(crate::op::is_inline::<Write<Vec<u8>>>());

/// Whether the kernel is to be asked for silence; not any more when it has once refused.
static KNOWS_NOSIGNAL: AtomicBool = AtomicBool::new(true);

/// No `SIGPIPE`, from Linux 6.18 on; `libc` does not have it yet.
const RWF_NOSIGNAL: i32 = 0x100;
