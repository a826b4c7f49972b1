//! A descriptor of a process.
//!
//! # Safety
//!
//! The one call takes two numbers and makes a descriptor.
#![allow(unsafe_code, reason = "the system call pidfd_open is not in std")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A new [`pidfd`](https://man7.org/linux/man-pages/man2/pidfd_open.2.html), which the kernel closes on exec.
pub(crate) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
