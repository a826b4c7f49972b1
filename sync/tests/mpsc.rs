//! Facts of bounded and unbounded `mpsc`. The async ones run on tokio's current-thread executor, the others poll by hand.
#![cfg(not(loom))]

mod spawned;

use std::sync::Arc;
use std::task::Poll;

use futures_util::StreamExt as _;
use quoit_sync::mpsc::{
    self,
    error::{SendError, TryRecvError, TrySendError},
};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

#[tokio::test]
async fn messages_arrive_in_order_and_then_none_for_ever() {
    let (tx, mut rx) = mpsc::channel(2);
    let sender = tokio::spawn(async move {
        for n in 0..100 {
            tx.send(n).await.expect("a receiver");
        }
    });
    for n in 0..100 {
        assert_eq!(rx.recv().await, Some(n));
    }
    sender.await.expect("no panic");
    assert_eq!((rx.recv().await, rx.recv().await), (None, None));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn senders_get_room_in_the_order_they_came() {
    let (tx, mut rx) = mpsc::channel(1);
    assert_eq!(tx.try_send(0), Ok(()));
    let mut sends = [1, 2, 3].map(|n| Spawned::new(tx.send(n)));
    assert!(sends.iter_mut().all(|send| send.poll().is_pending()));
    assert_eq!(rx.try_recv(), Ok(0));
    assert_eq!(sends.each_ref().map(Spawned::wakes), [1, 0, 0]);
    // The room is the first's already: nobody else gets it, polled or not.
    assert_eq!((tx.capacity(), tx.try_send(9)), (0, Err(TrySendError::Full(9))));
    let [first, second, _] = &mut sends;
    assert!(second.poll().is_pending());
    assert_eq!(first.poll(), Poll::Ready(Ok(())));
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(sends.each_ref().map(Spawned::wakes), [1, 1, 0]);
}

#[test]
fn dropped_send_passes_its_room_on_and_keeps_its_message() {
    let counted = Arc::new(());
    let (tx, mut rx) = mpsc::channel(1);
    assert!(tx.try_send(counted.clone()).is_ok());
    let [mut first, mut second, mut third] = [(); 3].map(|()| Spawned::new(tx.send(counted.clone())));
    assert!(first.poll().is_pending() && second.poll().is_pending() && third.poll().is_pending());
    // One leaves the queue while it waits, one when it has its room.
    drop(second);
    assert!(rx.try_recv().is_ok());
    assert_eq!((first.wakes(), third.wakes()), (1, 0));
    drop(first);
    assert_eq!(third.wakes(), 1);
    assert_eq!(Arc::strong_count(&counted), 2);
    assert!(third.poll().is_ready());
    assert_eq!(rx.len(), 1);
}

#[test]
fn dropped_recv_loses_nothing() {
    let (tx, mut rx) = mpsc::channel(1);
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    assert_eq!(tx.try_send(1), Ok(()));
    assert_eq!(recv.wakes(), 1);
    drop(recv);
    let mut batch = Vec::new();
    assert_eq!(Spawned::new(rx.recv_many(&mut batch, 8)).poll(), Poll::Ready(1));
    assert_eq!(batch, [1]);
}

#[test]
fn recv_many_takes_up_to_its_limit_and_makes_room_for_as_many() {
    let (tx, mut rx) = mpsc::channel(8);
    (0..8).for_each(|n| assert_eq!(tx.try_send(n), Ok(())));
    let mut sends: Vec<_> = (8..16).map(|n| Spawned::new(tx.send(n))).collect();
    assert!(sends.iter_mut().all(|send| send.poll().is_pending()));
    let mut batch = vec![100];
    assert_eq!(Spawned::new(rx.recv_many(&mut batch, 0)).poll(), Poll::Ready(0));
    assert_eq!(Spawned::new(rx.recv_many(&mut batch, 6)).poll(), Poll::Ready(6));
    assert_eq!(batch, [100, 0, 1, 2, 3, 4, 5]);
    assert_eq!(sends.iter().map(Spawned::wakes).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 0, 0]);
    assert!(sends.iter_mut().take(6).all(|send| send.poll().is_ready()));
    batch.clear();
    assert_eq!(rx.blocking_recv_many(&mut batch, 100), 8);
    assert_eq!(batch, [6, 7, 8, 9, 10, 11, 12, 13]);
}

#[test]
fn close_gives_waiting_senders_their_messages_back() {
    let (tx, mut rx) = mpsc::channel(1);
    assert_eq!(tx.try_send(0), Ok(()));
    let mut send = Spawned::new(tx.send(1));
    let mut reserve = Spawned::new(tx.reserve());
    let mut closed = Spawned::new(tx.closed());
    assert!(send.poll().is_pending() && reserve.poll().is_pending() && closed.poll().is_pending());
    rx.close();
    rx.close();
    assert_eq!((send.wakes(), reserve.wakes(), closed.wakes()), (1, 1, 1));
    assert_eq!(send.poll(), Poll::Ready(Err(SendError(1))));
    assert!(matches!(reserve.poll(), Poll::Ready(Err(SendError(())))));
    assert!(closed.poll().is_ready() && tx.is_closed() && rx.is_closed());
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(0), Err(TryRecvError::Disconnected)));
}

