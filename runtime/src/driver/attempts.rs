//! Operations that are alone are performed at once, without the ring.
//!
//! An entry into the kernel with a single operation costs more than the system call that does the same: the ring gains where
//! it serves many at a time. So where an op has nobody to share an entry with, and can end without waiting, a plain call
//! performs it, and its future is ready at the first poll. Everything else is as ever: the op is in its slot, its lane and its
//! scopes, and reads the answer as if it had come from the ring.
//!
//! An op counts as alone if nothing is staged that it would overtake, or could ride along with; if no answer that came by
//! this way waits to be taken, since whoever submits several at once means them to share an entry; and (the caller knows that)
//! if no other task is ready. And only for so long: a task that always finds its answer at once never lets the others run,
//! nor the kernel tell what has happened. So between two looks at the kernel there is a bound; the op that meets it takes
//! the ring.

use std::cell::Cell;

use crate::driver::Driver;
use crate::driver::slots::OpKey;
use crate::kernel::attempt::Attempt;
use crate::kernel::{Kernel, Sqe};

/// What an op that is about to begin may do by itself.
#[derive(Debug)]
pub(super) struct Attempts {
    /// How much more, until the next look at the kernel.
    left: Cell<u32>,
    /// The last op that ended as soon as it was submitted. While its answer is there, its owner has others to submit first.
    untaken: Cell<Option<OpKey>>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self { left: Cell::new(MOST), untaken: Cell::new(None) }
    }

    /// The kernel was looked at.
    pub(super) fn refill(&self) {
        self.left.set(MOST);
        // It may have been forgotten.
        self.untaken.set(None);
    }

    /// An op has ended while it was submitted.
    pub(super) fn ended_at_once(&self, key: OpKey) {
        self.untaken.set(Some(key));
    }
}

impl Driver {
    /// Performs an entry at once, if it is alone as far as the driver can tell. Pushes nothing.
    pub(crate) fn attempt(&self, sqe: &Sqe) -> Attempt {
        let left = self.attempts.left.get();
        let is_untaken = |key| self.slots.get(key).is_some();
        if left == 0 || self.dispatching.get() || self.attempts.untaken.get().is_some_and(is_untaken) {
            return Attempt::NotNow;
        }
        let is_alone = |kernel: &mut Kernel| kernel.attempts() && kernel.staged() == 0;
        // A spill is left over only while the queue is full.
        if !self.kernel.borrow_mut().as_mut().is_some_and(is_alone) {
            return Attempt::NotNow;
        }
        let attempt = sqe.attempt();
        let bytes = if let Attempt::Performed(result) = attempt { result.max(0) as u32 } else { 0 };
        self.attempts.left.set(left.saturating_sub(1 + bytes / BYTES_PER_UNIT));
        let counter = match attempt {
            Attempt::Performed(_) => &self.counters.attempts,
            Attempt::NotNow | Attempt::Vain => &self.counters.vain_attempts,
        };
        counter.add(1);
        attempt
    }
}

/// So many units of work are done between two looks at the kernel: an op, whether it succeeds or not, is one,
const MOST: u32 = 64;
/// and so are so many bytes.
const BYTES_PER_UNIT: u32 = 8 << 10;
