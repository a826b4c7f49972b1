//! What happens when the kernel answers.
//!
//! Completions are copied out of the queue before the first is dispatched; each is then a step of its op: the op's own code
//! reads it and says how it goes on. Wakers and destructors run last, with nothing borrowed (I8).
#![allow(
    unsafe_code,
    reason = "the code of an op is called with a pointer to its slot, and an entry may own a descriptor"
)]

use std::any::Any;
use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use crate::driver::lane::Lane;
use crate::driver::lifecycle::{AfterEnd, AfterStep, Stage};
use crate::driver::slots::{CANCEL, DetachedClose, Memory, OpKey, Slot, WAKE};
use crate::driver::{Driver, Step, shield, wake};
use crate::kernel::Cqe;

impl Driver {
    /// Gives one completion to the op that it belongs to.
    pub(super) fn dispatch(&self, cqe: Cqe) {
        match cqe.user_data {
            // Cancels are silent where they succeed. ENOENT and EALREADY are no errors: the op was faster, and its own
            // completion tells what became of it.
            CANCEL => {}
            WAKE => self.woken(cqe),
            user_data => match DetachedClose::from_user_data(user_data) {
                Some(close) => self.closed(&close, cqe),
                None => self.completed(OpKey::from_user_data(user_data), cqe),
            },
        }
    }

    /// A close that nobody waits for has been answered.
    fn closed(&self, close: &DetachedClose, cqe: Cqe) {
        if !close.is_silent {
            self.closing.set(self.closing.get() - 1);
        }
        match -cqe.result {
            0 => {}
            // The shutdown's cancel has met it on its way to a worker thread. The descriptor is still open, and ours.
            libc::ECANCELED => {
                // SAFETY: the entry owned the descriptor, and has not closed it.
                drop(unsafe { OwnedFd::from_raw_fd(close.descriptor) });
            }
            _ => self.counters.failed_closes.add(1),
        }
    }

    /// Another thread has written to the wake descriptor. What it wants lies in the inbox.
    fn woken(&self, cqe: Cqe) {
        if cqe.more() {
            return;
        }
        self.watching.set(false);
        // A multishot poll ends when the completion queue runs over.
        if let (false, Some(descriptor)) = (self.is_closed(), self.wake_descriptor.get()) {
            self.watch(descriptor);
        }
    }

    pub(super) fn completed(&self, key: OpKey, cqe: Cqe) {
        if !cqe.more() {
            self.in_kernel.set(self.in_kernel.get() - 1);
        }
        let Some(slot) = self.slots.get(key) else {
            // No slot is freed before the final completion of its last entry, so this can't be.
            debug_assert!(false, "a completion for {key:?}, which is gone: {cqe:?}");
            self.counters.stale_completions.add(1);
            return;
        };
        // SAFETY: the op is in its slot, and in the kernel.
        let lane = unsafe { (slot.kind.get().complete)(self, key, slot, cqe) };
        if let Some(lane) = lane {
            self.advance(lane);
        }
    }

    /// An op of this lane has ended: starts the next one, and the one after it if that ends at once.
    #[inline]
    pub(super) fn advance(&self, ended: Lane) {
        let mut ended = Some(ended);
        while let Some(lane) = ended.take() {
            if let Some(key) = lane.next() {
                let slot = self.slots.get(key).expect("a parked op is in its slot");
                ended = self.start(key, slot);
            } else {
                lane.wake_idle();
            }
        }
    }

    /// Starts an op whose turn has come, by the code of its kind that makes its first entry.
    #[must_use]
    #[inline]
    pub(crate) fn start_by(
        &self,
        key: OpKey,
        slot: &Slot,
        prepare: impl FnOnce(NonNull<Memory>, &Driver) -> Step,
    ) -> Option<Lane> {
        self.step(key, slot, slot.stage.get().start_comes(), false, |memory| prepare(memory, self))
    }

    /// Has an op read a completion, by the code of its kind.
    #[must_use]
    #[inline]
    pub(crate) fn complete_by(
        &self,
        key: OpKey,
        slot: &Slot,
        cqe: Cqe,
        read: impl FnOnce(NonNull<Memory>, Cqe) -> Step,
    ) -> Option<Lane> {
        let cqe = if slot.stage.get().notes().is_abandoned() { cqe.unwanted() } else { cqe };
        self.step(key, slot, slot.stage.get().completion_comes(), cqe.more(), |memory| read(memory, cqe))
    }

