//! Facts of `watch`, polled by hand.
#![cfg(not(loom))]

mod spawned;

use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use futures_util::StreamExt;

use quoit_sync::watch;
use quoit_sync::watch::error::{RecvError, SendError};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

fn send_sync<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
fn send<T: Send>(_: T) {}
fn stream<S: Stream<Item = u8>>() {}
fn error<E: std::error::Error>() {}

#[test]
fn halves_and_futures_go_anywhere() {
    send_sync::<watch::Sender<u8>>();
    send_sync::<watch::Receiver<u8>>();
    stream::<watch::Receiver<u8>>();
    error::<SendError<*const u8>>();
    error::<RecvError>();
    let (tx, mut rx) = watch::channel(1);
    send(tx.closed());
    send(rx.changed());
    send(rx.wait_for(|n| *n > 1));
}

#[test]
fn first_value_is_seen_and_later_ones_are_not() {
    let (tx, mut rx) = watch::channel(1);
    assert_eq!((rx.has_changed(), *rx.borrow(), rx.borrow().has_changed()), (Ok(false), 1, false));
    assert_eq!(tx.send(2), Ok(()));
    assert_eq!(tx.send(3), Ok(()));
    assert_eq!((rx.has_changed(), *rx.borrow(), rx.borrow().has_changed()), (Ok(true), 3, true));
    let subscribed = tx.subscribe();
    let cloned = rx.clone();
    assert_eq!((subscribed.has_changed(), cloned.has_changed()), (Ok(false), Ok(true)));
    assert!(rx.borrow_and_update().has_changed());
    assert_eq!((rx.has_changed(), cloned.has_changed()), (Ok(false), Ok(true)));
}

#[test]
fn changed_wakes_every_receiver_once_and_counts_as_seen() {
    let (tx, rx) = watch::channel(0);
    let mut receivers: Vec<_> = (0..10).map(|_| rx.clone()).collect();
    let mut waiting: Vec<_> = receivers.iter_mut().map(|rx| Spawned::new(rx.changed())).collect();
    assert!(waiting.iter_mut().all(|w| w.poll().is_pending()));
    assert_eq!(tx.send(1), Ok(()));
    assert_eq!(tx.send(2), Ok(()));
    assert!(waiting.iter().all(|w| w.wakes() == 1));
    assert!(waiting.iter_mut().all(|w| w.poll() == Poll::Ready(Ok(()))));
    drop(waiting);
    assert!(receivers.iter_mut().all(|rx| rx.has_changed() == Ok(false) && *rx.borrow() == 2));
    assert!(receivers.iter_mut().all(|rx| Spawned::new(rx.changed()).poll().is_pending()));
}

#[test]
fn dropped_changed_sees_nothing() {
    let (tx, mut rx) = watch::channel(0);
    let mut waiting = Spawned::new(rx.changed());
    assert!(waiting.poll().is_pending());
    assert_eq!(tx.send(1), Ok(()));
    assert_eq!(waiting.wakes(), 1);
    drop(waiting);
    assert_eq!(rx.has_changed(), Ok(true));
    assert_eq!(Spawned::new(rx.changed()).poll(), Poll::Ready(Ok(())));
    let mut waiting = Spawned::new(rx.changed());
    assert!(waiting.poll().is_pending());
    drop(waiting);
    assert_eq!(tx.send(2), Ok(()));
    assert_eq!(rx.has_changed(), Ok(true));
}

