//! Who holds which buffer, after any series of steps: the pool against a kernel and a plain account of all loans.

use std::collections::{BTreeMap, VecDeque};
use std::{mem, thread};

use bytes::Bytes;
use proptest::collection::vec as vec_of;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;

use super::BufferPool;
use super::tests::{CANARY, Kernel, close, counts, pool};
use crate::buf::RecvBuf;

/// What may happen to a pool. Indices choose among the loans that there are.
#[derive(Debug, Clone)]
enum Step {
    Receive(Vec<u8>),
    Claim,
    Discard,
    Consume(Index, Index),
    Drop(Index),
    Share(Index),
    DropShared(Index),
    DropSharedElsewhere(Vec<Index>),
    Reclaim,
    Grow,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    vec_of(
        prop_oneof![
            8 => vec_of(1..CANARY, 0..=BYTES as usize).prop_map(Step::Receive),
            7 => Just(Step::Claim),
            1 => Just(Step::Discard),
            2 => (index(), index()).prop_map(|(loan, count)| Step::Consume(loan, count)),
            3 => index().prop_map(Step::Drop),
            3 => index().prop_map(Step::Share),
            2 => index().prop_map(Step::DropShared),
            2 => vec_of(index(), 1..4).prop_map(Step::DropSharedElsewhere),
            2 => Just(Step::Reclaim),
            1 => Just(Step::Grow),
        ],
        0..120,
    )
}

/// The pool, its kernel, and what is known of every buffer.
struct World {
    pool: BufferPool,
    kernel: Kernel,
    /// Completions that nobody has looked at, with their bytes.
    completed: VecDeque<(u16, Vec<u8>)>,
    loans: Vec<(RecvBuf, Vec<u8>)>,
    shared: Vec<(Bytes, Vec<u8>)>,
    /// How many were dropped as `Bytes`, and not reclaimed.
    returned: usize,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Receive(bytes) => {
                let available = self.kernel.available();
                match self.kernel.receive(&bytes) {
                    Some((bid, _)) => self.completed.push_back((bid, bytes)),
                    None => assert_eq!(available, 0),
                }
            }
            Step::Claim => {
                if let Some((bid, bytes)) = self.completed.pop_front() {
                    self.loans.push((self.pool.take(bid, bytes.len() as u32), bytes));
                }
            }
            Step::Discard => {
                if let Some((bid, bytes)) = self.completed.pop_front() {
                    drop(self.pool.take(bid, bytes.len() as u32));
                }
            }
            Step::Consume(which, count) if !self.loans.is_empty() => {
                let (loan, bytes) = which.get_mut(&mut self.loans);
                let count = count.index(bytes.len() + 1);
                loan.advance(count);
                bytes.drain(..count);
            }
            Step::Drop(which) if !self.loans.is_empty() => {
                drop(self.loans.swap_remove(which.index(self.loans.len())));
            }
            Step::Share(which) if !self.loans.is_empty() => {
                let (loan, bytes) = self.loans.swap_remove(which.index(self.loans.len()));
                let shared = loan.into_bytes();
                // An empty loan has ended at once.
                if !bytes.is_empty() {
                    self.shared.push((shared, bytes));
                }
            }
            Step::DropShared(which) if !self.shared.is_empty() => {
                drop(self.shared.swap_remove(which.index(self.shared.len())));
                self.returned += 1;
            }
            Step::DropSharedElsewhere(which) => {
                let mut gone = Vec::new();
                for which in which {
                    if !self.shared.is_empty() {
                        gone.push(self.shared.swap_remove(which.index(self.shared.len())));
                    }
                }
                self.returned += gone.len();
                thread::spawn(move || gone.iter().for_each(|(shown, bytes)| assert_eq!(shown, bytes))).join().unwrap();
            }
            Step::Reclaim => assert_eq!(self.pool.reclaim(), mem::take(&mut self.returned)),
            Step::Grow => {
                let total = self.pool.total();
                assert_eq!((self.pool.grow(), self.pool.total()), (total < CAP, CAP.min(total * 2)));
            }
            _ => {}
        }
    }

    /// Each buffer is the kernel's or lent, and never both; loans show what was received, whatever has happened since.
    fn check(&self) {
        let lent = self.loans.len() + self.shared.len() + self.returned;
        let provided = usize::from(self.kernel.available()) + self.completed.len();
        assert_eq!(counts(&self.pool), (provided, lent, provided + lent));
        self.loans.iter().for_each(|(shown, bytes)| assert_eq!(shown, bytes));
        self.shared.iter().for_each(|(shown, bytes)| assert_eq!(shown, bytes));
    }

    /// Everything comes back: every id is in the ring exactly once, at a place of its own.
    fn finish(mut self) {
        let total = self.pool.total();
        while let Some((bid, bytes)) = self.completed.pop_front() {
            drop(self.pool.take(bid, bytes.len() as u32));
        }
        self.loans.clear();
        self.shared.clear();
        self.pool.reclaim();
        assert_eq!(counts(&self.pool), (total, 0, total));
        let places: BTreeMap<u16, u64> =
            std::iter::from_fn(|| self.kernel.pick()).map(|buf| (buf.bid, buf.address)).collect();
        assert_eq!(places.keys().copied().collect::<Vec<_>>(), (0..total as u16).collect::<Vec<_>>());
        let mut addresses: Vec<_> = places.into_values().collect();
        addresses.sort_unstable();
        assert!(addresses.windows(2).all(|two| two[1] - two[0] >= u64::from(BYTES)), "buffers overlap");
        close(&self.pool);
    }
}

proptest! {
    #[test]
    fn each_buffer_is_the_kernels_or_lent_whatever_happens(initial in 1..=CAP as u16, steps in steps()) {
        let pool = pool(initial, CAP as u16, BYTES);
        let kernel = Kernel::of(&pool);
        let (completed, loans, shared) = (VecDeque::new(), Vec::new(), Vec::new());
        let mut world = World { pool, kernel, completed, loans, shared, returned: 0 };
        world.check();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.finish();
    }
}

/// The size of a buffer in the property test.
const BYTES: u32 = 24;

/// The most buffers in the property test.
const CAP: usize = 13;
