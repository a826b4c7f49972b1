//! Wakers and messages that use their own oneshot channel, or panic, while they are woken or dropped. Of both flavors.
#![cfg(not(loom))]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

thread_local! {
    /// What the wakers below do, once. Not in them, so that it may have halves of a local channel.
    static PLAN: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn plan(act: impl FnOnce() + 'static) {
    PLAN.set(Some(Box::new(act)));
}

fn act() {
    if let Some(act) = PLAN.take() {
        act();
    }
}

fn is_done() -> bool {
    PLAN.with_borrow(Option::is_none)
}

/// Acts when it is woken.
struct ActsWoken;

impl Wake for ActsWoken {
    fn wake(self: Arc<Self>) {
        act();
    }
}

/// Acts when it is dropped.
struct ActsDropped;

impl Wake for ActsDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for ActsDropped {
    fn drop(&mut self) {
        act();
    }
}

/// Panics when it is dropped, with what it counts.
struct Bomb(#[expect(dead_code, reason = "counts")] Arc<()>);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as it was told");
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

macro_rules! facts {
    ($flavor:ident, $oneshot:path) => {
        mod $flavor {
            use $oneshot as oneshot;

            use super::*;

            #[test]
            fn waker_may_drop_the_receiver_that_it_wakes() {
                let counted = Arc::new(());
                let (tx, mut rx) = oneshot::channel();
                assert!(poll(&mut rx, &Waker::from(Arc::new(ActsWoken))).is_pending());
                plan(move || drop(rx));
                assert!(tx.send(counted.clone()).is_ok());
                assert!(is_done());
                assert_eq!(Arc::strong_count(&counted), 1);
            }

            #[test]
            fn waker_may_receive_what_it_is_woken_for() {
                let (tx, mut rx) = oneshot::channel();
                assert!(poll(&mut rx, &Waker::from(Arc::new(ActsWoken))).is_pending());
                plan(move || assert_eq!(rx.try_recv(), Ok(7)));
                assert_eq!(tx.send(7), Ok(()));
                assert!(is_done());
            }

            #[test]
            fn waker_that_is_replaced_may_send() {
                let (tx, mut rx) = oneshot::channel();
                assert!(poll(&mut rx, &Waker::from(Arc::new(ActsDropped))).is_pending());
                plan(move || assert_eq!(tx.send(7), Ok(())));
                // Whether it sees the message already, or was woken by it, is all the same.
                let _pending = poll(&mut rx, Waker::noop());
                assert!(is_done());
                assert_eq!(rx.try_recv(), Ok(7));
            }

            #[test]
            fn waker_of_the_sender_may_drop_the_sender_as_the_receiver_goes() {
                let (mut tx, rx) = oneshot::channel::<u8>();
                let waker = Waker::from(Arc::new(ActsWoken));
                assert!(tx.poll_closed(&mut Context::from_waker(&waker)).is_pending());
                plan(move || drop(tx));
                drop(rx);
                assert!(is_done());
            }

            #[test]
            fn waker_of_the_sender_may_drop_the_receiver_as_the_sender_goes() {
                let (mut tx, rx) = oneshot::channel();
                let waker = Waker::from(Arc::new(ActsDropped));
                assert!(tx.poll_closed(&mut Context::from_waker(&waker)).is_pending());
                drop(waker);
                plan(move || drop(rx));
                assert_eq!(tx.send(1), Ok(()));
                assert!(is_done());
            }

            #[test]
            fn waker_that_panics_does_not_cost_the_message() {
                let (tx, mut rx) = oneshot::channel();
                assert!(poll(&mut rx, &Waker::from(Arc::new(ActsWoken))).is_pending());
                plan(|| panic!("as it was told"));
                assert!(catch_unwind(AssertUnwindSafe(|| tx.send(7))).is_err());
                assert_eq!(rx.try_recv(), Ok(7));
            }

            #[test]
            fn waker_of_the_sender_that_panics_as_it_is_dropped_does_not_cost_the_wake_up() {
                let (mut tx, mut rx) = oneshot::channel();
                let waker = Waker::from(Arc::new(ActsDropped));
                assert!(tx.poll_closed(&mut Context::from_waker(&waker)).is_pending());
                drop(waker);
                let woken = Arc::new(Notes::default());
                assert!(poll(&mut rx, &woken.clone().into()).is_pending());
                plan(|| panic!("as it was told"));
                assert!(catch_unwind(AssertUnwindSafe(|| tx.send(7))).is_err());
                assert_eq!(woken.wakes(), 1);
                assert_eq!(rx.try_recv(), Ok(7));
            }

            #[test]
            fn message_that_panics_as_it_is_dropped_leaves_nothing_behind() {
                for is_closed_first in [false, true] {
                    let counted = Arc::new(());
                    let (tx, mut rx) = oneshot::channel();
                    assert!(tx.send(Bomb(counted.clone())).is_ok());
                    if is_closed_first {
                        rx.close();
                    }
                    assert!(catch_unwind(AssertUnwindSafe(|| drop(rx))).is_err());
                    assert_eq!(Arc::strong_count(&counted), 1);
                }
            }

            #[test]
            fn message_may_drop_the_sender_that_still_waits() {
                // The message has the halves of another channel, and the waker of one drops the other.
                let (tx, rx) = oneshot::channel();
                let (mut inner_tx, inner_rx) = oneshot::channel::<u8>();
                let waker = Waker::from(Arc::new(ActsWoken));
                assert!(inner_tx.poll_closed(&mut Context::from_waker(&waker)).is_pending());
                plan(move || drop(inner_tx));
                assert!(tx.send(inner_rx).is_ok());
                drop(rx);
                assert!(is_done());
            }
        }
    };
}

/// Counts how often it is woken.
#[derive(Default)]
struct Notes(std::sync::atomic::AtomicUsize);

impl Notes {
    fn wakes(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Wake for Notes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

facts!(threads, quoit_sync::oneshot);
facts!(one_thread, quoit_sync::local::oneshot);