#[test]
fn last_value_is_told_before_the_end() {
    let (tx, mut rx) = watch::channel(0);
    let mut other = rx.clone();
    let mut waiting = Spawned::new(other.changed());
    assert!(waiting.poll().is_pending());
    assert_eq!(tx.send(1), Ok(()));
    drop(tx.clone());
    assert_eq!(waiting.poll(), Poll::Ready(Ok(())));
    drop(waiting);
    let mut waiting = Spawned::new(other.changed());
    assert!(waiting.poll().is_pending());
    drop(tx);
    assert_eq!(waiting.wakes(), 1);
    assert!(matches!(waiting.poll(), Poll::Ready(Err(_))));
    assert!(rx.has_changed().is_err());
    assert_eq!(Spawned::new(rx.changed()).poll(), Poll::Ready(Ok(())));
    assert!(matches!(Spawned::new(rx.changed()).poll(), Poll::Ready(Err(_))));
    assert_eq!(*rx.borrow(), 1);
    assert_eq!(*rx.borrow_and_update(), 1);
}

#[test]
fn send_without_receivers_fails_and_send_replace_does_not() {
    let (tx, rx) = watch::channel("a");
    drop(rx);
    assert_eq!(tx.send("b"), Err(SendError("b")));
    assert_eq!(*tx.borrow(), "a");
    assert_eq!(tx.send_replace("c"), "a");
    tx.send_modify(|value| *value = "d");
    assert!(tx.send_if_modified(|value| std::mem::replace(value, "e") == "d"));
    let rx = tx.subscribe();
    assert_eq!((*rx.borrow(), rx.has_changed()), ("e", Ok(false)));
    assert_eq!(tx.send("f"), Ok(()));
    assert_eq!(rx.has_changed(), Ok(true));
}

#[test]
fn send_if_modified_tells_only_of_changes() {
    let (tx, mut rx) = watch::channel(1);
    let mut waiting = Spawned::new(rx.changed());
    assert!(waiting.poll().is_pending());
    assert!(!tx.send_if_modified(|value| {
        *value = 2;
        false
    }));
    assert_eq!(waiting.wakes(), 0);
    assert!(tx.send_if_modified(|value| *value == 2));
    assert_eq!(waiting.wakes(), 1);
}

#[test]
fn panic_in_a_change_tells_nobody_and_breaks_nothing() {
    let (tx, mut rx) = watch::channel(1);
    let result = catch_unwind(AssertUnwindSafe(|| {
        tx.send_modify(|value| {
            *value = 2;
            panic!("as it was told");
        });
    }));
    assert!(result.is_err());
    assert_eq!((rx.has_changed(), *rx.borrow()), (Ok(false), 2));
    assert!(catch_unwind(AssertUnwindSafe(|| Spawned::new(rx.wait_for(|_| panic!("too"))).poll().is_ready())).is_err());
    assert_eq!(tx.send(3), Ok(()));
    assert_eq!(*rx.borrow_and_update(), 3);
}

#[test]
fn wait_for_asks_about_the_value_of_now_and_each_new_one() {
    let (tx, mut rx) = watch::channel(1);
    assert!(matches!(Spawned::new(rx.wait_for(|n| *n == 1)).poll(), Poll::Ready(Ok(value)) if *value == 1));
    let mut asked = Vec::new();
    let mut waiting = Spawned::new(rx.wait_for(|n| {
        asked.push(*n);
        *n == 4
    }));
    assert!(waiting.poll().is_pending());
    assert_eq!(tx.send(2), Ok(()));
    assert!(waiting.poll().is_pending());
    assert_eq!((tx.send(3), tx.send(4)), (Ok(()), Ok(())));
    assert_eq!(waiting.wakes(), 2);
    assert!(matches!(waiting.poll(), Poll::Ready(Ok(value)) if *value == 4));
    drop(waiting);
    assert_eq!(asked, [1, 2, 4]);
    assert_eq!(rx.has_changed(), Ok(false));
}

#[test]
fn wait_for_asks_about_the_last_value_before_it_fails() {
    let (tx, mut rx) = watch::channel(1);
    let mut waiting = Spawned::new(rx.wait_for(|n| *n == 2));
    assert!(waiting.poll().is_pending());
    assert_eq!(tx.send(2), Ok(()));
    drop(tx);
    assert!(matches!(waiting.poll(), Poll::Ready(Ok(value)) if *value == 2));
    drop(waiting);
    assert!(matches!(Spawned::new(rx.wait_for(|n| *n == 2)).poll(), Poll::Ready(Ok(_))));
    let mut asked = 0;
    let never = |_: &i32| {
        asked += 1;
        false
    };
    assert!(matches!(Spawned::new(rx.wait_for(never)).poll(), Poll::Ready(Err(_))));
    assert_eq!(asked, 1);
}

