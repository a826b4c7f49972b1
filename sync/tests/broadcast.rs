//! Facts of `broadcast`, polled by hand.
#![cfg(not(loom))]

mod spawned;

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use futures_util::StreamExt;

use quoit_sync::broadcast;
use quoit_sync::broadcast::error::{RecvError, SendError, TryRecvError};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Sendable, but not to be shared: the channel must not ask for more.
type OnlySend = Cell<u8>;

fn send_sync<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
fn send<T: Send>(_: T) {}
fn stream<S: Stream<Item = Result<u8, RecvError>>>() {}
fn error<E: std::error::Error>() {}

#[test]
fn halves_and_futures_go_anywhere_if_the_message_is_send() {
    send_sync::<broadcast::Sender<OnlySend>>();
    send_sync::<broadcast::Receiver<OnlySend>>();
    stream::<broadcast::Receiver<u8>>();
    error::<SendError<*const u8>>();
    error::<RecvError>();
    error::<TryRecvError>();
    let (_tx, mut rx) = broadcast::channel::<OnlySend>(1);
    send(rx.recv());
}

#[test]
fn every_receiver_gets_every_message_in_order() {
    let (tx, mut one) = broadcast::channel(4);
    let mut other = tx.subscribe();
    assert_eq!((tx.send(1), tx.clone().send(2)), (Ok(2), Ok(2)));
    let mut late = tx.subscribe();
    assert_eq!(tx.send(3), Ok(3));
    for rx in [&mut one, &mut other] {
        assert_eq!((rx.try_recv(), rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2), Ok(3)));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
    assert_eq!((late.try_recv(), late.try_recv()), (Ok(3), Err(TryRecvError::Empty)));
}

#[test]
fn send_wakes_every_receiver_once() {
    let (tx, rx) = broadcast::channel(2);
    let mut receivers: Vec<_> = (0..10).map(|_| rx.resubscribe()).collect();
    let mut waiting: Vec<_> = receivers.iter_mut().map(|rx| Spawned::new(rx.recv())).collect();
    assert!(waiting.iter_mut().all(|w| w.poll().is_pending() && w.poll().is_pending()));
    assert_eq!((tx.send('a'), tx.send('b')), (Ok(11), Ok(11)));
    assert!(waiting.iter().all(|w| w.wakes() == 1));
    assert!(waiting.iter_mut().all(|w| w.poll() == Poll::Ready(Ok('a'))));
}

#[test]
fn dropped_recv_loses_no_message() {
    let (tx, mut rx) = broadcast::channel(2);
    let mut waiting = Spawned::new(rx.recv());
    assert!(waiting.poll().is_pending());
    assert_eq!(tx.send(1), Ok(1));
    assert_eq!(waiting.wakes(), 1);
    drop(waiting);
    assert_eq!(rx.try_recv(), Ok(1));
    let mut waiting = Spawned::new(rx.recv());
    assert!(waiting.poll().is_pending());
    drop(waiting);
    assert_eq!((tx.send(2), rx.try_recv()), (Ok(1), Ok(2)));
}

#[test]
fn slow_receiver_is_told_what_it_missed_and_goes_on_with_the_oldest() {
    let (tx, mut rx) = broadcast::channel(2);
    let mut fast = tx.subscribe();
    for n in 0..5 {
        assert_eq!(tx.send(n), Ok(2));
        assert_eq!(fast.try_recv(), Ok(n));
    }
    assert_eq!((rx.len(), tx.len()), (5, 2));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Lagged(3)));
    assert_eq!(rx.len(), 2);
    assert_eq!(tx.send(5), Ok(2));
    assert_eq!(Spawned::new(rx.recv()).poll(), Poll::Ready(Err(RecvError::Lagged(1))));
    assert_eq!((rx.try_recv(), rx.try_recv(), rx.try_recv()), (Ok(4), Ok(5), Err(TryRecvError::Empty)));
    assert_eq!((fast.try_recv(), fast.try_recv()), (Ok(5), Err(TryRecvError::Empty)));
}

