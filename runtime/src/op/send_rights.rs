//! Sending bytes on a Unix stream, with descriptors.
//!
//! The kernel is never left to wait for room by itself: before Linux 6.5 it forgets where the descriptors are named.
#![allow(unsafe_code, reason = "ops answer for the memory that they name")]

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::opcode;

use crate::buf::{BufResult, IoBuf, sqe_len};
use crate::fd::SharedFd;
use crate::op::pause::{is_unasked, pause};
use crate::op::send::broken;
use crate::op::{Completion, Description, Driver, Op, Step, target_of};
use crate::sys::message::{empty_header, rights};

/// Sends all of a buffer on a Unix stream, and descriptors with its first byte (`IORING_OP_SENDMSG` with `SCM_RIGHTS`).
/// Answers the count of bytes sent.
pub struct SendRights<B: IoBuf> {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    buf: B,
    /// Open until the kernel has taken its own references.
    descriptors: Vec<OwnedFd>,
    /// The control data that names them.
    control: Vec<u8>,
    /// Names what is left of `buf`.
    part: libc::iovec,
    /// Names `part`, and `control` until the first bytes are out; read by the kernel when the entry is submitted.
    header: libc::msghdr,
    sent: usize,
    /// It waits for room: by a poll, or a pause behind one.
    is_polling: bool,
    /// How often a poll has told of other things than room.
    pauses: u8,
}

impl<B: IoBuf> SendRights<B> {
    /// Sends a buffer, which has to have a byte, and at most [`MOST_DESCRIPTORS`](crate::op::MOST_DESCRIPTORS).
    pub fn new(fd: SharedFd, buf: B, descriptors: Vec<OwnedFd>) -> Self {
        let control = match descriptors.len() {
            0 => Vec::new(),
            _ => rights(descriptors.iter().map(AsRawFd::as_raw_fd)),
        };
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            fd: Some(fd),
            buf,
            descriptors,
            control,
            part,
            header: empty_header(),
            sent: 0,
            is_polling: false,
            pauses: 0,
        }
    }

    fn send_rest(&mut self) -> Step {
        if let Some(answer) = broken(self.fd.as_ref()) {
            return Step::Done(answer);
        }
        let rest = &self.buf.as_bytes()[self.sent..];
        if rest.is_empty() {
            return Step::Done(Completion::made_up(0));
        }
        self.part = libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: sqe_len(rest.len()) as usize };
        self.header.msg_iov = &raw mut self.part;
        self.header.msg_iovlen = 1;
        // The descriptors are out with the first byte.
        let control = if self.sent == 0 { &mut self.control[..] } else { &mut [] };
        self.header.msg_control = if control.is_empty() { std::ptr::null_mut() } else { control.as_mut_ptr().cast() };
        self.header.msg_controllen = control.len() as _;
        let entry = opcode::SendMsg::new(target_of(&self.fd), &raw const self.header);
        Step::Submit(entry.flags((libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as u32).build().into())
    }
}

// SAFETY: the entry names `header`, which names `part` and `control`, and that the bytes of `buf`: all are owned by the op,
// which stays in place until the completion is there (I1). The descriptors that `control` names are open as long (I3).
unsafe impl<B: IoBuf> Op for SendRights<B> {
    type Output = BufResult<usize, B>;

    const NAME: &'static str = "sendmsg (descriptors)";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        self.send_rest()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        let errno = match completion.result() {
            found if self.is_polling && is_unasked(found, libc::POLLOUT as u32) => return pause(&mut self.pauses),
            0.. if self.is_polling => {
                self.is_polling = false;
                return self.send_rest();
            }
            count @ 1.. => {
                self.sent = (self.sent + count as usize).min(self.buf.len());
                self.pauses = 0;
                return if self.sent < self.buf.len() { self.send_rest() } else { Step::Done(completion) };
            }
            // A send of at least one byte does not answer 0; if it did, trying again could go on for ever.
            0 => libc::EIO,
            result => -result,
        };
        match errno {
            libc::EAGAIN if !self.is_polling => {
                self.is_polling = true;
                let entry = opcode::PollAdd::new(target_of(&self.fd), libc::POLLOUT as u32);
                return Step::Submit(entry.build().into());
            }
            libc::EINTR | libc::EAGAIN | libc::ETIME => {
                self.is_polling = false;
                return self.send_rest();
            }
            _ => {}
        }
        let is_broken = match errno {
            // One that was cut has told who waits for it how much is out; where nobody waits, nobody could go on from there.
            libc::ECANCELED => self.sent > 0 && !completion.is_wanted(),
            libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN => true,
            // Before the first byte is out, what is wrong may be the descriptors: the stream is as it was.
            _ => self.sent > 0,
        };
        if let Some(fd) = self.fd.as_ref().filter(|_| is_broken) {
            fd.latch_send_error(errno);
        }
        Step::Done(Completion::made_up(-errno))
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        (answer.transferred(self.sent), self.buf)
    }

    fn release(&mut self) {
        self.fd = None;
        self.descriptors = Vec::new();
    }

    fn bytes(&self) -> usize {
        self.buf.len() + self.control.len()
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}

impl<B: IoBuf> fmt::Debug for SendRights<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRights").field("fd", &self.fd).field("sent", &self.sent).finish_non_exhaustive()
    }
}
