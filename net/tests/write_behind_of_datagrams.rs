//! Datagram sockets with write-behind: short datagrams answer at once and leave at the end of the turn, in order.

mod common;

use std::io::ErrorKind;
use std::net::UdpSocket as StdSocket;
use std::pin::pin;
use std::task::Poll;

use common::udp::{socket_and_peer, test};
use common::{arena, poll_once, run};
use quoit_net::UdpSocket;
use quoit_runtime::task::yield_now;

async fn behind() -> (UdpSocket, StdSocket) {
    let (socket, peer) = socket_and_peer().await;
    assert!(!socket.write_behind());
    socket.set_write_behind(true);
    assert!(socket.write_behind());
    (socket, peer)
}

fn received(peer: &StdSocket) -> Vec<u8> {
    let mut buf = vec![0; 10_000];
    let count = peer.recv(&mut buf).unwrap();
    buf.truncate(count);
    buf
}

#[test]
fn short_datagrams_answer_at_their_first_poll_and_leave_together_at_the_end_of_the_turn() {
    arena(|runtime| {
        run(runtime, async {
            let (socket, peer) = behind().await;
            let to = peer.local_addr().unwrap();
            let before = runtime.metrics();
            for text in ["one", "two", ""] {
                let sent = poll_once(pin!(socket.send_to(text, to))).await;
                assert!(matches!(sent, Poll::Ready((Ok(len), buf)) if buf == text && len == text.len()));
            }
            peer.set_nonblocking(true).unwrap();
            assert_eq!(peer.recv(&mut [0; 10]).unwrap_err().kind(), ErrorKind::WouldBlock, "nothing is out yet");
            peer.set_nonblocking(false).unwrap();
            let staged = runtime.metrics();
            assert_eq!(
                (staged.sqes, staged.enters, staged.operations),
                (before.sqes + 3, before.enters, before.operations + 3)
            );
            yield_now().await;
            for text in ["one", "two", ""] {
                assert_eq!(received(&peer), text.as_bytes());
            }
            let after = runtime.metrics();
            assert_eq!(
                (after.enters, after.cqes, after.operations),
                (before.enters + 1, before.cqes, before.operations)
            );
        });
    });
}

#[test]
fn datagrams_of_all_lengths_and_any_number_leave_in_their_order() {
    test(async || {
        let (socket, peer) = behind().await;
        socket.connect(peer.local_addr().unwrap()).await.unwrap();
        let mut next = 0_u32;
        for round in 0..20_u32 {
            // More than may be under way, with a long one now and then, and some without.
            for number in round * 70..(round + 1) * 70 {
                socket.set_write_behind(number % 29 != 0);
                let mut bytes = number.to_le_bytes().to_vec();
                bytes.resize(if number % 23 == 0 { 5_000 } else { 4 + number as usize % 100 }, 1);
                assert_eq!(socket.send(bytes.clone()).await.0.unwrap(), bytes.len());
            }
            yield_now().await;
            while next < (round + 1) * 70 {
                assert_eq!(received(&peer)[..4], next.to_le_bytes());
                next += 1;
            }
        }
    });
}

#[test]
fn an_error_is_told_once_by_the_next_send() {
    test(async || {
        let (socket, peer) = behind().await;
        // Not connected.
        assert_eq!(socket.send("lost").await.0.unwrap(), 4);
        assert_eq!(socket.send("lost too").await.0.unwrap(), 8);
        yield_now().await;
        let to = peer.local_addr().unwrap();
        assert_eq!(socket.send_to("not sent", to).await.0.unwrap_err().raw_os_error(), Some(89));
        assert_eq!(socket.send_to("sent", to).await.0.unwrap(), 4);
        yield_now().await;
        assert_eq!(received(&peer), b"sent");
        // Also where it is switched off meanwhile.
        assert_eq!(socket.send("lost").await.0.unwrap(), 4);
        yield_now().await;
        socket.set_write_behind(false);
        assert_eq!(socket.send_to("not sent", to).await.0.unwrap_err().raw_os_error(), Some(89));
        assert_eq!(socket.send_to("sent", to).await.0.unwrap(), 4);
        assert_eq!(received(&peer), b"sent");
    });
}

#[test]
fn what_was_sent_leaves_though_the_socket_is_dropped_closed_or_given_away() {
    test(async || {
        for end in 0..3 {
            let (socket, peer) = behind().await;
            assert_eq!(socket.send_to("last words", peer.local_addr().unwrap()).await.0.unwrap(), 10);
            match end {
                0 => drop(socket),
                1 => socket.close().await.unwrap(),
                _ => drop(socket.into_std().unwrap()),
            }
            yield_now().await;
            assert_eq!(received(&peer), b"last words");
        }
    });
}
