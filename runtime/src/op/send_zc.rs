//! Sending without a copy: the kernel takes the bytes out of the caller's buffer while they are on their way.
//!
//! An entry is answered twice: by the result of the send, with `MORE` if the kernel has the buffer still (also where it
//! failed), and then by a notification that it has let go. `MORE` alone decides which. The op leaves its lane with the
//! result, so that the next write need not wait until the peer's acknowledgement; the buffer comes home with the
//! notification. Nothing is submitted while one is outstanding, so that the op can be ended whenever it would go on.
//!
//! A peer that takes nothing keeps the kernel from letting go, and no cancel helps: only the end of the connection does.
#![allow(unsafe_code, reason = "ops answer for the memory that they name")]

use std::fmt;

use io_uring::opcode;

use crate::buf::{BufResult, IoBuf, sqe_len};
use crate::driver::lane::Lane;
use crate::fd::SharedFd;
use crate::op::send::{Extent, Outcome, broken, flags, outcome};
use crate::op::{Completion, Description, Driver, Op, Step, target_of};

/// Sends a whole buffer without a copy (`IORING_OP_SEND_ZC`); with one, where the socket or the kernel can't.
pub struct SendZc<B: IoBuf> {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    /// The order of the socket's writes, in which the op runs: it is pinned while the kernel has the buffer.
    lane: Lane,
    is_pinned: bool,
    buf: B,
    /// The bytes of the buffer, as it is in its slot: no code of the user's runs while the kernel may have it.
    start: *const u8,
    len: usize,
    sent: usize,
    /// The kernel refused to do without a copy.
    copies: bool,
    /// What follows when the kernel has let go of the buffer.
    next: Option<Next>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// The rest is to be sent.
    Rest,
    /// The op ends with this answer.
    End(Completion),
}

impl<B: IoBuf> SendZc<B> {
    /// Sends all of a buffer. To be submitted to this lane.
    pub fn new(fd: SharedFd, lane: Lane, buf: B) -> Self {
        lane.lends_for(&fd);
        Self {
            fd: Some(fd),
            lane,
            is_pinned: false,
            buf,
            start: std::ptr::null(),
            len: 0,
            sent: 0,
            copies: false,
            next: None,
        }
    }

    /// Submits what is left.
    fn send_rest(&self) -> Step {
        if let Some(answer) = broken(self.fd.as_ref()) {
            return Step::Done(answer);
        }
        let (fd, start, len) = (target_of(&self.fd), self.start.wrapping_add(self.sent), sqe_len(self.len - self.sent));
        let entry = if self.copies {
            opcode::Send::new(fd, start, len).flags(flags(Extent::All)).build()
        } else {
            opcode::SendZc::new(fd, start, len).flags(flags(Extent::All)).build()
        };
        Step::Submit(entry.into())
    }

    fn go_on(&self, next: Next) -> Step {
        match next {
            Next::Rest => self.send_rest(),
            Next::End(answer) => Step::Done(answer),
        }
    }

    /// What the result of an entry leads to.
    fn after(&mut self, completion: Completion) -> Next {
        // Before `outcome`, which would take it for the end of the sending side.
        let is_refused = matches!(-completion.result(), libc::EOPNOTSUPP | libc::EINVAL);
        if is_refused && self.sent == 0 && !self.copies {
            self.copies = true;
            return Next::Rest;
        }
        match outcome(self.fd.as_ref(), self.sent, completion) {
            Outcome::Sent(count) => {
                self.sent = (self.sent + count).min(self.len);
                if self.sent < self.len { Next::Rest } else { Next::End(Completion::made_up(0)) }
            }
            Outcome::Again => Next::Rest,
            Outcome::Failed(errno) => Next::End(Completion::made_up(-errno)),
        }
    }
}

// SAFETY: the entry names the bytes of `buf`, which the op owns until the kernel has said that it has let go of them (I1).
unsafe impl<B: IoBuf> Op for SendZc<B> {
    type Output = BufResult<(), B>;

    const NAME: &'static str = "send (zero copy)";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let bytes = self.buf.as_bytes();
        (self.start, self.len) = (bytes.as_ptr(), bytes.len());
        if self.len == 0 { Step::Done(Completion::made_up(0)) } else { self.send_rest() }
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        if completion.is_notification() {
            let next = self.next.take().expect("a notification follows a result");
            return self.go_on(next);
        }
        let next = self.after(completion);
        if !completion.more() {
            return self.go_on(next);
        }
        self.next = Some(next);
        match next {
            Next::Rest => Step::Pending,
            Next::End(_) => {
                self.lane.pin();
                self.is_pinned = true;
                Step::Passed
            }
        }
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        (answer.transferred(self.sent).map(drop), self.buf)
    }

    fn release(&mut self) {
        self.fd = None;
        if std::mem::take(&mut self.is_pinned) {
            self.lane.unpin();
        }
    }

    fn abort(&mut self) {
        if let (Some(fd), Some(_)) = (&self.fd, self.next) {
            fd.abort();
        }
    }

    fn bytes(&self) -> usize {
        self.len
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}

impl<B: IoBuf> fmt::Debug for SendZc<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendZc").field("fd", &self.fd).field("sent", &self.sent).finish_non_exhaustive()
    }
}
