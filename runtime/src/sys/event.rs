//! The descriptor by which one thread ends another's wait.
//!
//! # Safety
//!
//! The one call takes two numbers and makes a descriptor.
#![allow(unsafe_code, reason = "libc's eventfd is a foreign function")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A new [`eventfd(2)`](https://man7.org/linux/man-pages/man2/eventfd.2.html), closed on exec.
pub(crate) fn event() -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
