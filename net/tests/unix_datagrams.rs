//! Unix datagram sockets: names of every kind, nothing lost, nothing reordered.

mod common;

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::pin::pin;
use std::time::Duration;

use common::unix::TempPath;
use common::{arena, arena_with, poll_once, run, soon};
use futures_util::StreamExt;
use quoit_net::UnixDatagram;
use quoit_runtime::task::yield_now;

fn test(body: impl AsyncFnOnce()) {
    arena(|runtime| run(runtime, body()));
}

async fn recv(socket: &UnixDatagram) -> Vec<u8> {
    let (received, buf) = socket.recv(Vec::with_capacity(1_000)).await;
    assert_eq!(received.unwrap(), buf.len());
    buf
}

#[test]
fn paths_abstract_names_and_no_names_are_told_as_they_are() {
    test(async || {
        let path = TempPath::new("names");
        let by_path = UnixDatagram::bind(path.path()).unwrap();
        let name = SocketAddr::from_abstract_name(format!("quoit\0{}", std::process::id())).unwrap();
        let by_name = UnixDatagram::bind_addr(&name).unwrap();
        assert_eq!(by_path.local_addr().unwrap().as_pathname(), Some(path.path()));
        assert_eq!(by_name.local_addr().unwrap().as_abstract_name(), name.as_abstract_name());

        by_path.send_to_addr("from a path", &name).await.0.unwrap();
        let (received, buf) = by_name.recv_from(Vec::with_capacity(100)).await;
        let (count, from) = received.unwrap();
        assert_eq!((&buf[..count], from.as_pathname()), (&b"from a path"[..], Some(path.path())));

        by_name.send_to("from a name", path.path()).await.0.unwrap();
        let (datagram, from) = by_path.recv_msgs().next().await.unwrap().unwrap();
        assert_eq!((&datagram[..], from.as_abstract_name()), (&b"from a name"[..], name.as_abstract_name()));

        let unbound = UnixDatagram::unbound().unwrap();
        assert!(unbound.local_addr().unwrap().is_unnamed());
        unbound.connect(path.path()).await.unwrap();
        assert_eq!(unbound.peer_addr().unwrap().as_pathname(), Some(path.path()));
        unbound.send("from nobody").await.0.unwrap();
        let (received, _) = by_path.peek_from(Vec::with_capacity(4)).await;
        assert!(received.unwrap().1.is_unnamed());
        assert_eq!(recv(&by_path).await, b"from nobody");

        // The path stays, as with std.
        drop(by_path);
        assert_eq!(UnixDatagram::bind(path.path()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        unbound.connect_addr(&name).await.unwrap();
        let unnamed = unbound.local_addr().unwrap();
        assert_eq!(unbound.connect_addr(&unnamed).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let (sent, buf) = unbound.send_to("x", "/nowhere/at/all").await;
        assert_eq!((sent.unwrap_err().kind(), buf), (io::ErrorKind::NotFound, "x"));
    });
}

#[test]
fn an_abstract_name_is_free_as_soon_as_its_socket_is_closed() {
    test(async || {
        let name = SocketAddr::from_abstract_name(format!("quoit-again-{}", std::process::id())).unwrap();
        for _again in 0..3 {
            let socket = UnixDatagram::bind_addr(&name).unwrap();
            assert!(poll_once(pin!(recv(&socket))).await.is_pending());
            socket.close().await.unwrap();
        }
    });
}

#[test]
fn empty_datagrams_are_datagrams_and_what_is_cut_is_told() {
    test(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut datagrams = other.recv_msgs();
        for text in ["a", "", "", "b"] {
            one.send(text).await.0.unwrap();
            assert_eq!(soon("a datagram", datagrams.next()).await.unwrap().unwrap().0, *text.as_bytes());
        }
        one.send(vec![7; 9_000]).await.0.unwrap();
        let (cut, _) = datagrams.next().await.unwrap().unwrap();
        assert!(cut.is_truncated() && cut.len() > 8_000);
        drop(datagrams);
        yield_now().await;
        yield_now().await;
        one.send("0123456789").await.0.unwrap();
        let (received, buf) = other.recv(Vec::with_capacity(4)).await;
        assert_eq!((received.unwrap_err().raw_os_error(), &buf[..]), (Some(90), &b"0123"[..]));
        one.send("").await.0.unwrap();
        assert_eq!(recv(&other).await, b"");
    });
}

#[test]
fn a_datagram_of_any_size_fits_into_a_buffer_of_its_size_also_behind_a_smaller_receive() {
    test(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.set_send_buffer_size(400_000).unwrap();
        let size = 150_000.min(one.send_buffer_size().unwrap() - 1_000);
        let long: Vec<u8> = (0..size).map(|index| (index / 5) as u8).collect();
        assert!(poll_once(pin!(recv(&other))).await.is_pending());
        let mut large = Box::pin(other.recv(Vec::with_capacity(200_000)));
        assert!(poll_once(large.as_mut()).await.is_pending());
        // The smaller receive makes way, without being polled again.
        for _turn in 0..3 {
            yield_now().await;
            assert!(poll_once(large.as_mut()).await.is_pending());
        }
        one.send(long.clone()).await.0.unwrap();
        let (received, buf) = soon("the datagram", large).await;
        assert_eq!(received.unwrap(), size);
        assert!(buf == long);
    });
}

#[test]
fn a_send_waits_while_the_queue_of_the_receiver_is_full_and_overtakes_nothing() {
    test(async || {
        let path = TempPath::new("full");
        let receiver = UnixDatagram::bind(path.path()).unwrap();
        let (connected, unconnected) = (UnixDatagram::unbound().unwrap(), UnixDatagram::unbound().unwrap());
        connected.connect(path.path()).await.unwrap();
        // More than `net.unix.max_dgram_qlen`.
        let count = 60_u8;
        let sender = |number: u8, connected: bool| (vec![number; 3], connected);
        let sends = async {
            for number in 0..count {
                let (bytes, by_connection) = sender(number, number % 20 < 10);
                let sent = if by_connection {
                    connected.send(bytes).await.0
                } else {
                    unconnected.send_to(bytes, path.path()).await.0
                };
                assert_eq!(sent.unwrap(), 3);
            }
        };
        let receives = async {
            // First the queue fills.
            for _turn in 0..20 {
                yield_now().await;
            }
            for number in 0..count {
                assert_eq!(recv(&receiver).await, [number; 3]);
            }
        };
        soon("all of them", futures_util::future::join(sends, receives)).await;
    });
}

#[test]
fn a_receive_that_is_dropped_or_forgotten_leaves_its_datagram_to_the_next_one() {
    test(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        assert!(poll_once(pin!(recv(&other))).await.is_pending());
        let mut forgotten = Box::pin(recv(&other));
        assert!(poll_once(forgotten.as_mut()).await.is_pending());
        std::mem::forget(forgotten);
        one.send("whose?").await.0.unwrap();
        assert_eq!(soon("the datagram", recv(&other)).await, b"whose?");
    });
}

