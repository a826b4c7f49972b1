//! Cancelling: a race, in which all outcomes are possible that a kernel allows.

use crate::kernel::sim::files::FileId;
use crate::kernel::sim::perform::Verdict;
use crate::kernel::sim::ring::{MORE, RingId};
use crate::kernel::sim::state::State;

impl State {
    /// Cancels what is meant, and answers as the kernel does.
    pub(super) fn cancel(&mut self, ring: RingId, user_data: u64, flags: u32, target: Option<FileId>) -> i32 {
        let (by_file, any) = (flags & BY_FILE != 0, flags & ANY != 0);
        let is_meant = |of: &super::ring::Operation| match (any, by_file) {
            (true, _) => true,
            (false, true) => of.file.is_some() && of.file == target,
            (false, false) => of.entry.user_data == user_data,
        };
        let meant = self.rings[ring].operations.iter().filter(|operation| is_meant(operation));
        let mut names: Vec<u64> = meant.map(|operation| operation.name).collect();
        let is_one = flags & (ALL | ANY) == 0;
        if is_one {
            names.truncate(1);
        }
        let (mut cancelled, mut answer) = (0, -libc::ENOENT);
        for name in names {
            match self.cancel_one(ring, name) {
                0 => cancelled += 1,
                refused => answer = refused,
            }
        }
        match (is_one, cancelled) {
            (true, 0) => answer,
            (true, _) => 0,
            (false, count) => count,
        }
    }

    fn cancel_one(&mut self, ring: RingId, name: u64) -> i32 {
        let is_doomed = self.rings[ring].is_doomed;
        let race = if is_doomed { NO_RACE } else { self.rng.below(8) };
        let Some(index) = self.rings[ring].operations.iter().position(|operation| operation.name == name) else {
            return -libc::ENOENT;
        };
        // A disk at work finishes what it has begun.
        let is_at_work = self.rings[ring].operations[index].entry.is_slow() && !is_doomed;
        if is_at_work || race == 0 {
            self.rings[ring].operations[index].is_stopping = true;
            self.plan(ring, name);
            return -libc::EALREADY;
        }
        let mut operation = self.rings[ring].operations.remove(index);
        if race == 1 {
            // It may just have come to its end.
            match self.perform(ring, &mut operation) {
                Verdict::Done(result, flags) => {
                    self.end(ring, operation, result, flags);
                    return -libc::ENOENT;
                }
                Verdict::More(result, flags) => self.post(ring, &operation.entry, result, flags | MORE),
                Verdict::Wait => {}
            }
        }
        let answer = self.broken_off(&mut operation);
        self.end(ring, operation, answer, 0);
        0
    }
}

/// `IORING_ASYNC_CANCEL_ALL`, `IORING_ASYNC_CANCEL_FD`, `IORING_ASYNC_CANCEL_ANY`.
const ALL: u32 = 1;
const BY_FILE: u32 = 1 << 1;
const ANY: u32 = 1 << 2;
/// The plain outcome.
const NO_RACE: u64 = u64::MAX;
