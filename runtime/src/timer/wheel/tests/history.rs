//! The wheel against a model, through any history.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::assert_sound;
use crate::timer::wheel::{TimerKey, Wheel};

/// What the wheel must do, as an ordered map: the tick an entry counts for, then the order of insertion.
#[derive(Default)]
pub(super) struct Model {
    pub(super) waiting: BTreeMap<(u64, u64), Inserted>,
    gone: Vec<Inserted>,
    inserted: u64,
}

/// What whoever waits knows of its entry: the key, and the deadline.
type Inserted = (TimerKey, u64);

impl Model {
    /// Inserts into both; the payload is the number of the insertion.
    pub(super) fn insert(&mut self, wheel: &mut Wheel<u64>, deadline: u64) -> TimerKey {
        let counted = deadline.max(wheel.elapsed);
        let key = wheel.insert(deadline, self.inserted);
        self.waiting.insert((counted, self.inserted), (key, deadline));
        self.inserted += 1;
        key
    }

    /// Cancels the `nth` waiting entry, or a gone one if none waits.
    fn cancel(&mut self, wheel: &mut Wheel<u64>, nth: usize) {
        let Some(&place) = self.waiting.keys().nth(nth % self.waiting.len().max(1)) else { return };
        let (key, deadline) = self.waiting.remove(&place).expect("the key was just listed");
        assert_eq!(wheel.payload_mut(key, deadline), Some(&mut place.1.clone()));
        assert_eq!(wheel.cancel(key, deadline), Some(place.1));
        self.gone.push((key, deadline));
    }

    /// Advances both once and compares what fired.
    pub(super) fn advance(&mut self, wheel: &mut Wheel<u64>, now: u64, limit: usize) -> bool {
        let now = now.max(wheel.elapsed);
        let mut fired = Vec::new();
        let more = wheel.advance(now, limit, &mut fired);
        assert!(fired.len() <= limit);
        for payload in fired {
            let ((tick, expected), key) =
                self.waiting.pop_first().expect("an entry fired that the model does not hold");
            assert_eq!(payload, expected);
            assert!(tick <= now, "an entry for {tick} fired at {now}");
            self.gone.push(key);
        }
        let due = self.waiting.first_key_value().is_some_and(|(&(tick, _), _)| tick <= now);
        assert!(more || !due, "the wheel said that it was done, but an entry is due");
        assert_eq!(more, wheel.next_time().is_some_and(|tick| tick <= now));
        more
    }

    /// Compares all that can be seen, then looks inside the wheel.
    pub(super) fn check(&self, wheel: &mut Wheel<u64>) {
        assert_eq!(wheel.len(), self.waiting.len());
        assert_eq!(wheel.is_empty(), self.waiting.is_empty());
        let earliest = self.waiting.first_key_value().map(|(&(tick, _), _)| tick);
        assert_eq!(wheel.next_time().is_some(), earliest.is_some());
        assert_eq!(wheel.earliest(), earliest);
        assert!(wheel.next_time() <= earliest, "whoever sleeps until next_time sleeps past a deadline");
        self.gone.iter().rev().take(LATELY).for_each(|gone| assert_gone(wheel, *gone));
        assert_sound(wheel);
    }
}

/// A key that names no entry any more finds none.
fn assert_gone(wheel: &mut Wheel<u64>, (key, deadline): Inserted) {
    assert_eq!(wheel.payload_mut(key, deadline), None);
    assert_eq!(wheel.cancel(key, deadline), None);
}

/// How many keys that are gone are looked at after each step; all of them are at the end.
const LATELY: usize = 16;

#[derive(Clone, Debug)]
enum Step {
    /// A deadline so far from the wheel's clock.
    Insert {
        ahead: u64,
    },
    /// The same deadline many times.
    InsertMany {
        ahead: u64,
        count: u64,
    },
    /// A deadline without regard to the clock.
    InsertAt {
        deadline: u64,
    },
    Cancel {
        nth: usize,
    },
    /// Neighbours in the order of deadlines.
    CancelMany {
        nth: usize,
        count: usize,
    },
    /// One call, which may be cut short by its bound.
    Advance {
        by: u64,
        limit: usize,
    },
    /// Calls until nothing is due.
    AdvanceAll {
        by: u64,
        limit: usize,
    },
    /// To the tick that the wheel asks for.
    AdvanceToNext {
        limit: usize,
    },
}

/// A distance of any magnitude, small ones as likely as huge ones.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..200_u64,
        2 => (0..64_u32, any::<u64>()).prop_map(|(bits, value)| value >> bits),
        1 => (0..11_u32, 0..4_u64).prop_map(|(digit, near)| (1_u64 << (digit * 6)).wrapping_add(near).wrapping_sub(2)),
    ]
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), 1..10_usize, Just(usize::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => distance().prop_map(|ahead| Step::Insert { ahead }),
        2 => (distance(), 2..40_u64).prop_map(|(ahead, count)| Step::InsertMany { ahead, count }),
        1 => distance().prop_map(|deadline| Step::InsertAt { deadline }),
        4 => any::<usize>().prop_map(|nth| Step::Cancel { nth }),
        1 => (any::<usize>(), 2..60_usize).prop_map(|(nth, count)| Step::CancelMany { nth, count }),
        3 => (distance(), limit()).prop_map(|(by, limit)| Step::Advance { by, limit }),
        1 => (distance(), limit()).prop_map(|(by, limit)| Step::AdvanceAll { by, limit }),
        4 => limit().prop_map(|limit| Step::AdvanceToNext { limit }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_agrees_with_an_ordered_map(steps in prop::collection::vec(step(), 1..150)) {
        let (mut wheel, mut model) = (Wheel::new(0), Model::default());
        for step in steps {
            let elapsed = wheel.elapsed;
            match step {
                Step::Insert { ahead } => {
                    model.insert(&mut wheel, elapsed.saturating_add(ahead));
                }
                Step::InsertMany { ahead, count } => {
                    for _ in 0..count {
                        model.insert(&mut wheel, elapsed.saturating_add(ahead));
                    }
                }
                Step::InsertAt { deadline } => {
                    model.insert(&mut wheel, deadline);
                }
                Step::Cancel { nth } => model.cancel(&mut wheel, nth),
                Step::CancelMany { nth, count } => {
                    (0..count).for_each(|_| model.cancel(&mut wheel, nth));
                }
                Step::Advance { by, limit } => {
                    model.advance(&mut wheel, elapsed.saturating_add(by), limit);
                }
                Step::AdvanceAll { by, limit } => {
                    while model.advance(&mut wheel, elapsed.saturating_add(by), limit) {}
                    prop_assert_eq!(wheel.elapsed, elapsed.saturating_add(by));
                }
                Step::AdvanceToNext { limit } => {
                    if let Some(tick) = wheel.next_time() {
                        model.advance(&mut wheel, tick, limit);
                    }
                }
            }
            model.check(&mut wheel);
        }
        model.gone.iter().for_each(|gone| assert_gone(&mut wheel, *gone));
        while model.advance(&mut wheel, u64::MAX, 7) {}
        prop_assert!(model.waiting.is_empty());
        model.check(&mut wheel);
    }
}
