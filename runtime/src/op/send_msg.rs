//! Sending one datagram.
//!
//! Nearly every datagram finds room at once. So it is tried by a plain call first ([`send_datagram_now`]): that costs less than
//! an entry which submits nothing else, and above all the sender goes on without a turn. Only where there is no room does it
//! become an operation.
//!
//! The kernel is never left to wait for room by itself: it may have read the bytes before it finds that there is none, and
//! goes on behind them when it tries again, so that an empty datagram or the wrong half of one is sent. So it is told not to
//! wait, and everything begins anew after a poll. Where that says that there is room, and there is none (as for a Unix
//! socket that is not connected to the one whose queue is full), pauses follow that grow.
#![allow(unsafe_code, reason = "ops answer for the memory that they name")]

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use io_uring::{opcode, types};

use crate::buf::{BufResult, IoBuf, sqe_len};
use crate::cancel_scope::stop_now;
use crate::fd::SharedFd;
use crate::kernel::socket::send_datagram;
use crate::op::{Completion, Description, Driver, Lane, Op, Step, target_of};
use crate::sys::address::RawAddress;
use crate::sys::message::empty_header;

/// Sends a datagram at once, if nothing that was sent before it is under way and there is room. `None` where that is not so, or
/// the runtime is not running, or a cancel scope forbids it, or so much was done by such calls that the kernel is to be looked at
/// first: then nothing has happened, and [`SendMsg`] tells what there is to tell.
pub fn send_datagram_now(
    fd: &SharedFd,
    lane: &Lane,
    bytes: &[u8],
    address: Option<&RawAddress>,
) -> Option<io::Result<usize>> {
    let driver = fd.driver();
    if !lane.is_idle() || !driver.may_call() || stop_now(true).is_some() {
        return None;
    }
    match send_datagram(fd.as_fd(), bytes, address.map(RawAddress::as_socket2)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {
            driver.called(None);
            None
        }
        answer => {
            driver.called(Some(answer.as_ref().map_or(0, |count| *count as u32)));
            Some(answer)
        }
    }
}

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
    phase: Phase,
    /// How often there was no room.
    refusals: u32,
    /// How long the pause is; read by the kernel when the entry is submitted.
    pause: types::Timespec,
}

/// Which entry is with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Send,
    Poll,
    Pause,
}

impl<B: IoBuf> SendMsg<B> {
    /// Sends to an address, or to the one that the socket is connected to.
    pub fn new(fd: SharedFd, buf: B, address: Option<RawAddress>) -> Self {
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            fd: Some(fd),
            buf,
            address,
            part,
            header: empty_header(),
            phase: Phase::Send,
            refusals: 0,
            pause: types::Timespec::new(),
        }
    }

    fn enter(&mut self, phase: Phase) -> Step {
        self.phase = phase;
        let fd = target_of(&self.fd);
        let entry = match phase {
            Phase::Send => {
                let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
                opcode::SendMsg::new(fd, &raw const self.header).flags(flags as u32).build()
            }
            Phase::Poll => opcode::PollAdd::new(fd, libc::POLLOUT as u32).build(),
            Phase::Pause => {
                let pause_ms = (1 << (self.refusals - 2).min(10)).min(LONGEST_PAUSE_MS);
                self.pause = types::Timespec::new().nsec(pause_ms * 1_000_000);
                opcode::Timeout::new(&raw const self.pause).build()
            }
        };
        Step::Submit(entry.into())
    }
}

// SAFETY: the entry names `pause`, or `header`, which names `part` and `address`, and that the bytes of `buf`: all are owned by
// the op, which stays in place until the completion is there (I1).
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
        self.enter(Phase::Send)
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match (self.phase, -completion.result()) {
            (phase, libc::EINTR) => self.enter(phase),
            (Phase::Send, libc::EAGAIN) => {
                self.refusals += 1;
                self.enter(Phase::Poll)
            }
            (Phase::Poll, ..=0) if self.refusals > 1 => self.enter(Phase::Pause),
            (Phase::Poll, ..=0) | (Phase::Pause, libc::ETIME) => self.enter(Phase::Send),
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

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}

impl<B: IoBuf> fmt::Debug for SendMsg<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendMsg").field("fd", &self.fd).finish_non_exhaustive()
    }
}

const LONGEST_PAUSE_MS: u32 = 50;
