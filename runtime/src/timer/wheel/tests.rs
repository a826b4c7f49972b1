//! The wheel against a model, and its corners one by one. The clock is made up.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Entry, LEVELS, LISTS, List, NIL, SLOTS, TimerKey, Wheel, place};

/// What the wheel must do, as an ordered map: the tick an entry counts for, then the order of insertion.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<(u64, u64), TimerKey>,
    gone: Vec<TimerKey>,
    inserted: u64,
}

impl Model {
    /// Inserts into both; the payload is the number of the insertion.
    fn insert(&mut self, wheel: &mut Wheel<u64>, deadline: u64) -> TimerKey {
        let counted = deadline.max(wheel.elapsed);
        let key = wheel.insert(deadline, self.inserted);
        self.waiting.insert((counted, self.inserted), key);
        self.inserted += 1;
        key
    }

    /// Cancels the `nth` waiting entry, or a gone one if none waits.
    fn cancel(&mut self, wheel: &mut Wheel<u64>, nth: usize) {
        let Some(&place) = self.waiting.keys().nth(nth % self.waiting.len().max(1)) else { return };
        let key = self.waiting.remove(&place).expect("the key was just listed");
        assert_eq!(wheel.payload_mut(key), Some(&mut place.1.clone()));
        assert_eq!(wheel.cancel(key), Some(place.1));
        self.gone.push(key);
    }

    /// Advances both once and compares what fired.
    fn advance(&mut self, wheel: &mut Wheel<u64>, now: u64, limit: usize) -> bool {
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
        assert_eq!(more, wheel.next_tick().is_some_and(|tick| tick <= now));
        more
    }

    /// Compares all that can be seen, then looks inside the wheel.
    fn check(&self, wheel: &mut Wheel<u64>) {
        assert_eq!(wheel.len(), self.waiting.len());
        assert_eq!(wheel.is_empty(), self.waiting.is_empty());
        let earliest = self.waiting.first_key_value().map(|(&(tick, _), _)| tick);
        assert_eq!(wheel.next_tick().is_some(), earliest.is_some());
        assert_eq!(wheel.earliest(), earliest);
        assert!(wheel.next_tick() <= earliest, "whoever sleeps until next_tick sleeps past a deadline");
        for &key in &self.gone {
            assert_eq!(wheel.payload_mut(key), None);
            assert_eq!(wheel.cancel(key), None);
        }
        assert_sound(wheel);
    }
}

/// Walks every list and asserts what must be true between any two calls.
fn assert_sound<T>(wheel: &Wheel<T>) {
    let mut linked = 0;
    for list in 0..LISTS {
        let List { head, tail } = wheel.lists[list];
        assert_eq!(head == NIL, tail == NIL);
        assert_eq!(head != NIL, wheel.occupied[list / SLOTS] >> (list % SLOTS) & 1 == 1);
        let (mut index, mut prev) = (head, NIL);
        let mut last_of_deadline = BTreeMap::new();
        while index != NIL {
            let entry: &Entry<T> = &wheel.entries[index as usize];
            assert!(entry.payload.is_some());
            assert_eq!((usize::from(entry.list), entry.prev), (list, prev));
            let belongs = place(wheel.elapsed, entry.deadline);
            if wheel.draining == Some(list) {
                assert!(belongs / SLOTS < list / SLOTS);
            } else {
                assert_eq!(belongs, list);
            }
            let counted = entry.deadline.max(wheel.elapsed);
            assert!(last_of_deadline.insert(counted, entry.sequence) < Some(entry.sequence));
            linked += 1;
            prev = index;
            index = entry.next;
        }
        assert_eq!(prev, tail);
    }
    assert_eq!(linked, wheel.len);
    let (mut free, mut index) = (0, wheel.free);
    while index != NIL {
        assert!(wheel.entries[index as usize].payload.is_none());
        free += 1;
        index = wheel.entries[index as usize].next;
    }
    assert_eq!(linked + free, wheel.entries.len());
}

