//! Facts of `CancellationToken`, polled by hand.
#![cfg(not(loom))]

mod spawned;

use std::future::{pending, poll_fn, ready};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Poll;

use quoit_sync::{CancellationToken, DropGuard, WaitForCancellationFuture, WaitForCancellationFutureOwned};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

fn send_sync<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}

#[test]
fn tokens_and_their_futures_go_anywhere() {
    send_sync::<CancellationToken>();
    send_sync::<DropGuard>();
    send_sync::<WaitForCancellationFuture<'_>>();
    send_sync::<WaitForCancellationFutureOwned>();
}

#[test]
fn cancel_wakes_every_waiter_once() {
    let token = CancellationToken::new();
    let mut waiting: Vec<_> = (0..10).map(|_| Spawned::new(token.cancelled())).collect();
    let mut owned = Spawned::new(token.clone().cancelled_owned());
    assert!(waiting.iter_mut().all(|w| w.poll().is_pending()) && owned.poll().is_pending());
    assert!(!token.is_cancelled());
    token.cancel();
    token.clone().cancel();
    assert!(token.is_cancelled());
    assert!(waiting.iter().all(|w| w.wakes() == 1));
    assert_eq!(owned.wakes(), 1);
    assert!(waiting.iter_mut().all(|w| w.poll().is_ready()) && owned.poll().is_ready());
    assert!(waiting.iter_mut().all(|w| w.poll().is_ready()) && owned.poll().is_ready(), "ready stays ready");
    assert!(Spawned::new(token.cancelled()).poll().is_ready());
}

#[test]
fn dropped_waiter_is_not_woken() {
    let token = CancellationToken::new();
    let [mut gone, mut stays] = [(); 2].map(|()| Spawned::new(token.cancelled()));
    assert!(gone.poll().is_pending() && gone.poll().is_pending() && stays.poll().is_pending());
    drop(gone);
    token.cancel();
    assert_eq!(stays.wakes(), 1);
}

#[test]
fn cancel_goes_down_not_up_nor_sideways() {
    let root = CancellationToken::new();
    let [left, right] = [root.child_token(), root.child_token()];
    let [below_left, below_right] = [left.child_token(), right.child_token()];
    left.cancel();
    let all = [&root, &left, &right, &below_left, &below_right];
    assert_eq!(all.map(CancellationToken::is_cancelled), [false, true, false, true, false]);
    root.cancel();
    assert_eq!(all.map(CancellationToken::is_cancelled), [true; 5]);
}

#[test]
fn child_of_a_cancelled_token_is_cancelled() {
    let token = CancellationToken::default();
    token.cancel();
    let child = token.child_token();
    assert!(child.is_cancelled() && child.child_token().is_cancelled());
    assert!(Spawned::new(child.cancelled()).poll().is_ready());
}

#[test]
fn dropped_token_cancels_nothing_and_leaves_its_children_to_its_parent() {
    let root = CancellationToken::new();
    let middle = root.child_token();
    let leaves = [middle.child_token(), middle.child_token(), middle.child_token()];
    drop(middle);
    assert!(leaves.iter().all(|leaf| !leaf.is_cancelled()));
    let mut waiting = leaves.each_ref().map(|leaf| Spawned::new(leaf.cancelled()));
    assert!(waiting.iter_mut().all(|w| w.poll().is_pending()));
    drop(root.clone());
    root.cancel();
    assert_eq!(waiting.each_ref().map(Spawned::wakes), [1; 3]);
    assert!(leaves.iter().all(CancellationToken::is_cancelled));
}

#[test]
fn children_outlive_the_founder_and_part() {
    let root = CancellationToken::new();
    let [one, other] = [root.child_token(), root.child_token()];
    let below = one.child_token();
    drop(root);
    other.cancel();
    assert!(!one.is_cancelled() && !below.is_cancelled());
    one.cancel();
    assert!(below.is_cancelled());
}

#[test]
fn long_chain_is_cancelled_and_dropped_without_a_deep_stack() {
    for cancel in [true, false] {
        let root = CancellationToken::new();
        let mut chain = vec![root.child_token()];
        for n in 0..100_000 {
            let next = chain[n].child_token();
            chain.push(next);
        }
        if cancel {
            let last = chain[100_000].clone();
            let mut waiting = Spawned::new(last.cancelled());
            assert!(waiting.poll().is_pending());
            root.cancel();
            assert_eq!(waiting.wakes(), 1);
            assert!(chain.iter().all(CancellationToken::is_cancelled));
        }
        drop(chain);
        assert_eq!(root.is_cancelled(), cancel);
    }
}

