//! Operations that nobody waits for any more, and those that are asked to stop.
//!
//! A cancel is an entry like any other, pushed behind that of the op which it names: it can't come too early, and a full queue can't
//! refuse it.
#![allow(unsafe_code, reason = "the code of an op is called with a pointer to its slot")]

use crate::driver::lane::Lane;
use crate::driver::lifecycle::{AfterCancel, AfterDrop};
use crate::driver::slots::{OpKey, Slot};
use crate::driver::{Driver, shield};
use crate::kernel::Cqe;

impl Driver {
    /// The future of an op is dropped: nobody waits for the answer any more.
    pub(crate) fn abandon(&self, key: OpKey) {
        let Some(slot) = self.slots.get(key) else { return };
        let kind = slot.kind.get();
        let (stage, after) = slot.stage.get().dropped(kind.cancel_on_drop, kind.withdraw_on_drop);
        slot.stage.set(stage);
        let waker = slot.waker.take();
        match after {
            AfterDrop::Withdraw => {
                let lane = slot.lane.take();
                lane.expect("only an op in a lane is parked").withdraw(key);
                // SAFETY: the op is in its slot and no kernel has seen it; the call frees the slot.
                unsafe { (kind.withdraw)(&self.slots, key) }
            }
            AfterDrop::Cancel => self.push_cancel(key),
            AfterDrop::Nothing => {}
            // SAFETY: the op has ended (its final completion is here); the call frees the slot.
            AfterDrop::Discard => unsafe { (kind.discard)(&self.slots, key, slot.answer.get()) },
        }
        drop(waker);
        self.settle();
    }

    /// Asks the kernel to end an op. Its answer comes as ever: the true one if it was faster, else `ECANCELED`.
    pub(crate) fn cancel(&self, key: OpKey) {
        let Some(slot) = self.slots.get(key) else { return };
        let (stage, after) = slot.stage.get().cancelled();
        slot.stage.set(stage);
        match after {
            AfterCancel::Cancel => self.push_cancel(key),
            AfterCancel::Withdraw => self.end_parked(key, slot),
            AfterCancel::Nothing => {}
        }
        self.settle();
    }

    /// Asks the kernel to end the op that has the lane.
    pub fn cancel_active(&self, lane: &Lane) {
        if let Some(key) = lane.active_of(self.id) {
            self.cancel(key);
        }
    }

    /// Ends the ops of the lane that have not begun.
    pub fn cancel_parked(&self, lane: &Lane) {
        for key in lane.parked_of(self.id) {
            self.cancel(key);
        }
    }

    /// Ends a parked op without the kernel.
    fn end_parked(&self, key: OpKey, slot: &Slot) {
        if let Some(lane) = slot.lane.take() {
            lane.withdraw(key);
        }
        slot.stage.set(slot.stage.get().start_comes());
        // SAFETY: the op is in its slot, it is busy on our behalf, and no kernel has seen it.
        shield(|| unsafe { (slot.kind.get().release)(slot.memory()) });
        // Its lane goes on as if it had never been there.
        let _ = self.end(key, slot, Cqe::made_up(-libc::ECANCELED));
    }
}