/// Advances to `now` until nothing is due, `limit` at a time, and gives all that fired.
fn advance_all<T>(wheel: &mut Wheel<T>, now: u64, limit: usize) -> Vec<T> {
    let mut fired = Vec::new();
    while wheel.advance(now, limit, &mut fired) {}
    fired
}

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
        3 => (distance(), limit()).prop_map(|(by, limit)| Step::Advance { by, limit }),
        1 => (distance(), limit()).prop_map(|(by, limit)| Step::AdvanceAll { by, limit }),
        4 => limit().prop_map(|limit| Step::AdvanceToNext { limit }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_agrees_with_an_ordered_map(steps in prop::collection::vec(step(), 1..150)) {
        let (mut wheel, mut model) = (Wheel::new(), Model::default());
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
                Step::Advance { by, limit } => {
                    model.advance(&mut wheel, elapsed.saturating_add(by), limit);
                }
                Step::AdvanceAll { by, limit } => {
                    while model.advance(&mut wheel, elapsed.saturating_add(by), limit) {}
                    prop_assert_eq!(wheel.elapsed, elapsed.saturating_add(by));
                }
                Step::AdvanceToNext { limit } => {
                    if let Some(tick) = wheel.next_tick() {
                        model.advance(&mut wheel, tick, limit);
                    }
                }
            }
            model.check(&mut wheel);
        }
        while model.advance(&mut wheel, u64::MAX, 7) {}
        prop_assert!(model.waiting.is_empty());
        model.check(&mut wheel);
    }
}

#[test]
fn an_empty_wheel_has_nothing_to_do() {
    let mut wheel = Wheel::<u8>::new();
    let mut fired = Vec::new();
    assert_eq!(wheel.next_tick(), None);
    assert!(!wheel.advance(u64::MAX, 1, &mut fired));
    assert_eq!((fired.len(), wheel.len(), wheel.is_empty(), wheel.next_tick()), (0, 0, true, None));
}

