//! Sending one datagram.
#![allow(unsafe_code, reason = "ops answer for the memory that they name")]

use std::fmt;

use io_uring::opcode;

use crate::buf::{BufResult, IoBuf, sqe_len};
use crate::fd::SharedFd;
use crate::op::{Completion, Driver, Op, Step, target_of};
use crate::sys::address::RawAddress;
use crate::sys::message::empty_header;

/// Sends a buffer as one datagram (`IORING_OP_SENDMSG`), which may be empty. Answers the count of bytes sent.
///
/// An error says nothing about the next datagram, so none is remembered.
pub struct SendMsg<B: IoBuf> {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    buf: B,
    /// Where it goes to, unless the socket is connected.
    address: Option<RawAddress>,
    /// Names the bytes of `buf`.
    part: libc::iovec,
    /// Names `part` and `address`; read by the kernel when the entry is submitted.
    header: libc::msghdr,
}

impl<B: IoBuf> SendMsg<B> {
    /// Sends to an address, or to the one that the socket is connected to.
    pub fn new(fd: SharedFd, buf: B, address: Option<RawAddress>) -> Self {
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self { fd: Some(fd), buf, address, part, header: empty_header() }
    }

    fn entry(&self) -> Step {
        let entry = opcode::SendMsg::new(target_of(&self.fd), &raw const self.header);
        Step::Submit(entry.flags(libc::MSG_NOSIGNAL as u32).build().into())
    }
}

// SAFETY: the entry names `header`, which names `part` and `address`, and that the bytes of `buf`: all are owned by the op,
// which stays in place until the completion is there (I1).
unsafe impl<B: IoBuf> Op for SendMsg<B> {
    type Output = BufResult<usize, B>;

    const NAME: &'static str = "sendmsg (datagram)";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let bytes = self.buf.as_bytes();
        // What is too long for one system call is far too long for a datagram, and refused.
        let len = sqe_len(bytes.len()) as usize;
        self.part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: len };
        self.header.msg_iov = &raw mut self.part;
        self.header.msg_iovlen = 1;
        if let Some(address) = &self.address {
            self.header.msg_name = address.as_ptr().cast_mut().cast();
            self.header.msg_namelen = address.len();
        }
        self.entry()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match -completion.result() {
            libc::EINTR | libc::EAGAIN => self.entry(),
            _ => Step::Done(completion),
        }
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        (answer.value().map(|count| count as usize), self.buf)
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn bytes(&self) -> usize {
        self.buf.len()
    }
}

impl<B: IoBuf> fmt::Debug for SendMsg<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendMsg").field("fd", &self.fd).finish_non_exhaustive()
    }
}
