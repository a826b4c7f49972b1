//! Facts of `Notify`, polled by hand.
#![cfg(not(loom))]

mod spawned;

use std::pin::pin;
use std::task::{Context, Waker};

use quoit_sync::Notify;

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

#[test]
fn notify_one_without_waiters_leaves_one_permit() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    assert!(Spawned::new(notify.notified()).poll().is_ready());
    assert!(Spawned::new(notify.notified()).poll().is_pending());
}

#[test]
fn notify_one_wakes_the_first_and_notify_last_the_last() {
    let notify = Notify::new();
    let mut waiting = [(); 4].map(|()| Spawned::new(notify.notified()));
    assert!(waiting.iter_mut().all(|w| w.poll().is_pending()));
    notify.notify_one();
    assert_eq!(waiting.each_ref().map(Spawned::wakes), [1, 0, 0, 0]);
    notify.notify_last();
    assert_eq!(waiting.each_ref().map(Spawned::wakes), [1, 0, 0, 1]);
    notify.notify_one();
    assert_eq!(waiting.each_ref().map(Spawned::wakes), [1, 1, 0, 1]);
    assert_eq!(waiting.each_mut().map(|w| w.poll().is_ready()), [true, true, false, true]);
}

#[test]
fn notify_waiters_reaches_futures_that_were_never_polled() {
    let notify = Notify::new();
    let mut before = Spawned::new(notify.notified());
    notify.notify_waiters();
    let mut after = Spawned::new(notify.notified());
    assert!(before.poll().is_ready());
    assert!(after.poll().is_pending());
}

#[test]
fn notify_waiters_wakes_all_and_leaves_no_permit() {
    let notify = Notify::new();
    let mut waiting: Vec<_> = (0..40).map(|_| Spawned::new(notify.notified())).collect();
    assert!(waiting.iter_mut().all(|w| w.poll().is_pending()));
    notify.notify_waiters();
    assert!(waiting.iter().all(|w| w.wakes() == 1));
    assert!(Spawned::new(notify.notified()).poll().is_pending());
    assert!(waiting.iter_mut().all(|w| w.poll().is_ready()));
    assert!(waiting.iter_mut().all(|w| w.poll().is_ready()), "ready stays ready");
}

#[test]
fn broadcast_leaves_the_permit_to_others() {
    let notify = Notify::new();
    let mut reached = Spawned::new(notify.notified());
    notify.notify_one();
    notify.notify_waiters();
    assert!(reached.poll().is_ready());
    assert!(Spawned::new(notify.notified()).poll().is_ready());
    assert!(Spawned::new(notify.notified()).poll().is_pending());
}

#[test]
fn dropped_waiter_passes_its_permit_to_the_next() {
    let notify = Notify::new();
    let [mut first, mut second] = [(); 2].map(|()| Spawned::new(notify.notified()));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    notify.notify_one();
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_ready());
}

#[test]
fn dropped_waiter_passes_notify_last_to_the_last() {
    let notify = Notify::new();
    let [mut a, mut b, mut c] = [(); 3].map(|()| Spawned::new(notify.notified()));
    assert!(a.poll().is_pending() && b.poll().is_pending() && c.poll().is_pending());
    notify.notify_last();
    drop(c);
    assert_eq!((a.wakes(), b.wakes()), (0, 1));
}

#[test]
fn last_dropped_waiter_leaves_its_permit_behind() {
    let notify = Notify::new();
    let mut only = Spawned::new(notify.notified());
    assert!(only.poll().is_pending());
    notify.notify_one();
    drop(only);
    assert!(Spawned::new(notify.notified()).poll().is_ready());
}

#[test]
fn dropped_waiter_of_a_broadcast_passes_nothing_on() {
    let notify = Notify::new();
    let mut gone = Spawned::new(notify.notified());
    assert!(gone.poll().is_pending());
    notify.notify_waiters();
    drop(gone);
    assert!(Spawned::new(notify.notified()).poll().is_pending());
}

#[test]
fn dropped_waiter_leaves_the_queue() {
    let notify = Notify::new();
    let [mut first, mut second] = [(); 2].map(|()| Spawned::new(notify.notified()));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop(first);
    notify.notify_one();
    assert_eq!(second.wakes(), 1);
}

#[test]
fn enabled_waiter_queues_before_it_is_polled() {
    let notify = Notify::new();
    let mut enabled = pin!(notify.notified());
    assert!(!enabled.as_mut().enable());
    assert!(!enabled.as_mut().enable());
    let mut later = Spawned::new(notify.notified());
    assert!(later.poll().is_pending());
    notify.notify_one();
    assert_eq!(later.wakes(), 0);
    assert!(enabled.as_mut().enable());
    assert!(enabled.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(later.poll().is_pending());
}

#[test]
fn enabled_waiter_that_is_dropped_passes_its_permit_on() {
    let notify = Notify::new();
    let mut enabled = Box::pin(notify.notified());
    assert!(!enabled.as_mut().enable());
    notify.notify_one();
    drop(enabled);
    assert!(Spawned::new(notify.notified()).poll().is_ready());
}

#[test]
fn forgotten_waiter_costs_one_notification_and_no_more() {
    let notify = Notify::new();
    let mut forgotten = Box::pin(notify.notified());
    assert!(!forgotten.as_mut().enable());
    std::mem::forget(forgotten);
    let mut waiting = Spawned::new(notify.notified());
    assert!(waiting.poll().is_pending());
    notify.notify_one();
    assert_eq!(waiting.wakes(), 0);
    notify.notify_one();
    assert_eq!(waiting.wakes(), 1);
}

#[tokio::test]
async fn static_notify_wakes_a_task_from_a_thread() {
    static NOTIFY: Notify = Notify::const_new();
    let thread = std::thread::spawn(|| NOTIFY.notify_one());
    NOTIFY.notified().await;
    thread.join().expect("no panic");
    assert_eq!(format!("{NOTIFY:?}"), "Notify { permit: false, waited_for: false, .. }");
}
