//! Every interleaving of the races around what reaches everyone: tokens, `watch` and `broadcast`.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p quoit-sync --release --test loom_news`
#![cfg(loom)]

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use loom::future::block_on;
use loom::model::Builder;
use loom::thread;

use quoit_sync::broadcast::error::RecvError;
use quoit_sync::{CancellationToken, broadcast, watch};

/// Explores with as many preemptions as find the bugs of such code, and ends in seconds.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(run);
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn cancel_reaches_who_waits() {
    model(|| {
        let token = CancellationToken::new();
        let child = token.child_token();
        let cancels = thread::spawn(move || token.cancel());
        block_on(child.cancelled());
        assert!(child.is_cancelled());
        cancels.join().unwrap();
    });
}

#[test]
fn child_made_during_the_cancel_is_cancelled() {
    model(|| {
        let token = CancellationToken::new();
        let middle = token.child_token();
        let cancelling = token.clone();
        let cancels = thread::spawn(move || cancelling.cancel());
        let child = middle.child_token();
        drop(middle);
        cancels.join().unwrap();
        assert!(child.is_cancelled() && token.child_token().is_cancelled());
    });
}

#[test]
fn parent_that_leaves_during_the_cancel_passes_it_on() {
    model(|| {
        let token = CancellationToken::new();
        let middle = token.child_token();
        let child = middle.child_token();
        let leaves = thread::spawn(move || drop(middle));
        let cancels = thread::spawn(move || token.cancel());
        block_on(child.cancelled());
        leaves.join().unwrap();
        cancels.join().unwrap();
    });
}

#[test]
fn second_cancel_returns_when_all_are_cancelled() {
    model(|| {
        let token = CancellationToken::new();
        let child = token.child_token();
        let grandchild = child.child_token();
        // Each has the branch to look at, and looks as soon as its own cancel has returned, be it the one that does the work or
        // the one that finds it begun. A cancel that trusted the first flag it sees would return too early.
        let cancel = |token: CancellationToken, below: [CancellationToken; 2]| {
            move || {
                token.cancel();
                assert_eq!(below.map(|token| token.is_cancelled()), [true, true]);
            }
        };
        let first = thread::spawn(cancel(token.clone(), [child.clone(), grandchild.clone()]));
        cancel(token, [child, grandchild])();
        first.join().unwrap();
    });
}

#[test]
fn waiter_that_gives_up_costs_the_others_nothing() {
    model(|| {
        let token = CancellationToken::new();
        let [cancelling, giving_up] = [token.clone(), token.clone()];
        let gives_up = thread::spawn(move || poll_once(Box::pin(giving_up.cancelled()).as_mut()).is_ready());
        let cancels = thread::spawn(move || cancelling.cancel());
        block_on(token.cancelled_owned());
        gives_up.join().unwrap();
        cancels.join().unwrap();
    });
}

#[test]
fn watch_change_is_not_missed() {
    model(|| {
        let (tx, mut rx) = watch::channel(0);
        let sender = thread::spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        let mut last = 0;
        while block_on(rx.changed()).is_ok() {
            let value = *rx.borrow_and_update();
            assert!(value >= last);
            last = value;
        }
        assert_eq!(last, 2);
        sender.join().unwrap();
    });
}

#[test]
fn watch_wait_for_sees_the_last_value() {
    model(|| {
        let (tx, mut rx) = watch::channel(0);
        let sender = thread::spawn(move || tx.send(1).unwrap());
        assert_eq!(block_on(rx.wait_for(|n| *n == 1)).map(|n| *n), Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn watch_stream_ends_with_the_last_value() {
    model(|| {
        let (tx, mut rx) = watch::channel(0);
        let sender = thread::spawn(move || tx.send(1).unwrap());
        let mut last = None;
        while let Some(value) = block_on(std::future::poll_fn(|context| Pin::new(&mut rx).poll_next(context))) {
            assert!(last < Some(value));
            last = Some(value);
        }
        assert_eq!(last, Some(1));
        sender.join().unwrap();
    });
}

#[test]
fn watch_closed_sees_the_receivers_go() {
    model(|| {
        let (tx, rx) = watch::channel(0);
        let receivers = [rx.clone(), rx].map(|rx| thread::spawn(move || drop(rx)));
        block_on(tx.closed());
        assert!(tx.send(1).is_err());
        receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
    });
}

#[test]
fn watch_senders_do_not_lose_each_others_changes() {
    model(|| {
        let (tx, mut rx) = watch::channel(0);
        let senders = [tx.clone(), tx].map(|tx| thread::spawn(move || tx.send_modify(|n| *n += 1)));
        assert_eq!(block_on(rx.wait_for(|n| *n == 2)).map(|n| *n), Ok(2));
        assert!(!rx.has_changed().unwrap_or(false));
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn broadcast_reaches_every_receiver() {
    model(|| {
        let (tx, mut one) = broadcast::channel(2);
        let mut other = tx.subscribe();
        let receiver = thread::spawn(move || {
            assert_eq!(block_on(other.recv()), Ok(1));
            assert_eq!(block_on(other.recv()), Err(RecvError::Closed));
        });
        assert_eq!(tx.send(1), Ok(2));
        drop(tx);
        assert_eq!(block_on(one.recv()), Ok(1));
        receiver.join().unwrap();
    });
}

#[test]
fn broadcast_counts_what_it_overwrites() {
    model(|| {
        let (tx, mut rx) = broadcast::channel(1);
        let sender = thread::spawn(move || (0..3).for_each(|n| assert_eq!(tx.send(n), Ok(1))));
        let mut next = 0;
        loop {
            match block_on(rx.recv()) {
                Ok(n) => {
                    assert_eq!(n, next);
                    next += 1;
                }
                Err(RecvError::Lagged(missed)) => next += missed,
                Err(RecvError::Closed) => break,
            }
        }
        assert_eq!(next, 3);
        sender.join().unwrap();
    });
}

#[test]
fn broadcast_message_to_receivers_that_go_is_dropped() {
    model(|| {
        let message = std::sync::Arc::new(());
        let (tx, mut one) = broadcast::channel(1);
        let other = tx.subscribe();
        let goes = thread::spawn(move || drop(other));
        assert!(tx.send(message.clone()).is_ok());
        drop(block_on(one.recv()));
        goes.join().unwrap();
        assert_eq!((tx.len(), std::sync::Arc::strong_count(&message)), (0, 1));
    });
}

#[test]
fn broadcast_recv_that_gives_up_loses_nothing() {
    model(|| {
        let (tx, mut rx) = broadcast::channel(2);
        let sender = thread::spawn(move || assert_eq!(tx.send(1), Ok(1)));
        let early = poll_once(Box::pin(rx.recv()).as_mut());
        match early {
            Poll::Ready(received) => assert_eq!(received, Ok(1)),
            Poll::Pending => assert_eq!(rx.blocking_recv(), Ok(1)),
        }
        assert_eq!(rx.blocking_recv(), Err(RecvError::Closed));
        sender.join().unwrap();
    });
}
