//! The way home for buffers whose loan ends on another thread, or after the pool: a list of ids behind a lock.
//!
//! A buffer is pushed at most once before it is drained, as it has one loan (I6); so the list is bounded by the number of
//! buffers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The ids that have come back. Shared by the pool and every loan that may leave its thread.
#[derive(Debug, Default)]
pub(super) struct Returns {
    /// Whether there are any: written with the lock held only, read by the owner without.
    some: AtomicBool,
    bids: Mutex<Vec<u16>>,
}

impl Returns {
    /// A loan has ended. Any thread.
    pub(super) fn push(&self, bid: u16) {
        // A thread that panicked with the lock held has left a list of ids all the same.
        let mut bids = self.bids.lock().unwrap_or_else(PoisonError::into_inner);
        bids.push(bid);
        // Relaxed: who sees it takes the lock; who doesn't, yet, looks again at its next turn.
        self.some.store(true, Ordering::Relaxed);
    }

    /// Hands out what has come back, if anything has; the owner's thread. No lock is held meanwhile.
    pub(super) fn drain(&self, receive: impl FnOnce(Vec<u16>)) {
        if !self.some.load(Ordering::Relaxed) {
            return;
        }
        let bids = {
            let mut bids = self.bids.lock().unwrap_or_else(PoisonError::into_inner);
            self.some.store(false, Ordering::Relaxed);
            std::mem::take(&mut *bids)
        };
        receive(bids);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_many_threads_push_is_drained_once() {
        let returns = Returns::default();
        let mut seen = Vec::new();
        thread::scope(|scope| {
            for base in [0, 100, 200] {
                let returns = &returns;
                scope.spawn(move || (base..base + 100).for_each(|bid| returns.push(bid)));
            }
            for _ in 0..50 {
                returns.drain(|bids| seen.extend(bids));
            }
        });
        returns.drain(|bids| seen.extend(bids));
        seen.sort_unstable();
        assert_eq!(seen, (0..300).collect::<Vec<_>>());
        returns.drain(|_| panic!("nothing has come back since"));
    }
}