#[test]
fn that_the_other_socket_is_gone_is_an_error_of_the_send() {
    test(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        other.close().await.unwrap();
        let (sent, buf) = one.send("x").await;
        assert!(matches!(sent.unwrap_err().kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset));
        assert_eq!(buf, "x");
        assert_eq!(UnixDatagram::unbound().unwrap().send("x").await.0.unwrap_err().raw_os_error(), Some(107));
    });
}

#[test]
fn after_a_shutdown_nothing_is_sent_and_receives_do_not_hang() {
    test(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send("before").await.0.unwrap();
        one.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(one.send("after").await.0.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(recv(&other).await, b"before");
        let mut waiting = Box::pin(recv(&other));
        assert!(poll_once(waiting.as_mut()).await.is_pending());
        other.shutdown(Shutdown::Read).await.unwrap();
        assert_eq!(soon("the one that waited", waiting).await, b"");
        assert_eq!(soon("an empty one", recv(&other)).await, b"");
        assert!(soon("the end", other.recv_msgs().next()).await.is_none());
    });
}

#[test]
fn sockets_of_std_go_in_and_out() {
    test(async || {
        let (one, other) = StdDatagram::pair().unwrap();
        other.set_nonblocking(true).unwrap();
        let (one, other) = (UnixDatagram::from_std(one).unwrap(), UnixDatagram::from_std(other).unwrap());
        other.writable().await.unwrap();
        let mut readable = Box::pin(other.readable());
        assert!(poll_once(readable.as_mut()).await.is_pending());
        let mut receive = Box::pin(recv(&other));
        assert!(poll_once(receive.as_mut()).await.is_pending());
        yield_now().await;
        assert!(poll_once(receive.as_mut()).await.is_pending());
        one.send("hello").await.0.unwrap();
        assert_eq!(receive.await, b"hello");
        drop(readable);
        yield_now().await;
        let (one, other) = (one.into_std().unwrap(), StdDatagram::from(OwnedFd::from(other)));
        one.send(b"back").unwrap();
        assert_eq!(other.recv(&mut [0; 9]).unwrap(), 4);
    });
}

#[test]
fn a_close_gives_up_on_a_receiver_that_takes_nothing() {
    arena_with(
        |builder| {
            builder.close_deadline(Duration::from_millis(20));
        },
        |runtime| {
            run(runtime, async {
                let path = TempPath::new("stuck");
                let receiver = UnixDatagram::bind(path.path()).unwrap();
                for connect in [true, false] {
                    let sender = UnixDatagram::unbound().unwrap();
                    if connect {
                        sender.connect(path.path()).await.unwrap();
                    }
                    loop {
                        let mut send = Box::pin(sender.send_to("x", path.path()));
                        // Until one has to wait; it has begun, and so the close waits for it.
                        if poll_once(send.as_mut()).await.is_pending() {
                            for _turn in 0..3 {
                                yield_now().await;
                            }
                            if poll_once(send.as_mut()).await.is_pending() {
                                break;
                            }
                        }
                    }
                    assert_eq!(sender.close().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
                }
                drop(receiver);
            });
        },
    );
}
