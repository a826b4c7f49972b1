//! The state of a TCP connection.
//!
//! # Safety
//!
//! The calls fill a byte of ours or read an address of ours, and keep no pointer.
#![allow(unsafe_code, reason = "libc's functions are foreign ones")]

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

/// Ends a connection by a reset, and empties its queues (a `connect` to no address, see
/// [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html)). Where there is none, nothing happens.
pub(crate) fn disconnect(fd: BorrowedFd<'_>) {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let bytes = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the kernel reads the address during the call, and nothing else.
    let _ = unsafe { libc::connect(fd.as_raw_fd(), &raw const nowhere, bytes) };
}

const TCP_CLOSE: u8 = 7;
