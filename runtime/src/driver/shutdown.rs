//! The end of a driver: cancel everything, drain what answers, leak what does not.
//!
//! Closing a ring is no barrier: the kernel goes on writing into the buffers of operations in flight for milliseconds after
//! `close(2)` has returned. So the ring is closed only when every operation has had its final completion (I4). What the
//! kernel does not give back in time (a hung network file system) is leaked with everything that it may touch, and
//! reported.
#![allow(unsafe_code, reason = "the kernel's side of the pools ends, and ops that are leaked are asked for their size")]

use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use io_uring::{opcode, types};

use crate::driver::lifecycle::Stage;
use crate::driver::slots::CANCEL;
use crate::driver::{Driver, shield};
use crate::kernel::{Sqe, Wait};
use crate::timer::Instant;

/// What became of the operations.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// How many entries were with the kernel when shutdown began.
    pub(crate) cancelled: usize,
    /// The names of the operations that the kernel did not give back.
    pub(crate) leaked: Vec<&'static str>,
    /// How much memory these hold.
    pub(crate) leaked_bytes: usize,
}

impl Driver {
    /// Ends everything, within the deadline. Nothing is taken from here on; answers are still given to futures that live.
    pub(crate) fn shut_down(self: &Rc<Self>, deadline: Duration) -> Drained {
        if self.closed.replace(true) {
            return Drained::default();
        }
        // A deadline that no clock can show is never.
        let end = Instant::of_machine() + deadline;
        let cancelled = self.in_kernel.get();
        self.drain(end);
        let mut drained = Drained { cancelled, ..Drained::default() };
        if self.in_kernel.get() == 0 {
            self.close_ring();
        } else {
            self.leak(&mut drained);
        }
        drained
    }

    fn drain(&self, end: Instant) {
        // The first round submits what was pushed before, so that the cancel finds it in the kernel. What is idle is given
        // back by the second, whatever the deadline is.
        self.turn(Wait::No);
        self.push_cancel_all();
        self.turn(Wait::No);
        // By the machine's clock, as the deadline: the runtime's may stand.
        let grace = Instant::of_machine() + GRACE;
        let mut has_aborted = false;
        while self.in_kernel.get() + self.closing.get() > 0 || self.watching.get() || self.has_staged() {
            let left = end.saturating_duration_since(Instant::of_machine());
            if left.is_zero() {
                break;
            }
            if !has_aborted && Instant::of_machine() >= grace {
                has_aborted = true;
                self.abort_all();
            }
            // Again and again: an op may have been on its way into the kernel when the last cancel came by.
            self.push_cancel_all();
            self.turn(Wait::For(left.min(PATIENCE)));
        }
    }

    /// What a cancel does not end: zero-copy sends whose peers take nothing.
    fn abort_all(&self) {
        for key in self.slots.keys() {
            let Some(slot) = self.slots.get(key) else { continue };
            if let Stage::InKernel(_) = slot.stage.get() {
                // SAFETY: the op is in its slot, its code is not running, and `abort` touches nothing that an entry names.
                shield(|| unsafe { (slot.kind.get().abort)(slot.memory()) });
            }
        }
    }

    fn push_cancel_all(&self) {
        let entry = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        self.push(Sqe::from(entry).keyed(CANCEL).silent());
    }

    fn close_ring(&self) {
        let Some(mut kernel) = self.kernel.borrow_mut().take() else { return };
        // The kernel takes its time to end a ring, and the files would stay open as long.
        self.files.close(&mut kernel);
        // SAFETY: every op has had its final completion.
        unsafe { self.pools.close(&mut kernel) };
    }

    /// Keeps everything that the kernel may still touch, for ever: the ring, the slots with the ops in them, the buffers.
    fn leak(self: &Rc<Self>, drained: &mut Drained) {
        for pool in self.pools.made() {
            pool.leak();
        }
        // What is in flight keeps its files open, and nothing is submitted any more.
        if let Some(kernel) = self.kernel.borrow_mut().as_mut() {
            self.files.close(kernel);
        }
        // Kept reachable, so that a leak checker tells our leaks from others.
        let driver = Rc::into_raw(Rc::clone(self));
        LEAKED.lock().unwrap_or_else(PoisonError::into_inner).push(driver as usize);
        for key in self.slots.keys() {
            let Some(slot) = self.slots.get(key) else { continue };
            if let Stage::InKernel(_) = slot.stage.get() {
                drained.leaked.push(slot.kind.get().name);
                // SAFETY: the op is in its slot, and `bytes` only reads what the op's owner side has written.
                shield(|| drained.leaked_bytes += unsafe { (slot.kind.get().bytes)(slot.memory()) });
            }
        }
    }
}

/// How long one wait of the drain lasts at most, before the cancel is repeated.
const PATIENCE: Duration = Duration::from_millis(10);

/// How long a shutdown waits for what can't be cancelled before it ends that by force.
const GRACE: Duration = Duration::from_millis(50);

/// The drivers that could not be drained.
static LEAKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
