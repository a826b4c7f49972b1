//! Sending: one buffer or several, once or until everything is out.
//!
//! A send that has begun is never cut in two by a future that is dropped: the op goes on by itself, step by step, until all
//! is out (`CANCEL_ON_DROP` is false). Sends of one socket share a [lane](crate::driver), so they never interleave. The
//! first error ends the sending side: it is latched in the descriptor, and every later send answers it.

use std::fmt;

use io_uring::opcode;

use crate::buf::{BufResult, IoBuf, IoVectoredBuf, sqe_len};
use crate::fd::SharedFd;
use crate::op::attempt::perform;
use crate::op::{Completion, Description, Driver, Op, Step, target_of};

/// How much of the buffer a send is to bring out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// As much as the kernel takes at once.
    Some,
    /// All of it.
    All,
}

/// Sends a buffer (`IORING_OP_SEND`). Answers the count of bytes sent.
pub struct Send<B: IoBuf> {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    buf: B,
    /// How much is out. Less than the length while the op is in the kernel.
    sent: usize,
    extent: Extent,
}

impl<B: IoBuf> Send<B> {
    /// Sends as much of the buffer as the kernel takes at once.
    pub fn some(fd: SharedFd, buf: B) -> Self {
        Self { fd: Some(fd), buf, sent: 0, extent: Extent::Some }
    }

    /// Sends the whole buffer.
    #[inline]
    pub fn all(fd: SharedFd, buf: B) -> Self {
        Self { fd: Some(fd), buf, sent: 0, extent: Extent::All }
    }

    #[inline]
    fn send_rest(&mut self) -> Step {
        if let Some(answer) = broken(self.fd.as_ref()) {
            return Step::Done(answer);
        }
        let rest = &self.buf.as_bytes()[self.sent..];
        if rest.is_empty() {
            return Step::Done(Completion::made_up(0));
        }
        let entry = opcode::Send::new(target_of(&self.fd), rest.as_ptr(), sqe_len(rest.len()));
        Step::Submit(entry.flags(flags(self.extent)).build().into())
    }
}

