//! The real code, under every interleaving that matters:
//! `RUSTFLAGS="--cfg loom" cargo test -p quoit-runtime --release --lib loom_`.

use std::panic::Location;
use std::task::{Context, Poll, Waker};

use loom::sync::{Arc, Notify};
use loom::thread;

use super::*;
use crate::task::{RemoteCell, Work};

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

/// Work that answers 7.
fn work() -> (Queued, std::sync::Arc<RemoteCell<u8>>) {
    let begin: Work<u8> = Box::new(|cell| cell.end(Ok(7)));
    let cell = RemoteCell::new(Id::next(), Location::caller(), begin);
    (Queued::new(&cell), cell)
}

/// What became of it, once it has ended.
fn outcome(cell: &RemoteCell<u8>) -> Option<u8> {
    match cell.poll_take(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.ok(),
        Poll::Pending => panic!("the work has neither been done nor refused"),
    }
}

fn open_remote() -> (Arc<Remote>, u64) {
    let remote = Remote::new();
    remote.grow_to(FIRST_TASK);
    remote.open(crate::sys::event::event().expect("a descriptor"));
    let tenant = remote.tenant();
    (Arc::new(remote), tenant)
}

#[test]
fn loom_work_from_two_threads_is_begun_by_an_owner_that_sleeps_in_between() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let ((remote, tenant), bell) = (open_remote(), Arc::new(Notify::new()));
        let mut cells = Vec::new();
        let threads = [(); 2].map(|()| {
            let (queued, cell) = work();
            cells.push(cell);
            let (remote, bell) = (Arc::clone(&remote), Arc::clone(&bell));
            thread::spawn(move || {
                if remote.leave(tenant, queued) && remote.must_ring_for(MESSAGES) {
                    bell.notify();
                }
            })
        });
        while cells.iter().any(|cell| !cell.has_ended()) {
            let mut look = false;
            remote.drain(|index| look |= index == MESSAGES);
            if look {
                for message in remote.take_messages() {
                    match message {
                        Message::Begin(queued) => queued.begin(),
                        Message::Abort { .. } => unreachable!("nobody aborts"),
                    }
                }
            } else if remote.prepare_sleep() {
                bell.wait();
                remote.woke_up();
            }
        }
        threads.map(|thread| thread.join().expect("no panic"));
        assert!(cells.iter().all(|cell| outcome(cell) == Some(7)));
    });
}

#[test]
fn loom_work_for_a_runtime_that_ends_is_begun_or_refused() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let (remote, tenant) = open_remote();
        let (queued, cell) = work();
        let giver = {
            let remote = Arc::clone(&remote);
            thread::spawn(move || _ = remote.leave(tenant, queued))
        };
        let mut begun = false;
        for message in remote.take_messages() {
            if let Message::Begin(queued) = message {
                queued.begin();
                begun = true;
            }
        }
        drop(remote.refuse_work());
        remote.close();
        // The next one of the place never sees it.
        remote.open(crate::sys::event::event().expect("a descriptor"));
        giver.join().expect("no panic");
        assert!(remote.take_messages().is_empty());
        assert_eq!(outcome(&cell), begun.then_some(7));
    });
}