#[test]
fn marks_are_what_changed_goes_by() {
    let (tx, mut rx) = watch::channel(1);
    rx.mark_changed();
    rx.mark_changed();
    assert_eq!(rx.has_changed(), Ok(true));
    assert_eq!(Spawned::new(rx.changed()).poll(), Poll::Ready(Ok(())));
    assert_eq!(tx.send(2), Ok(()));
    rx.mark_unchanged();
    assert!(Spawned::new(rx.changed()).poll().is_pending());
    drop(tx);
    rx.mark_changed();
    assert_eq!(Spawned::new(rx.changed()).poll(), Poll::Ready(Ok(())));
    assert!(matches!(Spawned::new(rx.changed()).poll(), Poll::Ready(Err(_))));
}

#[test]
fn closed_waits_for_the_last_receiver() {
    let (tx, rx) = watch::channel(1);
    let other = tx.clone();
    let [mut waiting, mut gone] = [&tx, &other].map(|tx| Spawned::new(tx.closed()));
    assert!(waiting.poll().is_pending() && gone.poll().is_pending());
    drop(gone);
    let clone = rx.clone();
    drop(rx);
    assert_eq!((waiting.wakes(), tx.receiver_count(), tx.is_closed()), (0, 1, false));
    drop(clone);
    assert_eq!((waiting.wakes(), tx.receiver_count(), tx.is_closed()), (1, 0, true));
    let late = tx.subscribe();
    assert!(waiting.poll().is_pending(), "there is one again");
    drop(late);
    assert_eq!(waiting.wakes(), 2);
    assert!(waiting.poll().is_ready());
}

#[test]
fn stream_gives_the_value_of_now_and_then_each_change() {
    let (tx, mut rx) = watch::channel(1);
    let clone = rx.clone();
    assert_eq!(Spawned::new(rx.next()).poll(), Poll::Ready(Some(1)));
    let mut waiting = Spawned::new(rx.next());
    assert!(waiting.poll().is_pending());
    assert_eq!((tx.send(2), tx.send(3)), (Ok(()), Ok(())));
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.poll(), Poll::Ready(Some(3)));
    assert!(waiting.poll().is_pending());
    assert_eq!(tx.send(4), Ok(()));
    drop(tx);
    assert_eq!(waiting.wakes(), 2);
    assert_eq!(waiting.poll(), Poll::Ready(Some(4)));
    drop(waiting);
    assert_eq!(Spawned::new(rx.collect::<Vec<_>>()).poll(), Poll::Ready(vec![]));
    assert_eq!(
        Spawned::new(clone.collect::<Vec<_>>()).poll(),
        Poll::Ready(vec![4]),
        "the last value, though all are gone"
    );
}

#[test]
fn stream_and_changed_share_what_was_seen() {
    let (tx, mut rx) = watch::channel(1);
    let context = &mut Context::from_waker(Waker::noop());
    assert_eq!(rx.poll_next_unpin(context), Poll::Ready(Some(1)));
    assert!(rx.poll_next_unpin(context).is_pending());
    assert_eq!(tx.send(2), Ok(()));
    assert_eq!(Spawned::new(rx.changed()).poll(), Poll::Ready(Ok(())));
    assert!(rx.poll_next_unpin(context).is_pending());
    assert!(pin!(rx.changed()).poll(context).is_pending());
    drop(rx);
    assert!(tx.is_closed());
}

