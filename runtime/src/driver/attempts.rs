//! Operations that are alone are performed at once, without the ring.
//!
//! An entry into the kernel with a single operation costs more than the system call that does the same: the ring gains where
//! it serves many at a time. So where an op has nobody to share an entry with, and can end without waiting, a plain call
//! performs it, and its future is ready at the first poll. The op needs no slot for that, and reads the answer as if it had come
//! from the ring; lanes and scopes are looked at as ever.
//!
//! An op counts as alone if nothing is staged that it would overtake, or could ride along with; if no answer that came by
//! this way waits to be taken, since whoever submits several at once means them to share an entry; and (the caller knows that)
//! if no other task is ready. And only for so long: a task that always finds its answer at once never lets the others run,
//! nor the kernel tell what has happened. So between two looks at the kernel there is a bound; the op that meets it takes
//! the ring.
//!
//! Datagrams are sent by calls also where they are not alone, see `op/send_msg.rs`; they share the bound.

use std::cell::Cell;

use crate::driver::Driver;
use crate::kernel::attempt::Attempt;
use crate::kernel::{Kernel, Sqe};

/// What an op that is about to begin may do by itself.
#[derive(Debug)]
pub(super) struct Attempts {
    /// This kernel's operations may be performed by calls of our own.
    are_possible: bool,
    /// Calls that take the place of an operation are welcome.
    are_welcome: bool,
    /// How much more, until the next look at the kernel.
    left: Cell<u32>,
    /// How many entries had been pushed when none was left to be submitted.
    submitted: Cell<u64>,
    /// The answers that came by this way and wait to be taken. While there are any, their owner has others to submit first.
    /// It may forget them, so this is a hint.
    untaken: Cell<u32>,
}

impl Attempts {
    pub(super) fn new(kernel: &Kernel) -> Self {
        let (left, submitted, untaken) = (Cell::new(MOST), Cell::new(0), Cell::new(0));
        Self { are_possible: kernel.attempts(), are_welcome: kernel.calls(), left, submitted, untaken }
    }

    /// The kernel was looked at, and all of so many entries have been submitted.
    pub(super) fn refill(&self, submitted: u64) {
        self.left.set(MOST);
        self.submitted.set(submitted);
        self.untaken.set(0);
    }
}

impl Driver {
    /// An op that begins now is alone, as far as the driver can tell, and has not yet had its share.
    #[inline]
    pub(crate) fn may_attempt(&self) -> bool {
        let attempts = &self.attempts;
        let has_room = attempts.are_possible && attempts.left.get() > 0 && attempts.untaken.get() == 0;
        self.overtakes_nothing() && has_room && !self.dispatching.get() && self.is_at_work()
    }

    /// Nothing was pushed that has not been submitted.
    #[inline]
    fn overtakes_nothing(&self) -> bool {
        self.counters.sqes.get() == self.attempts.submitted.get()
    }

    /// Performs an entry at once, after [`may_attempt`](Self::may_attempt). Pushes nothing.
    #[inline]
    pub(crate) fn attempt(&self, sqe: &Sqe) -> Attempt {
        // A buffer's own code may have pushed something meanwhile.
        if !self.overtakes_nothing() {
            return Attempt::NotNow;
        }
        let attempt = sqe.attempt();
        match attempt {
            Attempt::Performed(result) => self.called(Some(result.max(0) as u32)),
            Attempt::NotNow | Attempt::Vain => self.called(None),
        }
        attempt
    }

    /// A call may be made now that takes the place of an operation, whoever else has something to submit.
    pub(crate) fn may_call(&self) -> bool {
        self.attempts.are_welcome && self.attempts.left.get() > 0 && self.is_at_work()
    }

    /// Such a call has moved so many bytes, or failed with none; `None` where it was in vain.
    #[inline]
    pub(crate) fn called(&self, bytes: Option<u32>) {
        let counter = if bytes.is_some() { &self.counters.attempts } else { &self.counters.vain_attempts };
        counter.add(1);
        let (attempts, units) = (&self.attempts, 1 + bytes.unwrap_or(0) / BYTES_PER_UNIT);
        attempts.left.set(attempts.left.get().saturating_sub(units));
    }

    /// An op has ended before it had a slot. Its answer waits to be taken.
    #[inline]
    pub(crate) fn ended_at_once(&self) {
        self.attempts.untaken.set(self.attempts.untaken.get() + 1);
    }

    /// The answer of such an op has been taken, or dropped.
    #[inline]
    pub(crate) fn taken(&self) {
        self.attempts.untaken.set(self.attempts.untaken.get().saturating_sub(1));
    }
}

/// So many units of work are done between two looks at the kernel: an op, whether it succeeds or not, is one,
const MOST: u32 = 128;
/// and so are so many bytes.
const BYTES_PER_UNIT: u32 = 8 << 10;
