//! What a dump is told of the operations: what each is, and who waits for it.
#![allow(unsafe_code, reason = "asks ops in their slots what they are about")]

use crate::driver::Driver;
use crate::driver::lane::Lane;
use crate::driver::lifecycle::Stage;
use crate::driver::slots::Slot;
use crate::executor::waker::TaskKey;
use crate::op::Description;

/// An operation that somebody may wait for.
pub(crate) struct Report {
    pub(crate) name: &'static str,
    pub(crate) description: Description,
    /// It waits behind others of its lane.
    pub(crate) is_parked: bool,
    /// The tasks whose wakers are known to the driver. Those that wait in the queue of a socket know of the description.
    pub(crate) tasks: Vec<TaskKey>,
}

impl Driver {
    /// All operations that have not ended. Nothing is borrowed when it returns, and no code of users' runs.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let slots = self.slots.keys().into_iter().filter_map(|key| self.slots.get(key));
        slots.filter_map(Self::report).collect()
    }

    fn report(slot: &Slot) -> Option<Report> {
        let kind = slot.kind.get();
        let stage = slot.stage.get();
        let description = match stage {
            Stage::Vacant | Stage::Done => return None,
            // Its own code is running, and has the memory.
            Stage::Busy(_) => Description::default(),
            // SAFETY: the op is in its slot, its code is not running, and `describe` only reads what the op's owner side
            // has written.
            Stage::Parked { .. } | Stage::InKernel(_) => unsafe { (kind.describe)(slot.memory()) },
        };
        let is_parked = matches!(stage, Stage::Parked { .. });
        Some(Report { name: kind.name, description, is_parked, tasks: waiting_tasks(slot) })
    }
}

/// Who waits for the op's own answer, and who for the end of everything in its lane.
fn waiting_tasks(slot: &Slot) -> Vec<TaskKey> {
    let waker = slot.waker.take();
    let task = waker.as_ref().and_then(TaskKey::of_waker);
    slot.waker.set(waker);
    let mut tasks: Vec<_> = task.into_iter().collect();
    if let Stage::InKernel(_) = slot.stage.get() {
        let lane = slot.lane.take();
        tasks.extend(lane.iter().flat_map(Lane::waiting_tasks));
        slot.lane.set(lane);
    }
    tasks
}
