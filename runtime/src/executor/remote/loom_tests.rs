//! The real code, under every interleaving that matters:
//! `RUSTFLAGS="--cfg loom" cargo test -p quoit-runtime --release --lib loom_`.

use loom::sync::{Arc, Notify};
use loom::thread;

use super::*;

/// Wakers on threads of their own, and the owner's loop: drain, and if something is missing go to sleep. `bell` stands
/// for the doorbell and the kernel's wait; a wake that is lost leaves the owner asleep, which loom reports.
fn every_wake_is_seen(wakers: &'static [u32]) {
    check(wakers, Remote::prepare_sleep);
}

fn check(wakers: &'static [u32], prepare_sleep: fn(&Remote) -> bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let remote = Arc::new(Remote::new());
        remote.grow_to(FIRST_TASK);
        let bell = Arc::new(Notify::new());
        let threads: Vec<_> = wakers
            .iter()
            .map(|index| {
                let (remote, bell) = (Arc::clone(&remote), Arc::clone(&bell));
                thread::spawn(move || {
                    if remote.must_ring_for(*index) {
                        bell.notify();
                    }
                })
            })
            .collect();
        let mut missing = wakers.to_vec();
        loop {
            remote.drain(|index| missing.retain(|other| *other != index));
            if missing.is_empty() {
                break;
            }
            if prepare_sleep(&remote) {
                bell.wait();
                remote.woke_up();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn loom_a_wake_always_ends_the_sleep() {
    every_wake_is_seen(&[2]);
}

#[test]
fn loom_two_wakes_of_one_word_are_both_seen() {
    every_wake_is_seen(&[2, 3]);
}

#[test]
fn loom_two_wakes_of_two_words_are_both_seen() {
    every_wake_is_seen(&[2, 70]);
}

#[test]
fn loom_a_task_woken_twice_is_seen() {
    every_wake_is_seen(&[2, 2]);
}

/// The instrument sees a planted fault: an owner that does not look once more before it sleeps.
#[test]
#[should_panic(expected = "deadlock")]
fn loom_finds_a_lost_wake() {
    check(&[2], |remote| {
        remote.sleeping.swap(true, Ordering::AcqRel);
        true
    });
}