    /// Runs a piece of an op's own code, and does what it wants. The answer is the lane that the op has left by ending.
    ///
    /// Each kind of op has this of its own, so that what its code never wants costs nothing.
    #[must_use]
    #[inline]
    fn step(
        &self,
        key: OpKey,
        slot: &Slot,
        begins: Stage,
        more_follow: bool,
        code: impl FnOnce(NonNull<Memory>) -> Step,
    ) -> Option<Lane> {
        let is_first = matches!(slot.stage.get(), Stage::Parked { .. });
        slot.stage.set(begins);
        let code = AssertUnwindSafe(|| code(slot.memory()));
        let step = catch_unwind(code).unwrap_or_else(|payload| self.panicked(slot, payload, more_follow));
        match step {
            Step::Done(answer) => return self.end(key, slot, answer),
            Step::Pending => self.go_on(key, slot, false),
            // An op that wants to go on while it is to stop, or everything ends, is over.
            Step::Submit(_) | Step::SubmitQuiet(..) if self.is_closed() || slot.stage.get().notes().is_stopping() => {
                let answer = self.tell_stopped(slot);
                return self.end(key, slot, answer);
            }
            // Only an op's first entry: those that follow could be taken for it.
            Step::SubmitQuiet(sqe, success) if is_first => {
                self.push_quiet(key, sqe, success);
                self.go_on(key, slot, true);
            }
            Step::Submit(sqe) | Step::SubmitQuiet(sqe, _) => {
                self.push_counted(sqe.keyed(key.user_data()));
                self.go_on(key, slot, false);
            }
            Step::Passed => {
                let lane = slot.lane.take();
                self.go_on(key, slot, false);
                return lane;
            }
        }
        None
    }

    /// A buffer of the user's has panicked; the panic hook has reported it. The op ends, unless the kernel has it.
    #[cold]
    fn panicked(&self, slot: &Slot, payload: Box<dyn Any + Send>, more_follow: bool) -> Step {
        std::mem::forget(payload);
        if more_follow {
            return Step::Pending;
        }
        self.tell_stopped(slot);
        Step::Done(Cqe::made_up(-libc::EFAULT))
    }

    /// Tells a busy op that it will not go on, as if the kernel had said so: a send that is cut off here notes that its stream
    /// is broken.
    #[cold]
    fn tell_stopped(&self, slot: &Slot) -> Cqe {
        let answer = Cqe::made_up(-libc::ECANCELED);
        let told = if slot.stage.get().notes().is_abandoned() { answer.unwanted() } else { answer };
        let kind = slot.kind.get();
        // SAFETY: the op is in its slot and still busy, and no entry of it is with the kernel.
        shield(|| unsafe { (kind.tell)(slot.memory(), told) });
        // SAFETY: as above.
        shield(|| unsafe { (kind.release)(slot.memory()) });
        answer
    }

    /// Takes note that a busy op goes on in the kernel.
    #[inline]
    fn go_on(&self, key: OpKey, slot: &Slot, quiet: bool) {
        let (stage, after) = slot.stage.get().goes_on(quiet);
        slot.stage.set(stage);
        match after {
            AfterStep::Nothing => {}
            AfterStep::Cancel => self.push_cancel(key),
        }
    }

    /// A busy op has ended. The answer is the lane that it has left.
    #[must_use]
    #[inline]
    pub(super) fn end(&self, key: OpKey, slot: &Slot, answer: Cqe) -> Option<Lane> {
        let (stage, after) = slot.stage.get().ends();
        slot.stage.set(stage);
        slot.answer.set(answer);
        // The slot may be vacant, or another op's, once anybody else's code has run: its lane is taken before.
        let lane = slot.lane.take();
        match after {
            AfterEnd::Wake => {
                if let Some(waker) = slot.waker.take() {
                    wake(waker);
                }
            }
            AfterEnd::Discard => {
                let kind = slot.kind.get();
                // SAFETY: the op has ended and its future is gone: nobody else will take it out. The call frees the slot.
                shield(|| unsafe { (kind.discard)(&self.slots, key, answer) });
            }
        }
        lane
    }
}
