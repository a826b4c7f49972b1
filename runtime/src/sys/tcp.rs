//! The state of a TCP connection.
//!
//! # Safety
//!
//! The one call fills a byte of ours, and keeps no pointer.
#![allow(unsafe_code, reason = "libc's getsockopt is a foreign function")]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Whether a TCP socket has neither a connection nor the rest of one (`TCP_CLOSE`, see `TCP_INFO` in
/// [`tcp(7)`](https://man7.org/linux/man-pages/man7/tcp.7.html)).
pub(crate) fn is_closed(fd: BorrowedFd<'_>) -> bool {
    // The state is the first field, and the kernel cuts the structure to the room that it is given.
    let mut state = 0_u8;
    let mut bytes: libc::socklen_t = 1;
    // SAFETY: the kernel writes at most `bytes` bytes to `state`, and both outlive the call.
    let answer = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            ptr::from_mut(&mut state).cast(),
            &raw mut bytes,
        )
    };
    answer == 0 && state == TCP_CLOSE
}

const TCP_CLOSE: u8 = 7;
