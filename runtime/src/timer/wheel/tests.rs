//! The corners of the wheel, one by one. The clock is made up.

mod history;

use std::collections::VecDeque;

use super::list::List;
use super::{LEVELS, LISTS, SLOTS, Wheel, place};
use history::Model;

/// Looks at every list and asserts what must be true between any two calls.
fn assert_sound<T>(wheel: &Wheel<T>) {
    let mut waiting = 0;
    for list in 0..LISTS {
        let is_occupied = wheel.occupied[list / SLOTS] >> (list % SLOTS) & 1 == 1;
        let sequences = wheel.lists[list].assert_sound();
        assert_eq!(!sequences.is_empty(), is_occupied);
        for (deadline, _) in wheel.lists[list].entries() {
            let belongs = place(wheel.elapsed, wheel.tick_of(deadline));
            if wheel.draining == Some(list) {
                assert!(belongs / SLOTS < list / SLOTS);
            } else {
                assert_eq!(belongs, list);
            }
        }
        waiting += sequences.len();
    }
    assert_eq!(waiting, wheel.len);
}

/// Advances to `now` until nothing is due, `limit` at a time, and gives all that fired.
fn advance_all<T>(wheel: &mut Wheel<T>, now: u64, limit: usize) -> Vec<T> {
    let mut fired = Vec::new();
    while wheel.advance(now, limit, &mut fired) {}
    fired
}

#[test]
fn an_empty_wheel_has_nothing_to_do() {
    let mut wheel = Wheel::<u8>::new(0);
    let mut fired = Vec::new();
    assert_eq!(wheel.next_time(), None);
    assert!(!wheel.advance(u64::MAX, 1, &mut fired));
    assert_eq!((fired.len(), wheel.len(), wheel.is_empty(), wheel.next_time()), (0, 0, true, None));
}

#[test]
fn equal_deadlines_fire_in_insertion_order_whatever_the_levels_they_came_through() {
    let deadline = 3 * 64 * 64 + 2 * 64 + 1;
    let mut wheel = Wheel::new(0);
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
    let mut wheel = Wheel::new(0);
    assert!(advance_all(&mut wheel, 1000, 9).is_empty());
    wheel.insert(1001, "later");
    wheel.insert(1000, "now");
    wheel.insert(0, "long ago");
    assert_eq!(wheel.next_time(), Some(1000));
    assert_eq!(advance_all(&mut wheel, 1000, 9), ["now", "long ago"]);
    assert_eq!(wheel.next_time(), Some(1001));
}

#[test]
fn a_clock_that_goes_back_counts_as_standing() {
    let mut wheel = Wheel::new(0);
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
            let mut wheel = Wheel::new(0);
            wheel.insert(deadline, ());
            assert!(advance_all(&mut wheel, deadline - 1, 1).is_empty(), "fired before {deadline}");
            assert_eq!(wheel.next_time(), Some(deadline));
            assert_eq!(advance_all(&mut wheel, deadline, 1).len(), 1, "did not fire at {deadline}");
        }
    }
}

#[test]
fn the_last_tick_of_all_is_reached() {
    let mut wheel = Wheel::new(0);
    wheel.insert(u64::MAX, "end");
    wheel.insert(u64::MAX - 1, "before");
    assert_eq!(advance_all(&mut wheel, u64::MAX - 1, 1), ["before"]);
    assert_eq!(advance_all(&mut wheel, u64::MAX, 1), ["end"]);
    wheel.insert(7, "after");
    assert_eq!(advance_all(&mut wheel, u64::MAX, 1), ["after"]);
}

#[test]
fn following_next_time_reaches_a_deadline_in_one_step_a_level() {
    let mut wheel = Wheel::new(0);
    wheel.insert(u64::MAX, ());
    wheel.insert(u64::MAX, ());
    let (mut fired, mut steps, mut now) = (Vec::new(), 0, 0);
    while let Some(tick) = wheel.next_time() {
        assert!(steps == 0 || tick > now, "a sleep until {tick} would be a busy loop");
        now = tick;
        assert!(!wheel.advance(now, 2, &mut fired));
        steps += 1;
    }
    assert_eq!((fired.len(), steps, now), (2, LEVELS, u64::MAX));
}

#[test]
fn an_entry_that_is_alone_in_its_slot_is_reached_in_one_step() {
    let mut wheel = Wheel::new(4);
    let far = (1_u64 << 40) + (1 << 20);
    wheel.insert(far - 5, "first");
    wheel.insert(3 * far, "second");
    assert_eq!((wheel.next_time(), wheel.next_batch(), wheel.earliest()), (Some(far), Some(far), Some(far)));
    assert!(advance_all(&mut wheel, 2 * 64 * 16, 1).is_empty());
    // One more in the slot, which has to be told from it.
    let near = wheel.insert(far - 20, "before");
    assert_sound(&wheel);
    assert!(wheel.next_time() < Some(far - 16) && wheel.earliest() == Some(far - 16));
    assert_eq!(wheel.cancel(near, far - 20), Some("before"));
    assert_eq!(wheel.next_time(), Some(far));
    assert_eq!(advance_all(&mut wheel, far, 1), ["first"]);
    assert_sound(&wheel);
    assert_eq!(wheel.next_time(), Some(3 * far));
    assert_eq!(advance_all(&mut wheel, u64::MAX, 1), ["second"]);
}

