//! Datagrams that find room are sent by a plain call, and only so many between two looks at the kernel.

mod common;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use common::udp::{socket_and_peer, test};
use common::{arena, arena_with, poll_once, run};
use quoit_runtime::task::yield_now;
use quoit_runtime::{Builder, KernelKind, Metrics};

#[test]
fn a_datagram_that_finds_room_is_out_when_its_send_answers_and_takes_no_turn() {
    arena(|runtime| {
        run(runtime, async {
            let (socket, peer) = socket_and_peer().await;
            let to = peer.local_addr().unwrap();
            let before = runtime.metrics();
            for text in ["one", "two"] {
                let sent = poll_once(pin!(socket.send_to(text, to))).await;
                assert!(matches!(sent, Poll::Ready((Ok(3), buf)) if buf == text));
                // It is there though nothing has run since.
                let mut buf = [0; 10];
                assert_eq!(peer.recv(&mut buf).unwrap(), 3);
                assert_eq!(&buf[..3], text.as_bytes());
            }
            let after = runtime.metrics();
            assert_eq!((after.sqes, after.enters, after.operations), (before.sqes, before.enters, before.operations));
        });
    });
}

#[test]
fn a_task_that_sends_for_ever_lets_others_run() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let to = peer.local_addr().unwrap();
        let sent = Rc::new(Cell::new(0_u64));
        let sending = {
            let sent = Rc::clone(&sent);
            quoit_runtime::spawn(async move {
                loop {
                    socket.send_to("again", to).await.0.unwrap();
                    sent.set(sent.get() + 1);
                }
            })
        };
        for _turn in 0..3 {
            let before = sent.get();
            yield_now().await;
            assert!(sent.get() - before <= 1_000, "{} at once", sent.get() - before);
        }
        assert!(sent.get() > 0);
        assert!(sending.cancel().await.is_none());
    });
}

#[test]
fn so_much_is_sent_between_two_looks_at_the_kernel_and_the_next_datagram_takes_the_ring() {
    // So many bytes, so many datagrams.
    for (bytes, most) in [(0, 128), (100, 128), (8 << 10, 64), (60_000, 16)] {
        arena(|runtime| {
            run(runtime, async {
                let (socket, peer) = socket_and_peer().await;
                let to = peer.local_addr().unwrap();
                for _ in 0..3 {
                    yield_now().await;
                    let before = runtime.metrics();
                    for _ in 0..most {
                        let sent = poll_once(pin!(socket.send_to(vec![7; bytes], to))).await;
                        assert!(matches!(sent, Poll::Ready((Ok(len), _)) if len == bytes), "{bytes}");
                    }
                    let (sent, counted) = (before.attempts + most, |metrics: Metrics| (metrics.attempts, metrics.sqes));
                    assert_eq!(counted(runtime.metrics()), (sent, before.sqes), "{bytes}");
                    assert_eq!(socket.send_to(vec![7; bytes], to).await.0.unwrap(), bytes);
                    assert_eq!(counted(runtime.metrics()), (sent, before.sqes + 1), "{bytes}");
                    assert_eq!(runtime.metrics().enters, before.enters + 1);
                }
            });
        });
    }
}

#[test]
fn where_a_thread_of_the_kernel_submits_no_calls_are_made_for_datagrams() {
    let configure = |builder: &mut Builder| {
        builder.sqpoll(Duration::from_millis(1));
    };
    arena_with(configure, |runtime| {
        run(runtime, async {
            let (socket, peer) = socket_and_peer().await;
            for text in ["one", "two"] {
                assert_eq!(socket.send_to(text, peer.local_addr().unwrap()).await.0.unwrap(), 3);
                assert_eq!(peer.recv(&mut [0; 10]).unwrap(), 3);
            }
            // The emulated ring has no such thread.
            let calls = if runtime.kernel() == KernelKind::Epoll { 2 } else { 0 };
            let metrics = runtime.metrics();
            assert_eq!((metrics.attempts, metrics.vain_attempts), (calls, 0));
        });
    });
}