// SAFETY: the entry names the bytes of `buf`, which the op owns until the completion is there (I1).
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl<B: IoBuf> Op for Send<B> {
    type Output = BufResult<usize, B>;

    const NAME: &'static str = "send";
    const CANCEL_ON_DROP: bool = false;
    const MAY_END_AT_ONCE: bool = true;

    unsafe fn attempt(&mut self, driver: &Driver) -> Option<Completion> {
        let Step::Submit(entry) = self.send_rest() else { return None };
        let answer = perform(driver, self.fd.as_ref(), &entry)?;
        // SAFETY: it answers the very entry.
        ended(unsafe { self.step(answer) })
    }

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        self.send_rest()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match outcome(self.fd.as_ref(), self.sent, completion) {
            Outcome::Sent(count) => self.sent = (self.sent + count).min(self.buf.len()),
            Outcome::Again => return self.send_rest(),
            Outcome::Failed(errno) => return Step::Done(Completion::made_up(-errno)),
        }
        if self.extent == Extent::All && self.sent < self.buf.len() { self.send_rest() } else { Step::Done(completion) }
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        (answer.transferred(self.sent), self.buf)
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

impl<B: IoBuf> fmt::Debug for Send<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("fd", &self.fd).field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// Sends several buffers as one (`IORING_OP_SENDMSG`). Answers the count of bytes sent.
pub struct SendVectored<V: IoVectoredBuf> {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    bufs: V,
    /// What is left to send of each buffer, in order; those that are out are behind `first`. Filled when the op is in place.
    parts: Vec<libc::iovec>,
    /// The first part that is not out.
    first: usize,
    /// Names `parts`; read by the kernel when the entry is submitted.
    message: libc::msghdr,
    sent: usize,
    extent: Extent,
}

impl<V: IoVectoredBuf> SendVectored<V> {
    /// Sends as much of the buffers as the kernel takes at once.
    pub fn some(fd: SharedFd, bufs: V) -> Self {
        Self::new(fd, bufs, Extent::Some)
    }

    /// Sends all of the buffers.
    pub fn all(fd: SharedFd, bufs: V) -> Self {
        Self::new(fd, bufs, Extent::All)
    }

    fn new(fd: SharedFd, bufs: V, extent: Extent) -> Self {
        #[expect(unsafe_code, reason = "the struct has padding, and no other constructor")]
        // SAFETY: all zeroes are a valid, empty `msghdr`.
        let message = unsafe { std::mem::zeroed() };
        Self { fd: Some(fd), bufs, parts: Vec::new(), first: 0, message, sent: 0, extent }
    }

    fn send_rest(&mut self) -> Step {
        if let Some(answer) = broken(self.fd.as_ref()) {
            return Step::Done(answer);
        }
        let rest = &mut self.parts[self.first..];
        if rest.is_empty() {
            return Step::Done(Completion::made_up(0));
        }
        self.message.msg_iov = rest.as_mut_ptr();
        self.message.msg_iovlen = rest.len().min(MOST_PARTS);
        let entry = opcode::SendMsg::new(target_of(&self.fd), &raw const self.message);
        Step::Submit(entry.flags(flags(self.extent) as u32).build().into())
    }

    /// Makes the list of what is left to send. The buffers do not move as long as it is used.
    fn name_parts(&mut self) {
        let part = |index| {
            let bytes = IoVectoredBuf::part(&self.bufs, index).as_bytes();
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
        };
        self.parts = (0..self.bufs.count()).map(part).filter(|part| part.iov_len > 0).collect();
        self.first = 0;
        self.skip(self.sent);
    }

    /// So much more is out.
    fn advance(&mut self, count: usize) {
        self.sent += count;
        self.skip(count);
    }

    /// Takes `count` bytes off the front of what is left.
    fn skip(&mut self, mut count: usize) {
        while let Some(part) = self.parts.get_mut(self.first) {
            let taken = count.min(part.iov_len);
            part.iov_base = part.iov_base.cast::<u8>().wrapping_add(taken).cast();
            part.iov_len -= taken;
            count -= taken;
            if part.iov_len > 0 {
                break;
            }
            self.first += 1;
        }
    }
}

// SAFETY: the entry names `message`, that names `parts`, and these the bytes of `bufs`: all are owned by the op, which stays
// in place until the completion is there (I1).
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl<V: IoVectoredBuf> Op for SendVectored<V> {
    type Output = BufResult<usize, V>;

    const NAME: &'static str = "sendmsg";
    const CANCEL_ON_DROP: bool = false;
    const MAY_END_AT_ONCE: bool = true;

    unsafe fn attempt(&mut self, driver: &Driver) -> Option<Completion> {
        self.name_parts();
        let Step::Submit(entry) = self.send_rest() else { return None };
        let answer = perform(driver, self.fd.as_ref(), &entry)?;
        // SAFETY: it answers the very entry.
        ended(unsafe { self.step(answer) })
    }

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        // Here, and anew, as the buffers move no more.
        self.name_parts();
        self.send_rest()
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match outcome(self.fd.as_ref(), self.sent, completion) {
            Outcome::Sent(count) => self.advance(count),
            Outcome::Again => return self.send_rest(),
            Outcome::Failed(errno) => return Step::Done(Completion::made_up(-errno)),
        }
        if self.extent == Extent::All && self.first < self.parts.len() {
            self.send_rest()
        } else {
            Step::Done(completion)
        }
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        (answer.transferred(self.sent), self.bufs)
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn bytes(&self) -> usize {
        self.bufs.total_len()
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}

impl<V: IoVectoredBuf> fmt::Debug for SendVectored<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendVectored").field("fd", &self.fd).field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// The ops of the hot path live inline in their slots: a message costs no allocation.
const _: () = assert!(crate::op::is_inline::<Send<crate::buf::RecvBuf>>());
const _: () = assert!(crate::op::is_inline::<Send<Vec<u8>>>());
const _: () = assert!(crate::op::is_inline::<Send<crate::buf::Slice<Vec<u8>>>>());

/// What a completion says of a send.
pub(super) enum Outcome {
    Sent(usize),
    /// Not now, for reasons of the kernel's own.
    Again,
    /// The sending side is broken, with this errno, which has been latched.
    Failed(i32),
}

#[inline]
pub(super) fn outcome(fd: Option<&SharedFd>, sent: usize, completion: Completion) -> Outcome {
    let errno = match completion.result() {
        count @ 1.. => return Outcome::Sent(count as usize),
        // A send of at least one byte does not answer 0; if it did, trying again could go on for ever.
        0 => libc::EIO,
        result => -result,
    };
    if matches!(errno, libc::EINTR | libc::EAGAIN) {
        return Outcome::Again;
    }
    // A send that was cancelled before any of it was out leaves the stream as it was. One that was cut has told who waits for
    // it how much is out; where nobody waits, nobody could go on from there, and the stream is broken.
    let is_harmless = errno == libc::ECANCELED && (sent == 0 || completion.is_wanted());
    if let Some(fd) = fd.filter(|_| !is_harmless) {
        fd.latch_send_error(errno);
    }
    Outcome::Failed(errno)
}

/// The answer of a send on a socket whose sending side is broken.
#[inline]
pub(super) fn broken(fd: Option<&SharedFd>) -> Option<Completion> {
    let errno = fd?.send_errno()?;
    Some(Completion::made_up(-errno))
}

/// What a step answers that has come to an end. A send that is not all out goes on by the ring.
#[inline]
fn ended(step: Step) -> Option<Completion> {
    if let Step::Done(answer) = step { Some(answer) } else { None }
}

#[inline]
pub(super) fn flags(extent: Extent) -> i32 {
    match extent {
        Extent::Some => libc::MSG_NOSIGNAL,
        Extent::All => libc::MSG_NOSIGNAL | libc::MSG_WAITALL,
    }
}

/// The kernel takes this many parts at once (`UIO_MAXIOV`).
const MOST_PARTS: usize = 1024;