#[test]
fn room_granted_but_not_seen_before_the_close_goes_back() {
    let (tx, mut rx) = mpsc::channel(1);
    assert_eq!(tx.try_send(0), Ok(()));
    let mut send = Spawned::new(tx.send(1));
    assert!(send.poll().is_pending());
    assert_eq!(rx.try_recv(), Ok(0));
    rx.close();
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending(), "the sender may still send");
    assert_eq!(send.poll(), Poll::Ready(Err(SendError(1))));
    assert_eq!(recv.wakes(), 1);
    assert_eq!(recv.poll(), Poll::Ready(None));
    drop(recv);
    assert_eq!(rx.capacity(), 1);
}

#[test]
fn closed_receiver_waits_for_permits() {
    for used in [false, true] {
        let (tx, mut rx) = mpsc::channel(2);
        let permit = tx.try_reserve().expect("room");
        rx.close();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        let mut recv = Spawned::new(rx.recv());
        assert!(recv.poll().is_pending());
        if used {
            permit.send(7)
        } else {
            drop(permit)
        }
        assert_eq!(recv.wakes(), 1);
        assert_eq!(recv.poll(), Poll::Ready(used.then_some(7)));
        drop(recv);
        assert_eq!(rx.blocking_recv(), None);
    }
}

#[test]
fn permits_hold_their_room() {
    let (tx, mut rx) = mpsc::channel(2);
    let permit = tx.try_reserve().expect("room");
    let owned = tx.clone().try_reserve_owned().expect("room");
    assert_eq!((tx.capacity(), tx.max_capacity(), tx.strong_count()), (0, 2, 2));
    assert!(matches!(tx.try_reserve(), Err(TrySendError::Full(()))));
    let Err(TrySendError::Full(back)) = tx.clone().try_reserve_owned() else { panic!("there is no room") };
    assert!(back.same_channel(&tx) && owned.same_channel_as_sender(&tx) && owned.same_channel(&owned));
    drop(permit);
    assert_eq!(tx.capacity(), 1);
    let again = owned.send(1);
    let owned = again.try_reserve_owned().expect("room");
    let again = owned.release();
    drop(back);
    assert_eq!((again.capacity(), rx.len(), rx.try_recv()), (1, 1, Ok(1)));
    drop(again.clone().try_reserve_owned().expect("room"));
    assert_eq!((tx.capacity(), tx.strong_count()), (2, 2));
}

#[test]
fn dropped_receiver_drops_all_messages_once() {
    let counted = Arc::new(());
    let (tx, rx) = mpsc::channel(4);
    let permit = tx.try_reserve().expect("room");
    assert!(tx.try_send(counted.clone()).is_ok() && tx.try_send(counted.clone()).is_ok());
    drop(rx);
    assert_eq!(Arc::strong_count(&counted), 1);
    permit.send(counted.clone());
    assert_eq!(Arc::strong_count(&counted), 1);
    assert_eq!(tx.try_send(counted.clone()), Err(TrySendError::Closed(counted.clone())));
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn last_sender_wakes_the_receiver() {
    let (tx, mut rx) = mpsc::channel::<u8>(1);
    let weak = tx.downgrade();
    let other = weak.upgrade().expect("a sender");
    let mut recv = Spawned::new(rx.recv());
    assert!(recv.poll().is_pending());
    drop(tx);
    assert_eq!((recv.wakes(), weak.strong_count(), weak.weak_count()), (0, 1, 1));
    drop(other);
    assert_eq!(recv.wakes(), 1);
    assert_eq!(recv.poll(), Poll::Ready(None));
    drop(recv);
    assert!(weak.upgrade().is_none() && rx.is_closed());
    assert_eq!((rx.sender_strong_count(), rx.sender_weak_count()), (0, 1));
}

#[test]
fn forgotten_permit_costs_its_room_and_ends_no_receiver() {
    let (tx, mut rx) = mpsc::channel::<u8>(2);
    std::mem::forget(tx.try_reserve().expect("room"));
    assert_eq!(tx.capacity(), 1);
    assert_eq!(tx.try_send(1), Ok(()));
    drop(tx);
    assert_eq!((rx.blocking_recv(), rx.blocking_recv()), (Some(1), None));
}

#[tokio::test]
async fn unbounded_send_never_waits() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    (0..10_000).for_each(|n| assert_eq!(tx.send(n), Ok(())));
    let mut batch = Vec::new();
    assert_eq!((rx.len(), rx.recv_many(&mut batch, 9_000).await), (10_000, 9_000));
    let weak = tx.downgrade();
    assert!(weak.upgrade().is_some_and(|other| other.same_channel(&tx)));
    drop(tx);
    assert_eq!(rx.collect::<Vec<_>>().await, (9_000..10_000).collect::<Vec<_>>());
    assert!(weak.upgrade().is_none());
}

#[test]
fn unbounded_close_keeps_what_was_sent() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let mut closed = Spawned::new(tx.closed());
    assert!(closed.poll().is_pending());
    assert_eq!(tx.send(1), Ok(()));
    rx.close();
    assert_eq!(closed.wakes(), 1);
    assert_eq!(tx.send(2), Err(SendError(2)));
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Err(TryRecvError::Disconnected)));
    assert_eq!(rx.blocking_recv(), None);
}

#[tokio::test]
async fn send_with_a_deadline_returns_no_message_to_the_channel() {
    let (tx, mut rx) = mpsc::channel(1);
    assert_eq!(tx.send(1).await, Ok(()));
    tokio::time::timeout(std::time::Duration::ZERO, tx.send(2)).await.expect_err("there is no room");
    drop(tx);
    assert_eq!((rx.recv().await, rx.recv().await), (Some(1), None));
}
