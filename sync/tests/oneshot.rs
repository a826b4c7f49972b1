//! Facts of `oneshot`, each of both flavors. The async ones run on tokio's current-thread executor, the others poll by hand.
#![cfg(not(loom))]

mod spawned;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use quoit_sync::oneshot::error::TryRecvError;

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

macro_rules! facts {
    ($flavor:ident, $oneshot:path) => {
        mod $flavor {
            use $oneshot as oneshot;

            use super::*;

            #[tokio::test]
            async fn message_sent_before_the_wait_is_received() {
                let (tx, rx) = oneshot::channel();
                assert_eq!(tx.send(1), Ok(()));
                assert_eq!(rx.await, Ok(1));
            }

            #[test]
            fn receiver_that_waits_is_woken_once_by_the_message() {
                let (tx, rx) = oneshot::channel();
                let mut recv = Spawned::new(rx);
                assert_eq!(recv.poll(), Poll::Pending);
                assert_eq!(recv.poll(), Poll::Pending);
                assert_eq!(tx.send("here"), Ok(()));
                assert_eq!(recv.wakes(), 1);
                assert_eq!(recv.poll(), Poll::Ready(Ok("here")));
            }

            #[test]
            fn dropped_sender_wakes_the_receiver_with_an_error() {
                let (tx, rx) = oneshot::channel::<u8>();
                let mut recv = Spawned::new(rx);
                assert!(recv.poll().is_pending());
                drop(tx);
                assert_eq!(recv.wakes(), 1);
                let Poll::Ready(Err(error)) = recv.poll() else { panic!("the sender is gone") };
                assert_eq!(error.to_string(), "channel closed");
            }

            #[test]
            fn only_the_last_waker_is_woken() {
                let (tx, mut rx) = oneshot::channel();
                let mut old = Spawned::new(poll_fn(move |context| match Pin::new(&mut rx).poll(context) {
                    Poll::Pending => Poll::Ready(std::mem::replace(&mut rx, oneshot::channel().1)),
                    Poll::Ready(_) => panic!("nothing was sent"),
                }));
                let Poll::Ready(rx) = old.poll() else { panic!("it moves the receiver out") };
                let mut new = Spawned::new(rx);
                assert!(new.poll().is_pending());
                assert_eq!(tx.send(3), Ok(()));
                assert_eq!((old.wakes(), new.wakes()), (0, 1));
                assert_eq!(new.poll(), Poll::Ready(Ok(3)));
            }

            #[test]
            fn try_recv_tells_empty_from_closed() {
                let (tx, mut rx) = oneshot::channel();
                assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
                assert!(rx.is_empty() && !rx.is_terminated());
                assert_eq!(tx.send(1), Ok(()));
                assert!(!rx.is_empty());
                assert_eq!(rx.try_recv(), Ok(1));
                assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
                assert!(rx.is_empty() && rx.is_terminated());

                let (tx, mut rx) = oneshot::channel::<u8>();
                drop(tx);
                assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
                assert_eq!(
                    (TryRecvError::Empty.to_string(), TryRecvError::Closed.to_string()),
                    ("channel empty".into(), "channel closed".into())
                );
            }

            #[test]
            fn send_after_close_returns_the_message() {
                let (tx, mut rx) = oneshot::channel();
                rx.close();
                rx.close();
                assert!(tx.is_closed());
                assert_eq!(tx.send(9), Err(9));
                assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
            }

            #[tokio::test]
            async fn message_sent_before_the_close_is_received() {
                let (tx, mut rx) = oneshot::channel();
                assert_eq!(tx.send(9), Ok(()));
                rx.close();
                assert_eq!(rx.await, Ok(9));
            }

            #[tokio::test]
            async fn closed_receiver_is_ready_although_the_sender_lives() {
                let (tx, mut rx) = oneshot::channel::<u8>();
                rx.close();
                assert!(rx.await.is_err());
                assert_eq!(tx.send(1), Err(1));
            }

            #[test]
            fn sender_is_woken_when_the_receiver_goes() {
                for by_drop in [false, true] {
                    let (mut tx, mut rx) = oneshot::channel::<u8>();
                    let mut closed = Spawned::new(async move {
                        tx.closed().await;
                        tx
                    });
                    assert!(closed.poll().is_pending());
                    let rest = if by_drop {
                        drop(rx);
                        None
                    } else {
                        rx.close();
                        Some(rx)
                    };
                    assert_eq!(closed.wakes(), 1);
                    let Poll::Ready(tx) = closed.poll() else { panic!("the receiver is gone") };
                    assert_eq!(tx.send(1), Err(1));
                    drop(rest);
                }
            }

            #[test]
            fn message_nobody_took_is_dropped_with_the_receiver() {
                let counted = Arc::new(());
                let (tx, rx) = oneshot::channel();
                assert!(tx.send(counted.clone()).is_ok());
                assert_eq!(Arc::strong_count(&counted), 2);
                drop(rx);
                assert_eq!(Arc::strong_count(&counted), 1);
            }

            #[test]
            #[should_panic(expected = "polled again")]
            fn polling_after_ready_panics() {
                let (tx, rx) = oneshot::channel();
                assert_eq!(tx.send(1), Ok(()));
                let mut recv = Spawned::new(rx);
                assert!(recv.poll().is_ready());
                let _panics = recv.poll();
            }

            #[test]
            fn many_channels_at_once_do_not_share_memory() {
                // Within what a thread keeps for the next channel, larger than that, and more aligned.
                #[repr(align(64))]
                #[derive(Debug, PartialEq)]
                struct Aligned(usize);
                fn check<T: PartialEq + std::fmt::Debug>(make: impl Fn(usize) -> T) {
                    // The second time in the memory of the first, where it was kept.
                    for _ in 0..2 {
                        let (senders, receivers): (Vec<_>, Vec<_>) = (0..200).map(|_| oneshot::channel()).unzip();
                        for (n, tx) in senders.into_iter().enumerate() {
                            assert_eq!(tx.send(make(n)), Ok(()));
                        }
                        for (n, mut rx) in receivers.into_iter().enumerate() {
                            assert_eq!(rx.try_recv(), Ok(make(n)));
                        }
                    }
                }
                // On a thread of its own, which gives back what it kept when it ends.
                let checked = thread::spawn(|| {
                    check(|n| n);
                    check(|n| [n; 40]);
                    check(Aligned);
                });
                assert!(checked.join().is_ok());
            }
        }
    };
}

facts!(threads, quoit_sync::oneshot);
facts!(one_thread, quoit_sync::local::oneshot);

#[test]
fn thread_waits_for_the_message() {
    let (tx, rx) = quoit_sync::oneshot::channel();
    let waiting = thread::spawn(move || rx.blocking_recv());
    assert_eq!(tx.send(5), Ok(()));
    assert_eq!(waiting.join().expect("no panic"), Ok(5));
    let (tx, rx) = quoit_sync::oneshot::channel::<u8>();
    let waiting = thread::spawn(move || rx.blocking_recv());
    drop(tx);
    assert!(waiting.join().expect("no panic").is_err());
}
