//! Performing an entry at once, by a plain system call of the calling thread, where that takes no waiting.
//!
//! The answer is the one that the ring would have given. Where there is any doubt (a read that came short of what may be there,
//! an error that a read repeats) there is none: the entry is pushed as ever, and begins anew.
//!
//! # Safety
//!
//! The calls are given the memory that an entry names, which its maker vouches for until it has ended (I1): it has not been
//! pushed yet, so nobody else uses it.
#![allow(unsafe_code, reason = "system calls with the memory that entries name")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use io_uring::opcode;

use crate::kernel::epoll::calls::{self, Answer};
use crate::sys::sqe::RawSqe;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The operation has ended with this result: a count or a negative errno.
    Performed(i32),
    /// It would have to wait. Nothing has happened, as far as the entry is concerned.
    NotNow,
    /// Likewise; and it will be in vain the next time, too.
    Vain,
}

/// Performs a read at a place, or a send, if that takes no waiting.
#[inline]
pub(super) fn perform(sqe: &RawSqe) -> Attempt {
    // What is linked, or picks a buffer, or has a registered descriptor, is the ring's.
    if sqe.flags != 0 {
        return Attempt::Vain;
    }
    match sqe.opcode {
        opcode::Read::CODE => read(sqe),
        opcode::Send::CODE => sent(calls::send(sqe, 0, sqe.op_flags as i32 | libc::MSG_DONTWAIT)),
        opcode::SendMsg::CODE => sent(calls::send_message(sqe, 0, sqe.op_flags as i32 | libc::MSG_DONTWAIT)),
        _ => Attempt::Vain,
    }
}

/// Reads what is asked for, or all that there is.
#[inline]
fn read(sqe: &RawSqe) -> Attempt {
    let asked = sqe.len as usize;
    let mut done = 0;
    // A short count may be the end of the file, or of what lies in memory: the next call tells.
    while done < asked {
        match read_some(sqe, done, asked - done) {
            Ok(0) => break,
            Ok(count) => done += count as usize,
            Err(libc::EAGAIN | libc::EINTR) => return Attempt::NotNow,
            // The file system does not know the flag (EOPNOTSUPP), a filter forbids the call. Another error is the ring's to
            // tell: the next read fails just as this one did.
            Err(_) => return Attempt::Vain,
        }
    }
    Attempt::Performed(done as i32)
}

/// `preadv2` of what lies in memory, see [preadv2(2)](https://man7.org/linux/man-pages/man2/preadv2.2.html).
#[inline]
fn read_some(sqe: &RawSqe, done: usize, bytes: usize) -> Answer {
    let start = calls::pointer::<u8>(sqe.addr).wrapping_add(done);
    let part = libc::iovec { iov_base: start.cast(), iov_len: bytes };
    let (offset, flags) = (sqe.off.wrapping_add(done as u64) as libc::off_t, sqe.op_flags as i32 | libc::RWF_NOWAIT);
    // SAFETY: the part is the entry's own memory (I1), without its first `done` bytes.
    calls::answer(unsafe { preadv2(sqe.fd, &raw const part, 1, offset, flags) } as i32)
}

/// The call itself, without what the C library does around it for threads that are cancelled.
///
/// # Safety
///
/// As [`libc::preadv2`].
#[cfg(target_pointer_width = "64")]
unsafe fn preadv2(fd: RawFd, parts: *const libc::iovec, count: i32, offset: i64, flags: i32) -> libc::ssize_t {
    // The offset comes in two halves, of which the second is beyond 64 bits.
    // SAFETY: the caller vouches for the parts.
    unsafe {
        libc::syscall(libc::SYS_preadv2, i64::from(fd), parts, i64::from(count), offset, 0_i64, flags) as libc::ssize_t
    }
}

#[cfg(not(target_pointer_width = "64"))]
use libc::preadv2;

/// An error of a send may be told once only, so it is the answer.
fn sent(result: Result<usize, i32>) -> Attempt {
    match result {
        Ok(count) => Attempt::Performed(count as i32),
        Err(libc::EAGAIN | libc::EINTR) => Attempt::NotNow,
        Err(errno) => Attempt::Performed(-errno),
    }
}

/// Whether a read of this file may wait for the disk though it is told not to wait.
pub(crate) fn is_direct(fd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: takes numbers.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 { Err(io::Error::last_os_error()) } else { Ok(flags & libc::O_DIRECT != 0) }
}
