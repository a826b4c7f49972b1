//! Cancel scopes around datagram and Unix sockets: waits end with the scope's error, buffers come back, and nothing is lost.

mod arena;

use std::future::Future;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use arena::arena;
use futures_util::StreamExt;
use quoit::net::{UdpSocket, UnixDatagram, UnixStream};
use quoit::sync::CancellationToken;
use quoit::task::yield_now;
use quoit::{FutureExt as _, is_cancelled, transferred};

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn a_receive_that_is_stopped_gives_its_buffer_back_and_leaves_the_datagram_to_the_next_one() {
    arena(async || {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        for kind in 0..4 {
            let token = CancellationToken::new();
            let mut receive = Box::pin(
                async {
                    match kind {
                        0 => socket.recv_from(Vec::with_capacity(77)).await.0.map(drop),
                        1 => socket.recv_msg(Vec::with_capacity(77)).await.0.map(drop),
                        2 => socket.recv_msgs().next().await.unwrap().map(drop),
                        _ => socket.readable().await,
                    }
                }
                .with_cancel(&token),
            );
            assert!(poll_once(receive.as_mut()).await.is_pending());
            yield_now().await;
            token.cancel();
            assert!(is_cancelled(&receive.await.unwrap_err()));
            // In a scope that is cancelled nothing begins.
            let (result, buf) = socket.recv(Vec::with_capacity(77)).with_cancel(&token).await;
            assert_eq!((is_cancelled(&result.unwrap_err()), buf.capacity()), (true, 77));
            let (result, buf) = socket.send_to("not sent", address).with_cancel(&token).await;
            assert_eq!((transferred(&result.unwrap_err()), buf), (Some(0), "not sent"));
            let (result, _) = socket.recv(Vec::with_capacity(77)).cancel_after(Duration::from_millis(1)).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
            socket.send_to("for the next", address).await.0.unwrap();
            let (result, buf) = socket.recv(Vec::with_capacity(77)).await;
            assert_eq!((result.unwrap(), &buf[..]), (12, &b"for the next"[..]));
        }
    });
}

#[test]
fn a_stream_of_datagrams_that_was_stopped_goes_on_when_it_is_polled_again() {
    arena(async || {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut datagrams = socket.recv_msgs();
        for text in ["one", "two"] {
            let stopped = datagrams.next().cancel_after(Duration::from_millis(1)).await.unwrap();
            assert_eq!(stopped.unwrap_err().kind(), ErrorKind::TimedOut);
            socket.send_to(text, socket.local_addr().unwrap()).await.0.unwrap();
            assert_eq!(datagrams.next().await.unwrap().unwrap().0, *text.as_bytes());
        }
    });
}

#[test]
fn a_send_that_waits_for_room_is_stopped_and_sends_nothing() {
    arena(async || {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        let mut sent = 0;
        loop {
            let mut send = pin!(sender.send("some").cancel_after(Duration::from_millis(20)));
            let (result, buf) = send.as_mut().await;
            assert_eq!(buf, "some");
            match result {
                Ok(_) => sent += 1,
                Err(error) => {
                    assert_eq!((error.kind(), transferred(&error)), (ErrorKind::TimedOut, Some(0)));
                    break;
                }
            }
        }
        for _datagram in 0..sent {
            let (result, buf) = receiver.recv(Vec::with_capacity(9)).await;
            assert_eq!(buf[..result.unwrap()], *b"some");
        }
        assert!(poll_once(pin!(receiver.recv(Vec::with_capacity(9)))).await.is_pending());
    });
}

#[test]
fn a_receive_of_descriptors_that_is_stopped_leaves_them_to_the_next_one() {
    arena(async || {
        let (one, other) = UnixStream::pair().unwrap();
        for round in 0..2 {
            let token = CancellationToken::new();
            let mut receive = Box::pin(
                async {
                    match round {
                        0 => other.recv_fds(Vec::with_capacity(77)).await.0.map(drop),
                        _ => other.readable().await,
                    }
                }
                .with_cancel(&token),
            );
            assert!(poll_once(receive.as_mut()).await.is_pending());
            yield_now().await;
            token.cancel();
            assert!(is_cancelled(&receive.await.unwrap_err()));
            let file = std::fs::File::open("/dev/null").unwrap();
            let (result, buf) = one.send_fds("not sent", vec![file.into()]).with_cancel(&token).await;
            assert_eq!((transferred(&result.unwrap_err()), buf), (Some(0), "not sent"));
            let file = std::fs::File::open("/dev/null").unwrap();
            one.send_fds("sent", vec![file.into()]).await.0.unwrap();
            let (result, buf) = other.recv_fds(Vec::with_capacity(77)).await;
            let (count, descriptors) = result.unwrap();
            assert_eq!((&buf[..count], descriptors.len()), (&b"sent"[..], 1));
        }
    });
}
