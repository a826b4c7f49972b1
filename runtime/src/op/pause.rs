//! Pauses before another try, where nothing tells when there is a point in one.
//!
//! A poll of the ring's tells also, unasked, that the peer has ended its side (`POLLRDHUP`), at once and each time. Who waits
//! for room would try again and again.

use io_uring::{opcode, types};

use crate::op::Step;

/// A pause, longer than the one before. It ends with `ETIME`.
pub(super) fn pause(before: &mut u8) -> Step {
    let time = &PAUSES[usize::from(*before).min(PAUSES.len() - 1)];
    *before = before.saturating_add(1);
    Step::Submit(opcode::Timeout::new(time).build().into())
}

/// Whether a poll has told of nothing that it was asked for, nor of an error.
pub(super) fn is_unasked(found: i32, asked: u32) -> bool {
    let asked = asked | (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as u32;
    found > 0 && found as u32 & asked == 0
}

/// Read by the kernel when the entry is submitted, and by nobody written to.
static PAUSES: [types::Timespec; 7] = [
    of_milliseconds(1),
    of_milliseconds(2),
    of_milliseconds(4),
    of_milliseconds(8),
    of_milliseconds(16),
    of_milliseconds(32),
    of_milliseconds(50),
];

const fn of_milliseconds(count: u32) -> types::Timespec {
    types::Timespec::new().nsec(count * 1_000_000)
}