#[test]
fn whoever_sleeps_for_entries_in_nearly_every_tick_is_woken_once_for_several() {
    let batch = |ticks: &[u64]| {
        let mut wheel = Wheel::new(4);
        for tick in ticks {
            wheel.insert(tick * 16, ());
        }
        assert_eq!(wheel.next_time(), Some(ticks[0] * 16));
        wheel.next_batch().map(|time| time / 16)
    };
    let dense = [2, 3, 4, 6, 7, 9];
    assert_eq!(batch(&dense), Some(9));
    assert_eq!(batch(&dense[..5]), Some(2), "five in eight ticks are woken for one by one");
    assert_eq!(batch(&[2, 2, 2, 2, 2, 2, 2]), Some(2), "those of one tick are");
    assert_eq!(batch(&[64, 65, 66, 67, 68, 69, 70]), Some(64), "nobody knows them apart yet");
    // At the end of a level the next one tells.
    let mut beyond = vec![60, 61, 62, 63];
    assert_eq!(batch(&beyond), Some(60));
    beyond.extend(64..128);
    assert_eq!(batch(&beyond), Some(67));
    let mut wheel = Wheel::<()>::new(4);
    assert_eq!(wheel.next_batch(), None);
    wheel.insert(u64::MAX, ());
    assert_eq!(advance_all(&mut wheel, u64::MAX - 1, 1), []);
    assert_eq!(wheel.next_batch(), None, "time has ended before");
}

#[test]
fn a_hundred_thousand_entries_fire_once_each_and_in_order() {
    const COUNT: usize = 100_000;
    let (mut wheel, mut expected) = (Wheel::new(0), Vec::new());
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
    let (mut wheel, mut model) = (Wheel::new(0), Model::default());
    let first = model.insert(&mut wheel, START + 5);
    for number in 0..1000 {
        model.insert(&mut wheel, START + number % 200);
    }
    // One advance moves at most four entries and fires none of them.
    assert!(model.advance(&mut wheel, START + 300, 1));
    assert_eq!((wheel.len(), wheel.elapsed, wheel.draining), (1001, START, Some(2 * SLOTS + 1)));
    assert_eq!(wheel.next_time(), Some(START));
    // Same span, the past, and beyond the span.
    for deadline in [START + 5, START, 3, START + 64 * 64, START + 199] {
        model.insert(&mut wheel, deadline);
        model.check(&mut wheel);
    }
    assert_eq!(wheel.cancel(first, START + 5), Some(0));
    assert_eq!(model.waiting.remove(&(START + 5, 0)), Some((first, START + 5)));
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
    let mut wheel = Wheel::new(0);
    let keys: Vec<_> = (0..6).map(|number| wheel.insert(64, number)).collect();
    let mut fired = Vec::new();
    assert!(wheel.advance(64, 1, &mut fired));
    assert_eq!((fired.len(), wheel.draining), (0, Some(SLOTS + 1)));
    for &key in &keys[4..] {
        assert!(wheel.cancel(key, 64).is_some());
    }
    assert_eq!(wheel.draining, None);
    assert_sound(&wheel);
    assert_eq!(advance_all(&mut wheel, 64, 1), [0, 1, 2, 3]);
}

#[test]
fn a_stale_key_never_touches_the_entry_that_has_come_into_its_place() {
    let mut wheel = Wheel::new(0);
    let fired = wheel.insert(1, "fired");
    assert_eq!(advance_all(&mut wheel, 1, 1), ["fired"]);
    let cancelled = wheel.insert(2, "cancelled");
    assert_eq!(wheel.cancel(cancelled, 2), Some("cancelled"));
    let live = wheel.insert(2, "live");
    assert_eq!([fired.position, cancelled.position, live.position], [0; 3]);
    for (stale, deadline) in [(fired, 1), (fired, 2), (cancelled, 2)] {
        assert_eq!(wheel.payload_mut(stale, deadline), None);
        assert_eq!(wheel.cancel(stale, deadline), None);
        assert_ne!(stale, live);
    }
    *wheel.payload_mut(live, 2).expect("the entry waits") = "changed";
    assert_eq!((wheel.cancel(live, 2), wheel.cancel(live, 2)), (Some("changed"), None));
    assert!(wheel.is_empty());
}

