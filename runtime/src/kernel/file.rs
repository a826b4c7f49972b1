//! What files, pipes and standard streams do without an SQE: making and duplicating their descriptors, telling what they are.
//!
//! On the real kernel these are plain system calls, made by std. All descriptors are closed on exec.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::kernel::sim::socket as simulated;

pub(crate) use crate::sys::poll::ready_events;

/// The two ends of a new pipe: what is read from, what is written to.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    simulated::refuse("pipes")?;
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), writer.into()))
}

/// What only the real world has, and no simulated machine could wait for.
///
/// # Errors
///
/// `Unsupported`, where the current runtime is simulated.
pub(crate) fn real_world_only(what: &str) -> io::Result<()> {
    simulated::refuse(what)
}

/// Another descriptor of the same open file, with the same modes: nothing is changed for those who share it.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd.try_clone_to_owned()
}

/// Whether the ring may be an owner of this open file, too. That keeps it open for some tens of milliseconds behind a process
/// that ends without a word (killed, or by `exit`), as the kernel takes its time to end a ring. So only where nobody can be
/// waiting for the end: a file of a disk, open to be read only, that holds no lock.
///
/// Nothing is opened and closed for that: with the first descriptor of a file that a process closes all locks of `fcntl` go that it
/// has there.
pub(crate) fn may_be_registered(fd: BorrowedFd<'_>) -> bool {
    let is_file =
        fs::metadata(format!("/proc/thread-self/fd/{}", fd.as_raw_fd())).is_ok_and(|metadata| metadata.is_file());
    is_file && is_only_read(fd).unwrap_or(false)
}

/// As [proc(5)](https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html) tells: a line for the modes, one for each lock.
fn is_only_read(fd: BorrowedFd<'_>) -> Option<bool> {
    let text = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
    let is_locked = text.lines().any(|line| line.starts_with("lock:"));
    Some(flags & (libc::O_ACCMODE | libc::O_PATH) == libc::O_RDONLY && !is_locked)
}

/// A standard stream of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    Input,
    Output,
    Error,
}

/// A descriptor of our own of a standard stream.
pub(crate) fn standard(stream: Standard) -> io::Result<OwnedFd> {
    simulated::refuse("standard streams")?;
    match stream {
        Standard::Input => duplicate(io::stdin().as_fd()),
        Standard::Output => duplicate(io::stdout().as_fd()),
        Standard::Error => duplicate(io::stderr().as_fd()),
    }
}
