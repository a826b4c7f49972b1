//! The way into the kernel: staging entries, spilling what does not fit, submitting, waiting.
//!
//! One order holds among all entries, also those that had to wait in the spill: first pushed, first submitted. So a cancel
//! never comes before the op that it names.

use io_uring::opcode;

use crate::driver::Driver;
use crate::driver::guard::AbortOnPanic;
use crate::driver::slots::{CANCEL, OpKey};
use crate::kernel::{Cqe, Kernel, Sqe, Wait};

impl Driver {
    /// Whether entering the kernel would achieve anything now. No system call.
    pub(crate) fn wants_entry(&self) -> bool {
        !self.spill.borrow().is_empty() || self.kernel.borrow_mut().as_mut().is_some_and(Kernel::wants_entry)
    }

    /// Entries are left that the kernel has not seen.
    pub(crate) fn has_staged(&self) -> bool {
        let staged = self.kernel.borrow_mut().as_mut().is_some_and(|kernel| kernel.staged() > 0);
        staged || !self.spill.borrow().is_empty()
    }

    /// Whether what the kernel has to say shows without a system call.
    pub(crate) fn shows_news(&self) -> bool {
        self.kernel.borrow().as_ref().is_some_and(Kernel::shows_news)
    }

    /// How many waits were for more than one completion, and how many of them brought hardly any.
    pub(crate) fn gathers(&self) -> (u64, u64) {
        self.kernel.borrow().as_ref().map_or((0, 0), Kernel::gathers)
    }

    /// The kernel has something to say. No system call.
    pub(crate) fn has_news(&self) -> bool {
        self.kernel.borrow_mut().as_mut().is_some_and(Kernel::has_news)
    }

    /// Submits everything that was pushed, waits as told, and dispatches the completions.
    pub(crate) fn turn(&self, wait: Wait) {
        let guard = AbortOnPanic::armed();
        let mut completions = self.completions.take();
        self.enter(wait, &mut completions);
        let silent = self.take_silent();
        self.counters.cqes.add(completions.len() as u64);
        let was_dispatching = self.dispatching.replace(true);
        for cqe in completions.drain(..) {
            self.dispatch(cqe);
        }
        self.completions.set(completions);
        if !silent.is_empty() {
            self.conclude(silent);
        }
        self.dispatching.set(was_dispatching);
        for pool in self.pools.made() {
            pool.reclaim();
        }
        guard.disarm();
    }

    /// Outside of `block_on` no turn comes by itself: what was cancelled or closed there is brought to its end now, as far
    /// as that takes no waiting. A cancel is answered in the first turn, the close that follows is submitted in the next.
    pub(super) fn settle(&self) {
        if self.is_running() || self.is_closed() {
            return;
        }
        self.set_running(true);
        self.flush();
        self.set_running(false);
    }

    /// Takes what `submit` submits also outside of `block_on`. It begins at once, or in its turn, and ends when turns come again.
    pub(crate) fn behind(&self, submit: impl FnOnce()) {
        let was_running = self.running.replace(true);
        submit();
        self.running.set(was_running);
        self.settle();
    }

    /// Submits what was pushed, and dispatches what is answered at once: for a caller who needs the answer to a cancel now.
    /// Does nothing where completions are being dispatched: the caller is a destructor or a waker.
    pub fn hurry(&self) {
        if self.dispatching.get() || self.is_closed() {
            return;
        }
        let was_running = self.running.replace(true);
        self.flush();
        self.running.set(was_running);
    }

    /// Submits what was pushed, and what follows from the answers that are there at once.
    pub(crate) fn flush(&self) {
        for _turn in 0..MOST_FLUSHES {
            if !self.wants_entry() {
                break;
            }
            self.turn(Wait::No);
        }
    }

    /// Enters the kernel until everything pushed is submitted, and copies completions out. One entry, but where the
    /// submission queue was too small or the completion queue ran over.
    fn enter(&self, wait: Wait, completions: &mut Vec<Cqe>) {
        let mut kernel = self.kernel.borrow_mut();
        let Some(kernel) = kernel.as_mut() else { return };
        let mut refusals = 0;
        loop {
            let spilled = self.refill(kernel);
            // With completions in hand, or more to submit, there is no reason to sleep.
            let wait = if spilled || !completions.is_empty() { Wait::No } else { wait };
            self.counters.enters.add(1);
            let result = kernel.enter(wait);
            kernel.take_completions(completions);
            match result {
                Ok(()) => refusals = 0,
                // The kernel is short of memory for requests (EAGAIN) or wants its completions read first (EBUSY): they
                // have just been read, what was staged is still staged, so try again, but not for ever: tasks that could
                // free something must run, too.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY)) => {
                    refusals += 1;
                    if refusals >= MOST_REFUSALS {
                        break;
                    }
                    continue;
                }
                Err(error) if error.raw_os_error() == Some(libc::EBADR) => lost_completions(),
                Err(error) => unreachable!("io_uring_enter refused a ring that it had set up: {error}"),
            }
            let overflowed = kernel.has_overflowed();
            if overflowed {
                self.counters.overflows.add(1);
            }
            if !spilled && kernel.staged() == 0 {
                self.attempts.refill(self.counters.sqes.get());
            }
            if !spilled && !overflowed {
                break;
            }
        }
    }

    /// Moves spilled entries into the submission queue; whether some are left.
    fn refill(&self, kernel: &mut Kernel) -> bool {
        let mut spill = self.spill.borrow_mut();
        while let Some(sqe) = spill.pop_front() {
            if !kernel.push(&sqe) {
                spill.push_front(sqe);
                return true;
            }
        }
        false
    }

    /// Pushes an entry that will have a final completion.
    #[inline]
    pub(super) fn push_counted(&self, sqe: Sqe) {
        self.in_kernel.set(self.in_kernel.get() + 1);
        self.push(sqe);
    }

    pub(super) fn push_cancel(&self, key: OpKey) {
        let entry = opcode::AsyncCancel::new(key.user_data()).build();
        self.push(Sqe::from(entry).keyed(CANCEL).silent());
    }

    /// Stages an entry, behind all that were pushed before it.
    pub(super) fn push(&self, sqe: Sqe) {
        self.counters.sqes.add(1);
        let mut spill = self.spill.borrow_mut();
        let mut kernel = self.kernel.borrow_mut();
        let Some(kernel) = kernel.as_mut() else { unreachable!("nothing is pushed after shutdown") };
        if !spill.is_empty() || !kernel.push(&sqe) {
            spill.push_back(sqe);
        }
    }
}

/// The kernel had no memory even for the list of completions that did not fit: answers are lost for good, and with them the
/// knowledge of which buffers are free. Going on would be unsound.
fn lost_completions() -> ! {
    eprintln!("quoit: the kernel has dropped completions (EBADR): it is out of memory; giving up");
    std::process::abort()
}

/// How often in a row an entry that the kernel refuses for the moment is tried before tasks run again.
const MOST_REFUSALS: u32 = 16;

/// Turns of a flush: one thing leads to another, but not for ever.
const MOST_FLUSHES: u32 = 4;