#[test]
fn many_children_come_and_go() {
    let root = CancellationToken::new();
    for _ in 0..1_000_000 {
        drop(root.child_token());
    }
    let child = root.child_token();
    root.cancel();
    assert!(child.is_cancelled());
}

#[test]
fn random_trees_agree_with_a_model() {
    /// A token, its parent among all ever made, and whether it should be cancelled.
    struct Expected(Option<CancellationToken>, Option<usize>, bool);
    let mut seed = 1_u64;
    let mut roll = |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % sides
    };
    for _ in 0..200 {
        let mut all = vec![Expected(Some(CancellationToken::new()), None, false)];
        for _ in 0..100 {
            let chosen = roll(all.len());
            let Some(token) = all[chosen].0.clone() else { continue };
            match roll(10) {
                0 => {
                    token.cancel();
                    // Parents stand before their children.
                    all[chosen].2 = true;
                    for n in chosen + 1..all.len() {
                        all[n].2 |= all[n].1.is_some_and(|parent| all[parent].2);
                    }
                }
                1 | 2 => all[chosen].0 = None,
                _ => {
                    let cancelled = all[chosen].2;
                    all.push(Expected(Some(token.child_token()), Some(chosen), cancelled));
                }
            }
            drop(token);
            for Expected(token, _, cancelled) in &all {
                assert!(token.as_ref().is_none_or(|token| token.is_cancelled() == *cancelled));
            }
        }
    }
}

#[test]
fn run_until_cancelled_answers_the_future_or_none() {
    let token = CancellationToken::new();
    assert_eq!(Spawned::new(token.run_until_cancelled(ready(3))).poll(), Poll::Ready(Some(3)));
    let mut running = Spawned::new(token.run_until_cancelled(pending::<()>()));
    assert!(running.poll().is_pending());
    token.cancel();
    assert_eq!(running.wakes(), 1);
    assert_eq!(running.poll(), Poll::Ready(None));
}

#[test]
fn result_that_is_ready_with_the_cancel_counts() {
    let token = CancellationToken::new();
    let mut polls = 0;
    let mut running = Spawned::new(token.run_until_cancelled(poll_fn(|_| {
        polls += 1;
        if polls == 1 { Poll::Pending } else { Poll::Ready("done") }
    })));
    assert!(running.poll().is_pending());
    token.cancel();
    assert_eq!(running.poll(), Poll::Ready(Some("done")));
}

#[test]
fn cancelled_token_keeps_the_future_from_running() {
    let token = CancellationToken::new();
    token.cancel();
    let never = poll_fn::<(), _>(|_| panic!("it was polled"));
    assert_eq!(Spawned::new(token.run_until_cancelled(never)).poll(), Poll::Ready(None));
}

#[test]
fn guard_cancels_unless_disarmed() {
    let token = CancellationToken::new();
    let child = token.child_token();
    let back = token.clone().drop_guard().disarm();
    assert!(!back.is_cancelled());
    drop(back.drop_guard());
    assert!(token.is_cancelled() && child.is_cancelled());
}

#[test]
fn waker_may_use_the_tokens_it_is_woken_by() {
    struct Intruder(CancellationToken);
    impl std::task::Wake for Intruder {
        fn wake(self: std::sync::Arc<Self>) {
            assert!(self.0.is_cancelled());
            self.0.cancel();
            assert!(self.0.child_token().is_cancelled());
        }
    }
    let token = CancellationToken::new();
    let child = token.child_token();
    let waker = std::sync::Arc::new(Intruder(token.clone())).into();
    let mut waiting = std::pin::pin!(child.cancelled());
    assert!(waiting.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    token.cancel();
    assert!(waiting.poll(&mut std::task::Context::from_waker(&waker)).is_ready());
}

#[test]
fn tokens_print() {
    let token = CancellationToken::new();
    assert_eq!(format!("{token:?}"), "CancellationToken { is_cancelled: false }");
    assert!(format!("{:?}", token.cancelled()).starts_with("WaitForCancellationFuture { token: "));
    assert!(format!("{:?}", token.clone().cancelled_owned()).starts_with("WaitForCancellationFutureOwned { token: "));
    token.cancel();
    assert_eq!(format!("{token:?}"), "CancellationToken { is_cancelled: true }");
    assert!(format!("{:?}", token.drop_guard()).starts_with("DropGuard { token: Some("));
}
