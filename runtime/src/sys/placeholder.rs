//! Descriptors that stand for something of a simulated world: one end of a pipe, whose other end tells when it is closed.
//!
//! # Safety
//!
//! The calls take numbers, or fill one structure of ours and keep no pointer. [`close`] closes a number that the caller owns.
#![allow(unsafe_code, reason = "libc's pipe2, fstat, epoll and close are foreign functions")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A new placeholder, and the end that stays with the world. Both are closed on exec.
pub(crate) fn placeholder() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` is room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let far = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: and this one.
    let near = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    Ok((near, far))
}

/// The number of the file behind a descriptor, which duplicates share; `None` where none is open under this number.
pub(crate) fn file_number(fd: RawFd) -> Option<u64> {
    // SAFETY: `stat` is plain integers, for which zeros are a value.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: `stat` is a whole structure that outlives the call.
    let answer = unsafe { libc::fstat(fd, &raw mut stat) };
    (answer == 0).then_some(stat.st_ino)
}

/// Closes a descriptor by its number. The caller owns it.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: the caller gives the descriptor up.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// Tells which placeholders have been closed, with all their duplicates.
#[derive(Debug)]
pub(crate) struct Watch {
    epoll: OwnedFd,
}

impl Watch {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes a number.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self { epoll: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Watches the world's end of a placeholder, under a name. Closing that end ends it.
    pub(crate) fn add(&self, far: &OwnedFd, name: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: 0, u64: name };
        // SAFETY: `event` is a whole structure that outlives the call. A hang-up is told unasked.
        let answer =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, far.as_raw_fd(), &raw mut event) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The names of placeholders that have been closed; a bounded number at a time.
    pub(crate) fn closed(&self) -> Vec<u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST_AT_ONCE];
        // SAFETY: `events` is room for as many events as is said.
        let count =
            unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), MOST_AT_ONCE as libc::c_int, 0) };
        let count = usize::try_from(count).unwrap_or(0);
        events[..count].iter().map(|event| event.u64).collect()
    }
}

const MOST_AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_closed_when_its_last_duplicate_is() {
        let watch = Watch::new().unwrap();
        let (near, far) = placeholder().unwrap();
        watch.add(&far, 7).unwrap();
        let twin = near.try_clone().unwrap();
        assert_eq!(file_number(near.as_raw_fd()), file_number(twin.as_raw_fd()));
        drop(near);
        assert_eq!(watch.closed(), []);
        close(std::os::fd::IntoRawFd::into_raw_fd(twin));
        assert_eq!(watch.closed(), [7]);
        drop(far);
        assert_eq!(watch.closed(), []);
        assert_eq!(file_number(-1), None);
    }
}
