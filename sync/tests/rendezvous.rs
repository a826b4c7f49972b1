//! Facts of `mpsc::rendezvous`.
#![cfg(not(loom))]

mod spawned;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use quoit_sync::mpsc::{
    self,
    error::{SendError, TryRecvError, TrySendError},
};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

#[test]
fn send_is_done_when_the_message_is_taken() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut send = Spawned::new(tx.send(1));
    assert_eq!(send.poll(), Poll::Pending);
    assert_eq!((rx.len(), rx.capacity(), rx.max_capacity()), (0, 0, 0));
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(send.wakes(), 1);
    assert_eq!(send.poll(), Poll::Ready(Ok(())));
}

#[test]
fn send_to_a_receiver_that_waits_still_waits_for_the_taking() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    let mut send = Spawned::new(tx.send(1));
    assert!(send.poll().is_pending());
    assert_eq!(recv.wakes(), 1);
    assert!(send.poll().is_pending());
    assert_eq!(recv.poll(), Poll::Ready(Some(1)));
    assert_eq!(send.poll(), Poll::Ready(Ok(())));
}

#[test]
fn dropped_send_takes_its_message_back() {
    let counted = Arc::new(());
    let (tx, mut rx) = mpsc::rendezvous();
    let mut send = Spawned::new(tx.send(counted.clone()));
    assert!(send.poll().is_pending());
    drop(send);
    assert_eq!(Arc::strong_count(&counted), 1);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn dropped_recv_loses_nothing_and_withdraws_its_demand() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    drop(recv);
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));

    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    assert_eq!(tx.try_send(2), Ok(()));
    drop(recv);
    assert_eq!(rx.try_recv(), Ok(2));
}

#[test]
fn try_send_answers_one_waiting_receiver_once() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(recv.wakes(), 1);
    assert_eq!(recv.poll(), Poll::Ready(Some(1)));
}

#[test]
fn try_send_does_not_overtake_an_offer() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    let mut send = Spawned::new(tx.send(1));
    assert!(send.poll().is_pending());
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(recv.poll(), Poll::Ready(Some(1)));
}

#[test]
fn offers_are_taken_in_their_order() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut sends: Vec<_> = (0..5).map(|n| Spawned::new(tx.send(n))).collect();
    assert!(sends.iter_mut().all(|send| send.poll().is_pending()));
    let mut batch = Vec::new();
    assert_eq!(Spawned::new(rx.recv_many(&mut batch, 3)).poll(), Poll::Ready(3));
    assert_eq!(batch, [0, 1, 2]);
    assert_eq!(sends.iter().map(Spawned::wakes).collect::<Vec<_>>(), [1, 1, 1, 0, 0]);
}

#[test]
fn reservation_is_granted_while_the_receiver_waits() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut reserve = Spawned::new(tx.reserve());
    assert!(reserve.poll().is_pending());
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    assert_eq!(reserve.wakes(), 1);
    let Poll::Ready(Ok(permit)) = reserve.poll() else { panic!("the receiver waits") };
    assert!(recv.poll().is_pending());
    permit.send(1);
    assert_eq!(recv.poll(), Poll::Ready(Some(1)));
}

#[test]
fn receiver_turns_to_the_next_sender_when_a_permit_is_dropped() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut reserve = Spawned::new(tx.reserve());
    assert!(reserve.poll().is_pending());
    let mut send = Spawned::new(tx.send(2));
    assert!(send.poll().is_pending());
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    // Granted, and dropped unseen.
    assert_eq!(reserve.wakes(), 1);
    drop(reserve);
    assert_eq!(recv.wakes(), 1);
    assert_eq!(recv.poll(), Poll::Ready(Some(2)));
    assert_eq!(send.poll(), Poll::Ready(Ok(())));
}

#[test]
fn close_gives_offers_back() {
    let (tx, mut rx) = mpsc::rendezvous();
    let [mut send, mut unseen] = [1, 2].map(|n| Spawned::new(tx.send(Arc::new(n))));
    assert!(send.poll().is_pending() && unseen.poll().is_pending());
    rx.close();
    assert_eq!((send.wakes(), unseen.wakes()), (1, 1));
    assert_eq!(send.poll(), Poll::Ready(Err(SendError(Arc::new(1)))));
    drop(unseen);
    assert!(Spawned::new(rx.recv()).poll() == Poll::Ready(None));
    assert_eq!(Spawned::new(tx.send(Arc::new(3))).poll(), Poll::Ready(Err(SendError(Arc::new(3)))));
}

#[test]
fn taken_message_counts_as_sent_even_if_the_channel_closes() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut send = Spawned::new(tx.send(1));
    assert!(send.poll().is_pending());
    assert_eq!(rx.try_recv(), Ok(1));
    drop(rx);
    assert_eq!(send.poll(), Poll::Ready(Ok(())));
}

#[test]
fn forgotten_send_leaves_its_message_to_the_receiver() {
    let (tx, mut rx) = mpsc::rendezvous();
    let mut send = Box::pin(tx.send(1));
    assert!(Spawned::new(poll_fn(|context| send.as_mut().poll(context))).poll().is_pending());
    std::mem::forget(send);
    drop(tx);
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn threads_meet() {
    let (tx, mut rx) = mpsc::rendezvous();
    let senders = [1, 2].map(|_| {
        let tx = tx.clone();
        std::thread::spawn(move || (0..500).for_each(|n| tx.blocking_send(n).expect("a receiver")))
    });
    drop(tx);
    let mut sum = 0;
    while let Some(n) = rx.blocking_recv() {
        sum += n;
    }
    assert_eq!(sum, 2 * (0..500).sum::<i32>());
    senders.into_iter().for_each(|sender| sender.join().expect("no panic"));
}