#[test]
fn equal_deadlines_fire_in_insertion_order_whatever_the_levels_they_came_through() {
    let deadline = 3 * 64 * 64 + 2 * 64 + 1;
    let mut wheel = Wheel::new();
    let mut fired = Vec::new();
    for (number, now) in [0, 0, 64, 64 * 64, 3 * 64 * 64, 3 * 64 * 64 + 2 * 64, deadline - 1].into_iter().enumerate() {
        assert!(!wheel.advance(now, 9, &mut fired));
        wheel.insert(deadline, number);
    }
    assert!(fired.is_empty());
    assert!(!wheel.advance(deadline, 9, &mut fired));
    assert_eq!(fired, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_deadline_in_the_past_fires_on_the_next_advance_even_if_the_clock_stands() {
    let mut wheel = Wheel::new();
    assert!(advance_all(&mut wheel, 1000, 9).is_empty());
    wheel.insert(1001, "later");
    wheel.insert(1000, "now");
    wheel.insert(0, "long ago");
    assert_eq!(wheel.next_tick(), Some(1000));
    assert_eq!(advance_all(&mut wheel, 1000, 9), ["now", "long ago"]);
    assert_eq!(wheel.next_tick(), Some(1001));
}

#[test]
fn a_clock_that_goes_back_counts_as_standing() {
    let mut wheel = Wheel::new();
    assert!(advance_all(&mut wheel, 1000, 9).is_empty());
    wheel.insert(1000, 0);
    wheel.insert(1001, 1);
    assert_eq!(advance_all(&mut wheel, 5, 9), [0]);
    assert_eq!(advance_all(&mut wheel, 1001, 9), [1]);
}

#[test]
fn no_entry_fires_a_tick_early_at_any_level() {
    for level in 0..LEVELS as u32 {
        for deadline in [1 << (level * 6), (1 << (level * 6)) + 1, 3 << (level * 6)] {
            let mut wheel = Wheel::new();
            wheel.insert(deadline, ());
            assert!(advance_all(&mut wheel, deadline - 1, 1).is_empty(), "fired before {deadline}");
            assert_eq!(wheel.next_tick(), Some(deadline));
            assert_eq!(advance_all(&mut wheel, deadline, 1).len(), 1, "did not fire at {deadline}");
        }
    }
}

#[test]
fn the_last_tick_of_all_is_reached() {
    let mut wheel = Wheel::new();
    wheel.insert(u64::MAX, "end");
    wheel.insert(u64::MAX - 1, "before");
    assert_eq!(advance_all(&mut wheel, u64::MAX - 1, 1), ["before"]);
    assert_eq!(advance_all(&mut wheel, u64::MAX, 1), ["end"]);
    wheel.insert(7, "after");
    assert_eq!(advance_all(&mut wheel, u64::MAX, 1), ["after"]);
}

#[test]
fn following_next_tick_reaches_a_deadline_in_one_step_a_level() {
    let mut wheel = Wheel::new();
    wheel.insert(u64::MAX, ());
    let (mut fired, mut steps, mut now) = (Vec::new(), 0, 0);
    while let Some(tick) = wheel.next_tick() {
        assert!(steps == 0 || tick > now, "a sleep until {tick} would be a busy loop");
        now = tick;
        assert!(!wheel.advance(now, 1, &mut fired));
        steps += 1;
    }
    assert_eq!((fired.len(), steps, now), (1, LEVELS, u64::MAX));
}

#[test]
fn a_hundred_thousand_entries_fire_once_each_and_in_order() {
    const COUNT: usize = 100_000;
    let (mut wheel, mut expected) = (Wheel::new(), Vec::new());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..COUNT {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let deadline = random % 3_000_000;
        wheel.insert(deadline, (deadline, number));
        expected.push((deadline, number));
    }
    expected.sort_unstable();
    assert_eq!(wheel.len(), COUNT);
    let mut fired = Vec::new();
    for now in (0..=3_000_000).step_by(1000) {
        while wheel.advance(now, 61, &mut fired) {}
        assert!(fired.last().is_none_or(|&(deadline, _)| deadline <= now));
    }
    assert_eq!(fired, expected);
    assert!(wheel.is_empty());
    assert_sound(&wheel);
}

#[test]
fn a_cascade_cut_short_keeps_the_order_of_what_is_inserted_and_cancelled_meanwhile() {
    const START: u64 = 64 * 64;
    let (mut wheel, mut model) = (Wheel::new(), Model::default());
    let first = model.insert(&mut wheel, START + 5);
    for number in 0..1000 {
        model.insert(&mut wheel, START + number % 200);
    }
    // One advance moves at most four entries and fires none of them.
    assert!(model.advance(&mut wheel, START + 300, 1));
    assert_eq!((wheel.len(), wheel.elapsed, wheel.draining), (1001, START, Some(2 * SLOTS + 1)));
    assert_eq!(wheel.next_tick(), Some(START));
    // Same span, the past, and beyond the span.
    for deadline in [START + 5, START, 3, START + 64 * 64, START + 199] {
        model.insert(&mut wheel, deadline);
        model.check(&mut wheel);
    }
    assert_eq!(wheel.cancel(first), Some(0));
    assert_eq!(model.waiting.remove(&(START + 5, 0)), Some(first));
    let mut calls = 0;
    while model.advance(&mut wheel, START + 300, 1) {
        model.check(&mut wheel);
        calls += 1;
    }
    assert!(calls >= 1003, "a call fires at most one");
    assert_eq!(wheel.len(), 1);
    assert_eq!(advance_all(&mut wheel, START + 64 * 64, 1), [1004]);
}

#[test]
fn cancelling_the_last_entry_of_a_draining_slot_ends_the_cascade() {
    let mut wheel = Wheel::new();
    let keys: Vec<_> = (0..6).map(|number| wheel.insert(64, number)).collect();
    let mut fired = Vec::new();
    assert!(wheel.advance(64, 1, &mut fired));
    assert_eq!((fired.len(), wheel.draining), (0, Some(SLOTS + 1)));
    for &key in &keys[4..] {
        assert!(wheel.cancel(key).is_some());
    }
    assert_eq!(wheel.draining, None);
    assert_sound(&wheel);
    assert_eq!(advance_all(&mut wheel, 64, 1), [0, 1, 2, 3]);
}

#[test]
fn a_stale_key_never_touches_the_entry_that_reuses_its_place() {
    let mut wheel = Wheel::new();
    let fired = wheel.insert(1, "fired");
    assert_eq!(advance_all(&mut wheel, 1, 1), ["fired"]);
    let cancelled = wheel.insert(2, "cancelled");
    assert_eq!(wheel.cancel(cancelled), Some("cancelled"));
    let live = wheel.insert(2, "live");
    assert_eq!([fired.index, cancelled.index, live.index], [0; 3]);
    for stale in [fired, cancelled] {
        assert_eq!(wheel.payload_mut(stale), None);
        assert_eq!(wheel.cancel(stale), None);
        assert_ne!(stale, live);
    }
    *wheel.payload_mut(live).expect("the entry waits") = "changed";
    assert_eq!((wheel.cancel(live), wheel.cancel(live)), (Some("changed"), None));
    assert!(wheel.is_empty());
}

#[test]
fn cycling_through_insert_and_cancel_or_fire_does_not_grow_the_wheel() {
    let mut wheel = Wheel::new();
    let mut fired = Vec::new();
    for now in 0..10_000_u64 {
        let key = wheel.insert(now + 30_000, now);
        wheel.insert(now + 1, now);
        assert_eq!(wheel.cancel(key), Some(now));
        assert!(!wheel.advance(now + 1, 8, &mut fired));
    }
    assert_eq!((fired.len(), wheel.entries.len(), wheel.len()), (10_000, 2, 0));
    assert_sound(&wheel);
}

#[test]
fn other_ticks_keep_the_keys_and_the_order_of_insertion() {
    // Payloads are deadlines in fine ticks; sixteen of those are a coarse one.
    let mut wheel = Wheel::new();
    let deadlines = [1000, 17, 1001, 16, 17, 100_000, 31, 1000];
    let keys = deadlines.map(|deadline: u64| wheel.insert(deadline.div_ceil(16), deadline));
    assert_eq!(advance_all(&mut wheel, 1, 10), [16]);
    assert_eq!(wheel.cancel(keys[5]), Some(100_000));
    wheel.rescale(16, |&deadline| deadline);
    assert_sound(&wheel);
    assert_eq!((wheel.len(), wheel.next_tick()), (6, Some(17)));
    assert_eq!(advance_all(&mut wheel, 17, 10), [17, 17]);
    assert_eq!(wheel.cancel(keys[6]), Some(31));
    let late = wheel.insert(18, 18);
    // And back again, in the middle of a coarse tick.
    wheel.rescale(1, |&deadline| deadline.div_ceil(16));
    assert_sound(&wheel);
    assert_eq!(wheel.payload_mut(late), Some(&mut 18));
    assert_eq!(advance_all(&mut wheel, 63, 10), [18, 1000, 1001, 1000]);
    assert!(wheel.is_empty());
}

#[test]
fn payloads_are_dropped_with_the_wheel_and_not_before() {
    let payload = std::rc::Rc::new(());
    let mut wheel = Wheel::new();
    let key = wheel.insert(1, payload.clone());
    wheel.insert(1 << 40, payload.clone());
    wheel.insert(2, payload.clone());
    assert_eq!(std::rc::Rc::strong_count(&payload), 4);
    drop(wheel.cancel(key));
    assert_eq!(std::rc::Rc::strong_count(&payload), 3);
    assert_eq!(advance_all(&mut wheel, 2, 1).len(), 1);
    assert_eq!(std::rc::Rc::strong_count(&payload), 2);
    drop(wheel);
    assert_eq!(std::rc::Rc::strong_count(&payload), 1);
}
