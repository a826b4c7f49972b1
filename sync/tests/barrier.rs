//! Who passes a barrier, and when.
#![cfg(not(loom))]

mod spawned;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use quoit_sync::Barrier;

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

#[test]
fn nobody_passes_before_the_last_has_come() {
    let barrier = Barrier::new(7);
    let mut waiting: Vec<_> = (0..6).map(|_| Spawned::new(barrier.wait())).collect();
    for _ in 0..2 {
        assert!(waiting.iter_mut().all(|waiter| waiter.poll().is_pending()), "who is polled again comes once");
    }
    let Poll::Ready(last) = Spawned::new(barrier.wait()).poll() else { panic!("all have come") };
    assert!(last.is_leader());
    for waiter in &mut waiting {
        assert_eq!(waiter.wakes(), 1);
        assert!(matches!(waiter.poll(), Poll::Ready(result) if !result.is_leader()));
    }
}

#[test]
fn next_round_waits_for_its_own() {
    let barrier = Barrier::new(2);
    let mut first = Spawned::new(barrier.wait());
    assert!(first.poll().is_pending());
    assert!(Spawned::new(barrier.wait()).poll().is_ready());
    // The first of the next round comes before the first of this one has looked.
    let mut next = Spawned::new(barrier.wait());
    assert!(next.poll().is_pending());
    assert!(matches!(first.poll(), Poll::Ready(result) if !result.is_leader()));
    assert_eq!(next.wakes(), 0);
    assert!(matches!(Spawned::new(barrier.wait()).poll(), Poll::Ready(result) if result.is_leader()));
    assert!(next.poll().is_ready());
}

#[test]
fn barrier_for_one_or_nobody_stops_nobody() {
    for count in [0, 1] {
        let barrier = Barrier::new(count);
        for _ in 0..3 {
            assert!(matches!(Spawned::new(barrier.wait()).poll(), Poll::Ready(result) if result.is_leader()));
        }
    }
}

#[test]
fn who_came_and_left_still_counts() {
    let barrier = Barrier::new(3);
    // Not polled, it has not come.
    drop(Spawned::new(barrier.wait()));
    let mut stays = Spawned::new(barrier.wait());
    assert!(Spawned::new(barrier.wait()).poll().is_pending());
    assert!(stays.poll().is_pending());
    assert_eq!(format!("{barrier:?}"), "Barrier { count: 3, arrived: 2, .. }");
    assert!(matches!(Spawned::new(barrier.wait()).poll(), Poll::Ready(result) if result.is_leader()));
    assert_eq!(stays.wakes(), 1);
    assert!(stays.poll().is_ready());
}

#[test]
fn threads_pass_together_with_one_leader_each_time() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 300;
    let barrier = Barrier::new(THREADS);
    let (arrived, leaders) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                for round in 0..ROUNDS {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let result = runtime.block_on(barrier.wait());
                    assert!(arrived.load(Ordering::SeqCst) >= (round + 1) * THREADS);
                    leaders.fetch_add(usize::from(result.is_leader()), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!((arrived.into_inner(), leaders.into_inner()), (THREADS * ROUNDS, ROUNDS));
}
