//! What was found in freed memory. Plain values of fixed size: they are made where nothing can be allocated.

use std::error::Error;
use std::fmt;

/// How many of the bytes found are shown.
const SHOWN: usize = 16;

/// A freed block that was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The address of the block.
    pub address: usize,
    /// The size of the block in bytes.
    pub size: usize,
    /// Where in the block the first changed byte is.
    pub offset: usize,
    /// How many bytes from there on, up to the last changed one, were written to.
    pub written: usize,
    /// The first bytes from `offset` on; 0 beyond `written`.
    pub found: [u8; SHOWN],
}

/// The faults that a [`check`](crate::QuarantineAlloc::check) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many freed blocks were written to.
    pub count: u64,
    /// The first that was noticed.
    pub first: Fault,
}

impl Fault {
    /// Describes a block of which at least one byte is not poison.
    pub(super) fn describe(address: usize, bytes: &[u8], poison: u8) -> Fault {
        let changed = |byte: &u8| *byte != poison;
        let offset = bytes.iter().position(changed).unwrap_or(0);
        let end = bytes.iter().rposition(changed).map_or(0, |last| last + 1);
        let mut found = [0; SHOWN];
        let shown = &bytes[offset..end.min(offset + SHOWN)];
        found[..shown.len()].copy_from_slice(shown);
        Fault { address, size: bytes.len(), offset, written: end - offset, found }
    }
}

impl Report {
    /// Adds a fault to a report that may not exist yet.
    pub(super) fn add(report: &mut Option<Report>, fault: Fault) {
        match report {
            Some(report) => report.count += 1,
            None => *report = Some(Report { count: 1, first: fault }),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { address, size, offset, written, found } = self;
        let found = &found[..SHOWN.min(*written)];
        write!(f, "{size} bytes at {address:#x}, {written} written from offset {offset} on, beginning {found:02x?}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "freed memory was written to, in {} blocks; the first: {}", self.count, self.first)
    }
}

impl Error for Report {}
