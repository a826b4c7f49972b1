//! Entries that answer by silence.
//!
//! Nearly every send on a socket finishes while it is submitted. With `MSG_DONTWAIT` it always ends there, and with
//! `IOSQE_CQE_SKIP_SUCCESS` it posts a completion only where it fell short. So once an entry into the kernel has returned,
//! and all that was staged is submitted, no completion means success: a completion that nobody needs doesn't end the wait
//! of the thread, which may sleep in the very entry that sends.
//!
//! Who waits for such an op would sleep along with the thread. So where somebody does, the entry doesn't wait
//! ([`Driver::must_hear`]).

use crate::driver::Driver;
use crate::driver::lifecycle::Stage;
use crate::driver::slots::{OpKey, Slot};
use crate::kernel::{Cqe, Kernel, Sqe};

/// An op whose entry posts nothing where it succeeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silent {
    key: OpKey,
    /// The result that silence stands for.
    success: i32,
}

impl Driver {
    /// Whether an entry that posts no completion has succeeded once the kernel was entered. Not so where a thread of the
    /// kernel's submits for us: nobody tells when it has.
    pub fn tells_by_silence(&self) -> bool {
        self.kernel.borrow().as_ref().is_some_and(Kernel::tells_by_silence)
    }

    pub(super) fn push_quiet(&self, key: OpKey, sqe: Sqe, success: i32) {
        self.push_counted(sqe.keyed(key.user_data()).silent());
        self.with_silent(|silent| silent.push(Silent { key, success }));
    }

    /// Somebody waits for an op that will answer by silence: the next entry must not sleep.
    pub(crate) fn must_hear(&self) -> bool {
        let is_awaited = |silent: &Silent| self.slots.get(silent.key).is_some_and(Slot::is_awaited);
        self.with_silent(|silent| silent.iter().any(is_awaited))
    }

    /// The quiet entries that have been submitted. To be called after an entry, before its completions are dispatched:
    /// these make new ones.
    pub(super) fn take_silent(&self) -> Vec<Silent> {
        if self.with_silent(|silent| silent.is_empty()) {
            return Vec::new();
        }
        let is_submitted = |kernel: &mut Kernel| kernel.staged() == 0 && !kernel.has_overflowed();
        let all_is_told = self.spill.borrow().is_empty() && self.kernel.borrow_mut().as_mut().is_some_and(is_submitted);
        if all_is_told { self.silent.take() } else { Vec::new() }
    }

    /// Completes those that have posted nothing.
    pub(super) fn conclude(&self, mut silent: Vec<Silent>) {
        for Silent { key, success } in silent.drain(..) {
            let stage = self.slots.get(key).map(|slot| slot.stage.get());
            // One that fell short has had its completion; it may even be with the kernel again, and then it isn't quiet.
            if let Some(Stage::InKernel(notes)) = stage
                && notes.is_quiet()
            {
                self.completed(key, Cqe::made_up(success));
            }
        }
        // The list's capacity is kept. New ones may have come meanwhile.
        self.with_silent(|late| {
            silent.append(late);
            std::mem::swap(late, &mut silent);
        });
    }

    fn with_silent<T>(&self, run: impl FnOnce(&mut Vec<Silent>) -> T) -> T {
        let mut silent = self.silent.take();
        let value = run(&mut silent);
        self.silent.set(silent);
        value
    }
}
