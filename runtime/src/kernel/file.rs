//! What pipes and standard streams do without an SQE: making and duplicating their descriptors.
//!
//! On the real kernel these are plain system calls, made by std. All descriptors are closed on exec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