#[test]
fn lag_is_told_before_the_end() {
    let (tx, mut rx) = broadcast::channel(1);
    assert_eq!((tx.send(1), tx.send(2)), (Ok(1), Ok(1)));
    drop(tx);
    assert_eq!(rx.blocking_recv(), Err(RecvError::Lagged(1)));
    assert_eq!(rx.blocking_recv(), Ok(2));
    assert_eq!(rx.blocking_recv(), Err(RecvError::Closed));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(rx.resubscribe().try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn last_sender_wakes_who_waits() {
    let (tx, mut rx) = broadcast::channel::<u8>(1);
    let mut waiting = Spawned::new(rx.recv());
    assert!(waiting.poll().is_pending());
    drop(tx.clone());
    assert_eq!(waiting.wakes(), 0);
    drop(tx);
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.poll(), Poll::Ready(Err(RecvError::Closed)));
}

#[test]
fn send_fails_only_without_receivers() {
    let tx = broadcast::Sender::new(1);
    assert_eq!(tx.send("early"), Err(SendError("early")));
    let mut rx = tx.subscribe();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!((tx.send("now"), rx.try_recv()), (Ok(1), Ok("now")));
    drop(rx);
    assert_eq!((tx.send("late"), tx.receiver_count(), tx.len()), (Err(SendError("late")), 0, 0));
}

#[test]
fn capacity_is_rounded_up_to_a_power_of_two() {
    for (asked, room) in [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)] {
        let (tx, mut rx) = broadcast::channel(asked);
        (0..=room).for_each(|n| assert_eq!(tx.send(n), Ok(1)));
        assert_eq!((tx.len(), rx.len()), (room, room + 1));
        assert_eq!((rx.try_recv(), rx.try_recv()), (Err(TryRecvError::Lagged(1)), Ok(1)));
    }
    let (tx, _rx) = broadcast::channel(usize::MAX / 2);
    assert_eq!(tx.send(1), Ok(1));
}

#[test]
fn message_is_dropped_when_the_last_receiver_has_it_or_is_gone() {
    let (tx, mut one) = broadcast::channel(4);
    let [mut other, gone] = [tx.subscribe(), tx.subscribe()];
    let message = Arc::new(());
    assert_eq!(tx.send(message.clone()).expect("receivers"), 3);
    drop(one.try_recv().expect("a message"));
    drop(other.try_recv().expect("a message"));
    assert_eq!((Arc::strong_count(&message), tx.len()), (2, 1));
    drop(gone);
    assert_eq!((Arc::strong_count(&message), tx.len()), (1, 0));
    assert_eq!(tx.send(message.clone()).expect("receivers"), 2);
    assert_eq!(tx.send(message.clone()).expect("receivers"), 2);
    drop(one.try_recv().expect("a message"));
    assert_eq!((tx.len(), tx.receiver_count()), (2, 2));
    drop(other);
    assert_eq!((Arc::strong_count(&message), tx.len()), (2, 1));
    drop(one);
    assert_eq!((Arc::strong_count(&message), tx.is_empty()), (1, true));
}

#[test]
fn stream_gives_messages_and_lags_and_ends() {
    let (tx, mut rx) = broadcast::channel(1);
    let mut waiting = Spawned::new(rx.next());
    assert!(waiting.poll().is_pending());
    assert_eq!((tx.send(1), tx.send(2)), (Ok(1), Ok(1)));
    assert_eq!(waiting.wakes(), 1);
    drop(waiting);
    drop(tx);
    let all = Spawned::new(rx.collect::<Vec<_>>()).poll();
    assert_eq!(all, Poll::Ready(vec![Err(RecvError::Lagged(1)), Ok(2)]));
}

