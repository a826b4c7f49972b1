//! A look at a descriptor's readiness, without waiting.
//!
//! # Safety
//!
//! The one call fills a structure of ours.
#![allow(unsafe_code, reason = "libc's poll is a foreign function")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Those of `events` that hold now, and errors and hang-ups: [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html).
pub(crate) fn ready_events(fd: BorrowedFd<'_>, events: u32) -> io::Result<u32> {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: events as i16, revents: 0 };
    loop {
        // SAFETY: one whole structure, which outlives the call; a timeout of 0 returns at once.
        let answer = unsafe { libc::poll(&raw mut asked, 1, 0) };
        if answer >= 0 {
            return Ok(asked.revents as u16 as u32);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