#[test]
fn receiver_that_goes_keeps_no_waker() {
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let idle = Arc::new(Idle);
    let waker = Waker::from(idle.clone());
    let context = &mut Context::from_waker(&waker);
    let (tx, mut rx) = watch::channel(1);
    assert!(rx.poll_next_unpin(context).is_ready());
    assert!(rx.poll_next_unpin(context).is_pending());
    assert_eq!(Arc::strong_count(&idle), 3);
    drop(rx);
    assert_eq!((tx.receiver_count(), Arc::strong_count(&idle)), (0, 2));
}

#[test]
fn wakers_and_old_values_may_use_the_channel() {
    /// Looks at the channel when it is woken and when it is dropped.
    struct Intruder(Arc<Mutex<Option<watch::Sender<Option<Intruder>>>>>, Arc<AtomicUsize>);
    impl Intruder {
        fn look(&self) {
            let tx = self.0.lock().expect("no panic here").clone();
            if let Some(tx) = tx {
                assert!(tx.borrow().is_some() || tx.receiver_count() == 1);
                drop(tx.subscribe());
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    impl Wake for Intruder {
        fn wake(self: Arc<Self>) {
            self.look();
        }
    }
    impl Drop for Intruder {
        fn drop(&mut self) {
            self.look();
        }
    }
    let looks = Arc::new(AtomicUsize::new(0));
    let (tx, mut rx) = watch::channel(None);
    let place = Arc::new(Mutex::new(Some(tx.clone())));
    let waker = Waker::from(Arc::new(Intruder(place.clone(), looks.clone())));
    {
        let mut waiting = pin!(rx.changed());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(tx.send(Some(Intruder(place.clone(), looks.clone()))).is_ok());
        assert_eq!(looks.load(Ordering::SeqCst), 1, "woken");
        assert!(tx.send(None).is_ok());
        assert_eq!(looks.load(Ordering::SeqCst), 2, "the old value dropped");
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
    drop(waker);
    assert_eq!(looks.load(Ordering::SeqCst), 3);
    place.lock().expect("no panic there").take();
}

#[test]
fn every_thread_sees_the_last_value_and_none_goes_back() {
    let (tx, rx) = watch::channel((0_u64, 0_u64));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut rx = rx.clone();
            std::thread::spawn(move || {
                let mut last = 0;
                while rx_changed(&mut rx) {
                    let (n, twice) = *rx.borrow_and_update();
                    assert!(n >= last && twice == 2 * n);
                    last = n;
                }
                last
            })
        })
        .collect();
    (1..=20_000).for_each(|n| assert!(tx.send((n, 2 * n)).is_ok()));
    drop(tx);
    assert!(readers.into_iter().all(|reader| reader.join().expect("no panic") == 20_000));
}

fn rx_changed(rx: &mut watch::Receiver<(u64, u64)>) -> bool {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(rx.changed()).is_ok()
}

#[test]
fn counts_identity_and_print() {
    let (tx, rx) = watch::channel(1);
    let (other, _rx) = watch::channel(1);
    let tx2 = tx.clone();
    assert!(tx.same_channel(&tx2) && !tx.same_channel(&other) && rx.same_channel(&tx2.subscribe()));
    assert_eq!((tx.sender_count(), tx.receiver_count()), (2, 1));
    drop(tx2);
    assert_eq!(tx.sender_count(), 1);
    assert_eq!(*watch::Sender::<String>::default().borrow(), "");
    assert_eq!(format!("{tx:?}"), "Sender { channel: Channel { version: 0, senders: 1, receivers: 1, .. } }");
    assert!(format!("{rx:?}").contains("seen: 0"));
    assert_eq!(format!("{:?}", rx.borrow()), "Ref { value: 1, has_changed: false }");
    assert_eq!(SendError(1).to_string(), "channel closed");
    assert_eq!(format!("{:?}", SendError(1)), "SendError { .. }");
    drop(tx);
    let end = rx.has_changed().expect_err("no sender");
    assert_eq!((end.to_string(), format!("{end:?}")), ("channel closed".into(), "RecvError(())".into()));
}