#[test]
fn stream_and_recv_wait_side_by_side() {
    let (tx, mut rx) = broadcast::channel(2);
    let context = &mut Context::from_waker(Waker::noop());
    assert!(rx.poll_next_unpin(context).is_pending());
    assert!(pin!(rx.recv()).poll(context).is_pending());
    assert_eq!((tx.send(1), tx.send(2)), (Ok(1), Ok(1)));
    assert_eq!(rx.poll_next_unpin(context), Poll::Ready(Some(Ok(1))));
    assert_eq!(pin!(rx.recv()).poll(context), Poll::Ready(Ok(2)));
    assert!(rx.poll_next_unpin(context).is_pending());
    drop(rx);
    assert_eq!(tx.send(3), Err(SendError(3)));
}

#[test]
fn channel_without_room_panics_where_it_is_made() {
    let place = Arc::new(Mutex::new(String::new()));
    let seen = place.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        *seen.lock().expect("no panic here") = panic.location().map(|l| l.file().to_owned()).unwrap_or_default();
    }));
    let results = [0, usize::MAX / 2 + 1].map(|n| {
        let result = catch_unwind(|| broadcast::channel::<u8>(n));
        (result.is_err(), place.lock().expect("no panic there").split_off(0))
    });
    std::panic::set_hook(before);
    for (panicked, file) in results {
        assert!(panicked && file.ends_with("broadcast.rs") && file.contains("tests"));
    }
}

#[test]
fn random_sends_and_receives_agree_with_a_model() {
    let mut seed = 7_u64;
    let mut roll = |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % sides
    };
    for round in 0..300 {
        let room = 1 << (round % 4);
        let tx = broadcast::Sender::new(room);
        // What each has yet to get, however old.
        let mut receivers: Vec<(broadcast::Receiver<usize>, VecDeque<usize>)> = Vec::new();
        for n in 0..200 {
            match roll(8) {
                0 if receivers.len() < 5 => receivers.push((tx.subscribe(), VecDeque::new())),
                1 if !receivers.is_empty() && roll(3) == 0 => drop(receivers.swap_remove(roll(receivers.len()))),
                2..5 => {
                    let expected = if receivers.is_empty() { Err(SendError(n)) } else { Ok(receivers.len()) };
                    assert_eq!(tx.send(n), expected);
                    receivers.iter_mut().for_each(|(_, model)| model.push_back(n));
                }
                _ if !receivers.is_empty() => {
                    let chosen = roll(receivers.len());
                    let (rx, model) = &mut receivers[chosen];
                    let missed = model.len().saturating_sub(room);
                    model.drain(..missed);
                    let expected = if missed > 0 {
                        Err(TryRecvError::Lagged(missed as u64))
                    } else {
                        model.pop_front().ok_or(TryRecvError::Empty)
                    };
                    assert_eq!(rx.try_recv(), expected);
                }
                _ => {}
            }
            assert!(receivers.iter().all(|(rx, model)| rx.len() == model.len()));
            assert_eq!(tx.len(), receivers.iter().map(|(_, model)| model.len().min(room)).max().unwrap_or(0));
            assert_eq!(tx.receiver_count(), receivers.len());
        }
    }
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
    let (tx, mut rx) = broadcast::channel::<u8>(1);
    assert!(rx.poll_next_unpin(context).is_pending());
    assert_eq!(Arc::strong_count(&idle), 3);
    drop(rx);
    assert_eq!((tx.receiver_count(), Arc::strong_count(&idle)), (0, 2));
}

