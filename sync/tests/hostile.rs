//! Wakers and messages that use the channel themselves, or panic, while they are woken or dropped: no lock is held then.
#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use quoit_sync::{Notify, mpsc, oneshot};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Runs its function when woken and when dropped.
struct Intruder<F: Fn()>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Intruder<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl<F: Fn()> Drop for Intruder<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn intruder(function: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Intruder(function)))
}

#[test]
fn wakers_may_use_the_channel() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (tx, mut rx) = mpsc::channel::<u8>(1);
    let (count, sender) = (calls.clone(), tx.clone());
    let waker = intruder(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let _room = sender.capacity();
        drop(sender.clone());
    });
    // Registered, replaced by another, registered again, woken by the message, and dropped with the recv.
    let mut recv = Box::pin(rx.recv());
    assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(recv.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(recv);
    assert_eq!(rx.try_recv(), Ok(1));
    let mut recv = Box::pin(rx.recv());
    assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(recv);
    assert_eq!(calls.load(Ordering::SeqCst), 2, "the recv kept the last waker");
}

#[test]
fn wakers_may_notify_again() {
    let notify = Arc::new(Notify::new());
    let again = Arc::downgrade(&notify);
    let waker = intruder(move || {
        if let Some(notify) = again.upgrade() {
            notify.notify_one();
        }
    });
    {
        let mut first = pin!(notify.notified());
        let mut second = pin!(notify.notified());
        assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        notify.notify_one();
        assert!(second.as_mut().enable(), "the first one's waker woke the second");
    }
    drop(waker);
}

#[test]
fn messages_may_use_the_channel_when_they_are_dropped() {
    struct Message(mpsc::WeakSender<Message>, Arc<AtomicUsize>);
    impl Drop for Message {
        fn drop(&mut self) {
            let _alive = self.0.upgrade().map(|tx| tx.capacity());
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    for (tx, rx) in [mpsc::channel(3), mpsc::rendezvous()] {
        drops.store(0, Ordering::SeqCst);
        let message = || Message(tx.downgrade(), drops.clone());
        let [mut refused, mut dropped] = [(); 2].map(|()| {
            let (tx, message) = (tx.clone(), message());
            Box::pin(async move { tx.send(message).await })
        });
        for send in [&mut refused, &mut dropped] {
            let _sent_or_offered = send.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(dropped);
        drop(rx);
        drop(refused);
        assert_eq!(drops.load(Ordering::SeqCst), 2);
    }
    let (tx, rx) = oneshot::channel();
    let keeper = mpsc::channel(1).0;
    drops.store(0, Ordering::SeqCst);
    assert!(tx.send(Message(keeper.downgrade(), drops.clone())).is_ok());
    drop(rx);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn wakers_that_panic_cost_the_others_nothing_and_the_first_panic_is_told() {
    struct Panics(usize);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(self.0);
        }
    }
    struct Notes(Arc<Mutex<Vec<usize>>>, usize);
    impl Wake for Notes {
        fn wake(self: Arc<Self>) {
            self.0.lock().expect("no panic here").push(self.1);
        }
    }
    let woken = Arc::new(Mutex::new(Vec::new()));
    let notify = Notify::new();
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(notify.notified())).collect();
    for (n, notified) in waiting.iter_mut().enumerate() {
        let panics = [2, 3, 7].contains(&n);
        let waker = if panics { Arc::new(Panics(n)).into() } else { Arc::new(Notes(woken.clone(), n)).into() };
        assert!(notified.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let payload = catch_unwind(AssertUnwindSafe(|| notify.notify_waiters())).expect_err("three of them panic");
    assert_eq!(payload.downcast_ref(), Some(&2_usize));
    assert_eq!(*woken.lock().expect("no panic there"), [0, 1, 4, 5, 6, 8, 9]);
    assert!(waiting.iter_mut().all(|notified| notified.as_mut().enable()));
}
