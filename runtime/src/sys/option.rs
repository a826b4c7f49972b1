//! Options of sockets that `socket2` does not know.
//!
//! # Safety
//!
//! Each call reads or fills memory of ours of the size that it is told, and keeps no pointer.
#![allow(unsafe_code, reason = "libc's getsockopt and setsockopt are foreign functions")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Sets an option whose value is a number.
pub(crate) fn set_number(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    let bytes = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads `bytes` bytes of `value`, which outlives the call.
    let answer = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), bytes) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The value of an option that is a number.
pub(crate) fn number(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0;
    fill(fd, level, name, &mut value).map(|()| value)
}

/// Who the peer of a Unix socket was when it connected (`SO_PEERCRED`).
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    fill(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, &mut credentials).map(|()| credentials)
}

/// Lets the kernel write an option into a value that is valid whatever bytes it has.
fn fill<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &mut T) -> io::Result<()> {
    let mut bytes = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes to `value`, and both outlive the call.
    let answer = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, ptr::from_mut(value).cast(), &raw mut bytes) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Types of numbers only.
trait Plain {}
impl Plain for i32 {}
impl Plain for libc::ucred {}