#[test]
fn wakers_and_messages_may_use_the_channel() {
    /// Uses the channel when it is woken, cloned or dropped.
    struct Intruder(broadcast::Sender<Intruder>, Arc<AtomicUsize>);
    impl Intruder {
        fn intrude(&self) {
            let _count = (self.0.len(), self.0.subscribe().len());
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    impl Wake for Intruder {
        fn wake(self: Arc<Self>) {
            self.intrude();
        }
    }
    impl Clone for Intruder {
        fn clone(&self) -> Self {
            self.intrude();
            Self(self.0.clone(), self.1.clone())
        }
    }
    impl Drop for Intruder {
        fn drop(&mut self) {
            self.intrude();
        }
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = || calls.swap(0, Ordering::SeqCst);
    let (tx, mut rx) = broadcast::channel(1);
    let message = || Intruder(tx.clone(), calls.clone());
    let waker = Waker::from(Arc::new(message()));
    {
        let mut waiting = pin!(rx.recv());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(tx.send(message()).is_ok());
        assert_eq!(counted(), 1, "woken");
    }
    assert!(tx.send(message()).is_ok());
    assert_eq!(counted(), 1, "the oldest dropped");
    assert!(matches!(rx.try_recv(), Err(TryRecvError::Lagged(1))));
    let received = rx.try_recv();
    assert!(received.is_ok());
    assert_eq!(counted(), 2, "cloned, and the original dropped");
    assert!(tx.send(message()).is_ok());
    drop(rx);
    assert_eq!(counted(), 1, "dropped with its only receiver");
    assert!(tx.send(message()).is_err());
    assert_eq!(counted(), 1, "refused");
    drop((received, waker));
    assert_eq!(counted(), 2);
}

#[test]
fn clone_that_panics_costs_one_message() {
    #[derive(Debug)]
    struct Panics(bool);
    impl Clone for Panics {
        fn clone(&self) -> Self {
            assert!(!self.0, "as it was told");
            Self(self.0)
        }
    }
    let (tx, mut one) = broadcast::channel(2);
    let mut other = tx.subscribe();
    assert_eq!(tx.send(Panics(true)).expect("receivers"), 2);
    assert_eq!(tx.send(Panics(false)).expect("receivers"), 2);
    for rx in [&mut one, &mut other] {
        assert!(catch_unwind(AssertUnwindSafe(|| rx.try_recv())).is_err());
        assert!(rx.try_recv().is_ok());
    }
    assert!(tx.is_empty());
}

#[test]
fn every_thread_gets_everything() {
    let (tx, rx) = broadcast::channel(1 << 15);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut rx = rx.resubscribe();
            std::thread::spawn(move || {
                let mut received = [0; 2];
                loop {
                    match rx.blocking_recv() {
                        Ok((sender, n)) => {
                            assert_eq!(std::mem::replace(&mut received[sender], n + 1), n);
                        }
                        Err(end) => return (end, received),
                    }
                }
            })
        })
        .collect();
    drop(rx);
    let senders = [0, 1].map(|sender| {
        let tx = tx.clone();
        std::thread::spawn(move || (0..10_000).for_each(|n| assert_eq!(tx.send((sender, n)), Ok(3))))
    });
    drop(tx);
    senders.into_iter().for_each(|sender| sender.join().expect("no panic"));
    for reader in readers {
        assert_eq!(reader.join().expect("no panic"), (RecvError::Closed, [10_000; 2]));
    }
}

#[test]
fn identity_errors_and_print() {
    let (tx, rx) = broadcast::channel::<u8>(3);
    let (other, _rx) = broadcast::channel::<u8>(1);
    assert!(tx.same_channel(&tx.clone()) && !tx.same_channel(&other));
    assert!(rx.same_channel(&tx.subscribe()) && rx.is_empty());
    assert_eq!(format!("{tx:?}"), "Sender { capacity: 4, len: 0, senders: 1, receivers: 1, .. }");
    assert!(format!("{rx:?}").starts_with("Receiver { capacity: 4"));
    assert_eq!(format!("{:?} {}", SendError(1), SendError(1)), "SendError(1) channel closed");
    assert_eq!(RecvError::Lagged(2).to_string(), "channel lagged by 2");
    assert_eq!(RecvError::Closed.to_string(), "channel closed");
    assert_eq!(TryRecvError::Empty.to_string(), "channel empty");
    assert_eq!(TryRecvError::from(RecvError::Closed).to_string(), "channel closed");
    assert_eq!(TryRecvError::from(RecvError::Lagged(3)).to_string(), "channel lagged by 3");
}