#[test]
fn cycling_through_insert_and_cancel_or_fire_does_not_grow_the_wheel() {
    let mut wheel = Wheel::new(0);
    let mut fired = Vec::new();
    for now in 0..10_000_u64 {
        let key = wheel.insert(now + 30_000, now);
        wheel.insert(now + 1, now);
        assert_eq!(wheel.cancel(key, now + 30_000), Some(now));
        assert!(!wheel.advance(now + 1, 8, &mut fired));
    }
    assert_eq!((fired.len(), wheel.len()), (10_000, 0));
    assert_sound(&wheel);
    // Memory for each of the two that waited at a time.
    let rooms = (wheel.lists[wheel.emptied].room(), wheel.spares.rooms());
    assert_eq!(rooms, (4, vec![4]));
    assert_eq!(wheel.lists.iter().map(List::room).sum::<usize>(), 4);
}

#[test]
fn many_that_wait_long_and_are_cancelled_soon_do_not_grow_the_wheel() {
    const MOST: usize = 100;
    const FAR: u64 = 1_000_000;
    let (mut wheel, mut keys) = (Wheel::new(0), VecDeque::new());
    let slot = place(0, FAR);
    // One outlives them all, so that the blanks do not just fall off at the front.
    let first = wheel.insert(FAR, 0);
    let mut most = 0;
    for number in 1..10_000 {
        keys.push_back(wheel.insert(FAR, number));
        if keys.len() > MOST {
            let key = keys.pop_front().expect("there are many");
            assert_eq!(wheel.cancel(key, FAR), Some(number - MOST as u64));
        }
        most = most.max(wheel.lists[slot].room());
    }
    assert_sound(&wheel);
    assert_eq!(wheel.len(), MOST + 1);
    assert!(most <= 512, "room for {most} entries");
    assert_eq!(wheel.cancel(first, FAR), Some(0));
    assert_eq!(advance_all(&mut wheel, FAR, 7).len(), MOST);
}

#[test]
fn other_ticks_keep_the_keys_and_the_order_of_insertion() {
    // Sixteen of the unit of time are a coarse tick.
    let mut wheel = Wheel::new(4);
    let deadlines = [1000, 17, 1001, 16, 17, 100_000, 31, 1000];
    let keys = deadlines.map(|deadline: u64| wheel.insert(deadline, deadline));
    assert_eq!(wheel.next_time(), Some(16));
    assert_eq!(advance_all(&mut wheel, 31, 10), [16]);
    assert_eq!(wheel.cancel(keys[5], 100_000), Some(100_000));
    wheel.rescale(16, 0);
    assert_sound(&wheel);
    assert_eq!((wheel.len(), wheel.next_time()), (6, Some(17)));
    assert_eq!(advance_all(&mut wheel, 17, 10), [17, 17]);
    assert_eq!(wheel.cancel(keys[6], 31), Some(31));
    let late = wheel.insert(18, 18);
    // And back again, in the middle of a coarse tick.
    wheel.rescale(17, 4);
    assert_sound(&wheel);
    assert_eq!((wheel.next_time(), wheel.payload_mut(late, 18)), (Some(32), Some(&mut 18)));
    assert_eq!(advance_all(&mut wheel, 1008, 10), [18, 1000, 1001, 1000]);
    assert!(wheel.is_empty());
}

#[test]
fn those_that_are_overdue_when_the_ticks_change_fire_in_the_order_of_their_deadlines_and_can_be_cancelled() {
    let mut wheel = Wheel::new(4);
    let deadlines = [300, 100, 290, 101, 100, 500];
    let keys = deadlines.map(|deadline: u64| wheel.insert(deadline, deadline));
    wheel.rescale(400, 0);
    assert_sound(&wheel);
    assert_eq!((wheel.earliest(), wheel.next_time()), (Some(100), Some(100)));
    assert_eq!(wheel.cancel(keys[2], 290), Some(290));
    assert_eq!(advance_all(&mut wheel, 400, 1), [100, 100, 101, 300]);
    assert_eq!(wheel.earliest(), Some(500));
}

#[test]
fn payloads_are_dropped_with_the_wheel_and_not_before() {
    let payload = std::rc::Rc::new(());
    let mut wheel = Wheel::new(0);
    let key = wheel.insert(1, payload.clone());
    wheel.insert(1 << 40, payload.clone());
    wheel.insert(2, payload.clone());
    assert_eq!(std::rc::Rc::strong_count(&payload), 4);
    drop(wheel.cancel(key, 1));
    assert_eq!(std::rc::Rc::strong_count(&payload), 3);
    assert_eq!(advance_all(&mut wheel, 2, 1).len(), 1);
    assert_eq!(std::rc::Rc::strong_count(&payload), 2);
    drop(wheel);
    assert_eq!(std::rc::Rc::strong_count(&payload), 1);
}
