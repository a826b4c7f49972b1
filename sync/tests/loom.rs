//! Every interleaving of the channels' races.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p quoit-sync --release --test loom`
#![cfg(loom)]

use std::pin::pin;
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use quoit_sync::mpsc::error::SendError;
use quoit_sync::{Notify, mpsc, oneshot};

/// Explores with as many preemptions as find the bugs of such code, and ends in seconds.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(run);
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Counts how many are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn oneshot_message_reaches_the_receiver() {
    model(|| {
        let (tx, rx) = oneshot::channel();
        let sender = thread::spawn(move || assert_eq!(tx.send(1), Ok(())));
        assert_eq!(block_on(rx), Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn oneshot_dropped_sender_ends_the_receiver() {
    model(|| {
        let (tx, rx) = oneshot::channel::<u8>();
        let sender = thread::spawn(move || drop(tx));
        assert!(rx.blocking_recv().is_err());
        sender.join().unwrap();
    });
}

#[test]
fn oneshot_message_to_a_dropped_receiver_is_dropped_once() {
    model(|| {
        let alive = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = oneshot::channel();
        let message = Counted::new(&alive);
        let sender = thread::spawn(move || drop(tx.send(message)));
        drop(rx);
        sender.join().unwrap();
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn oneshot_close_and_send_agree() {
    model(|| {
        let (tx, mut rx) = oneshot::channel();
        let sender = thread::spawn(move || tx.send(1).is_ok());
        rx.close();
        let received = block_on(rx).is_ok();
        assert_eq!(sender.join().unwrap(), received);
    });
}

#[test]
fn oneshot_closed_sees_the_receiver_go() {
    model(|| {
        let (mut tx, rx) = oneshot::channel::<u8>();
        let receiver = thread::spawn(move || drop(rx));
        block_on(tx.closed());
        receiver.join().unwrap();
    });
}

#[test]
fn two_senders_fill_one_place() {
    model(|| {
        let (tx, mut rx) = mpsc::channel(1);
        let senders = [1, 2].map(|n| {
            let tx = tx.clone();
            thread::spawn(move || block_on(tx.send(n)).expect("a receiver"))
        });
        drop(tx);
        let mut sum = 0;
        while let Some(n) = block_on(rx.recv()) {
            sum += n;
        }
        assert_eq!(sum, 3);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn close_and_send_agree() {
    model(|| {
        let (tx, mut rx) = mpsc::channel(1);
        let sender = thread::spawn(move || {
            let first = block_on(tx.send(1)).is_ok();
            let second = block_on(tx.send(2));
            assert!(second.is_ok() || second == Err(SendError(2)));
            usize::from(first) + usize::from(second.is_ok())
        });
        let mut received = usize::from(rx.try_recv().is_ok());
        rx.close();
        while block_on(rx.recv()).is_some() {
            received += 1;
        }
        assert_eq!(sender.join().unwrap(), received);
    });
}

#[test]
fn permit_that_is_dropped_ends_a_closed_receiver() {
    model(|| {
        let (tx, mut rx) = mpsc::channel::<u8>(1);
        let sender = thread::spawn(move || drop(tx.try_reserve()));
        rx.close();
        assert_eq!(block_on(rx.recv()), None);
        sender.join().unwrap();
    });
}

#[test]
fn dropped_send_passes_its_room_on() {
    model(|| {
        let (tx, mut rx) = mpsc::channel(1);
        tx.try_send(0).expect("room");
        let other = tx.clone();
        let sender = thread::spawn(move || block_on(other.send(2)).expect("a receiver"));
        let gives_up = thread::spawn(move || {
            let mut send = Box::pin(tx.send(1));
            usize::from(poll_once(send.as_mut()))
        });
        let mut received = 0;
        while let Some(n) = block_on(rx.recv()) {
            received += n;
        }
        assert_eq!(received, 2 + gives_up.join().unwrap());
        sender.join().unwrap();
    });
}

#[test]
fn rendezvous_hands_over() {
    model(|| {
        let (tx, mut rx) = mpsc::rendezvous();
        let sender = thread::spawn(move || block_on(tx.send(1)));
        assert_eq!(block_on(rx.recv()), Some(1));
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert_eq!(block_on(rx.recv()), None);
    });
}

#[test]
fn rendezvous_offer_that_is_dropped_is_taken_or_gone() {
    model(|| {
        let alive = Arc::new(AtomicUsize::new(0));
        let (tx, mut rx) = mpsc::rendezvous();
        let message = Counted::new(&alive);
        let sender = thread::spawn(move || {
            let mut send = Box::pin(tx.send(message));
            poll_once(send.as_mut())
        });
        drop(rx.try_recv());
        drop(block_on(rx.recv()));
        sender.join().unwrap();
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn rendezvous_reservation_meets_the_receiver() {
    model(|| {
        let (tx, mut rx) = mpsc::rendezvous();
        let sender = thread::spawn(move || {
            let Ok(permit) = block_on(tx.reserve()) else { panic!("a receiver") };
            permit.send(1);
        });
        assert_eq!(block_on(rx.recv()), Some(1));
        sender.join().unwrap();
    });
}

#[test]
fn senders_learn_of_the_close() {
    model(|| {
        let (tx, rx) = mpsc::unbounded_channel::<u8>();
        let receiver = thread::spawn(move || drop(rx));
        block_on(tx.closed());
        assert!(tx.send(1).is_err());
        receiver.join().unwrap();
    });
}

#[test]
fn notify_one_is_not_lost() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let waker = thread::spawn(move || other.notify_one());
        block_on(notify.notified());
        waker.join().unwrap();
    });
}

#[test]
fn notify_waiters_reaches_who_was_made_before() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let notified = notify.notified();
        let waker = thread::spawn(move || other.notify_waiters());
        block_on(notified);
        waker.join().unwrap();
    });
}

#[test]
fn dropped_waiter_passes_its_permit_on() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let (waking, giving_up) = (notify.clone(), notify.clone());
        let waker = thread::spawn(move || waking.notify_one());
        let gives_up = thread::spawn(move || {
            let mut notified = pin!(giving_up.notified());
            // What it takes it hands back, so that there is one for the waiter in any case.
            if poll_once(notified.as_mut()) {
                giving_up.notify_one();
            }
        });
        block_on(notify.notified());
        waker.join().unwrap();
        gives_up.join().unwrap();
    });
}

#[test]
fn notify_permit_is_taken_once() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let (waking, other) = (notify.clone(), notify.clone());
        let waker = thread::spawn(move || waking.notify_one());
        let taker = thread::spawn(move || usize::from(poll_once(pin!(other.notified()))));
        let mine = usize::from(poll_once(pin!(notify.notified())));
        waker.join().unwrap();
        let taken = mine + taker.join().unwrap();
        let left = usize::from(poll_once(pin!(notify.notified())));
        assert_eq!(taken + left, 1);
    });
}

#[test]
fn notify_one_and_notify_waiters_wake_two() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let (one, all) = (notify.clone(), notify.clone());
        let (first, second) = (notify.notified(), notify.notified());
        let threads = [thread::spawn(move || one.notify_one()), thread::spawn(move || all.notify_waiters())];
        block_on(first);
        block_on(second);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn notify_waiter_that_leaves_takes_the_word_with_it() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let leaves = thread::spawn(move || usize::from(poll_once(pin!(other.notified()))));
        notify.notify_one();
        let left = leaves.join().unwrap();
        // What the one that left did not use is there, and nobody queues.
        assert_eq!(usize::from(poll_once(pin!(notify.notified()))) + left, 1);
        notify.notify_one();
        assert!(poll_once(pin!(notify.notified())));
    });
}
