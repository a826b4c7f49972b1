//! UDP: what arrives is received once, whole or told to be cut, whatever becomes of the futures.

mod common;

use std::io;
use std::net::UdpSocket as StdSocket;
use std::pin::pin;

use common::udp::{any_recv, socket_and_peer, test};
use common::{arena, poll_once, run, soon};
use futures_util::StreamExt;
use quoit_net::UdpSocket;
use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

#[test]
fn datagrams_go_both_ways_with_their_addresses_for_both_families() {
    test(async || {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (one, other) = (UdpSocket::bind(host).await.unwrap(), UdpSocket::bind(host).await.unwrap());
            for kind in 0..3 {
                let text = format!("datagram {kind}");
                let (sent, buf) = one.send_to(text.clone().into_bytes(), other.local_addr().unwrap()).await;
                assert_eq!((sent.unwrap(), &buf[..]), (text.len(), text.as_bytes()));
                assert_eq!(any_recv(&other, kind).await, (text.into_bytes(), one.local_addr().unwrap()));
            }
            other.connect(one.local_addr().unwrap()).await.unwrap();
            assert_eq!(other.peer_addr().unwrap(), one.local_addr().unwrap());
            assert_eq!(other.send("connected").await.0.unwrap(), 9);
            let (received, buf) = one.recv(vec![0; 20].into_boxed_slice()).await;
            assert_eq!(&buf[..received.unwrap()], b"connected");
        }
    });
}

#[test]
fn an_empty_datagram_is_a_datagram_and_no_end() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        for kind in 0..3 {
            for datagram in [&b"one"[..], b"", b"two", b"", b"", b"three"] {
                peer.send(datagram).unwrap();
            }
            for datagram in [&b"one"[..], b"", b"two", b"", b"", b"three"] {
                assert_eq!(any_recv(&socket, kind).await, (datagram.to_vec(), peer.local_addr().unwrap()));
            }
        }
        // Of one stream, which one of them would have ended.
        let mut datagrams = socket.recv_msgs();
        assert!(poll_once(pin!(datagrams.next())).await.is_pending());
        for datagram in [&b""[..], b"", b"last"] {
            peer.send(datagram).unwrap();
            assert_eq!(datagrams.next().await.unwrap().unwrap().0, *datagram);
        }
        // They can be sent as well.
        assert_eq!(socket.send_to("", peer.local_addr().unwrap()).await.0.unwrap(), 0);
        assert_eq!(peer.recv(&mut [0; 9]).unwrap(), 0);
    });
}

#[test]
fn that_a_datagram_found_no_receiver_is_told_once_and_ends_nothing() {
    test(async || {
        for kind in 0..3 {
            let (socket, peer) = socket_and_peer().await;
            let address = peer.local_addr().unwrap();
            socket.connect(address).await.unwrap();
            drop(peer);
            socket.send("nobody is there").await.0.unwrap();
            let refused = match kind {
                0 => socket.recv(Vec::with_capacity(9)).await.0.map(drop),
                1 => socket.recv_msg(Vec::with_capacity(9)).await.0.map(drop),
                _ => socket.recv_msgs().next().await.unwrap().map(drop),
            };
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let peer = StdSocket::bind(address).unwrap();
            peer.send_to(b"now I am", socket.local_addr().unwrap()).unwrap();
            assert_eq!(any_recv(&socket, kind).await.0, b"now I am");
        }
    });
}

#[test]
fn an_error_takes_its_turn_behind_the_datagrams_before_it_and_a_stream_goes_on() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let address = peer.local_addr().unwrap();
        socket.connect(address).await.unwrap();
        let mut datagrams = socket.recv_msgs();
        assert!(poll_once(pin!(datagrams.next())).await.is_pending());
        peer.send(b"before").unwrap();
        drop(peer);
        yield_now().await;
        socket.send("nobody is there").await.0.unwrap();
        yield_now().await;
        let peer = StdSocket::bind(address).unwrap();
        peer.send_to(b"after", socket.local_addr().unwrap()).unwrap();
        assert_eq!(datagrams.next().await.unwrap().unwrap().0, b"before");
        assert_eq!(datagrams.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(datagrams.next().await.unwrap().unwrap().0, b"after");
    });
}

#[test]
fn a_cut_datagram_is_always_told_and_the_next_one_is_whole() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let from = peer.local_addr().unwrap();
        let send = |count: usize| {
            peer.send(&vec![7; count]).unwrap();
            peer.send(b"next").unwrap();
        };
        send(100);
        let (received, buf) = socket.recv(Vec::with_capacity(10)).await;
        assert_eq!((received.unwrap_err().raw_os_error(), buf), (Some(90), vec![7; 10]));
        assert_eq!(any_recv(&socket, 0).await.0, b"next");
        send(100);
        let (received, buf) = socket.recv_from(vec![1; 10].into_boxed_slice()).await;
        assert_eq!((received.unwrap_err().raw_os_error(), &*buf), (Some(90), &[7; 10][..]));
        assert_eq!(any_recv(&socket, 1).await.0, b"next");
        send(100);
        let (meta, buf) = socket.recv_msg(Vec::with_capacity(10)).await;
        let meta = meta.unwrap();
        assert_eq!((meta.len, meta.addr, meta.truncated, buf), (10, from, true, vec![7; 10]));
        assert_eq!(any_recv(&socket, 2).await.0, b"next");
        // One that fits exactly is not cut.
        send(10);
        let (meta, _) = socket.recv_msg(Vec::with_capacity(10)).await;
        assert!(!meta.unwrap().truncated);
        assert_eq!(any_recv(&socket, 0).await.0, b"next");
        // Of the ring's buffers the same is true.
        let mut datagrams = socket.recv_msgs();
        send(20_000);
        let (datagram, _) = datagrams.next().await.unwrap().unwrap();
        assert!(datagram.is_truncated() && datagram.len() > 8_000 && datagram.iter().all(|byte| *byte == 7));
        let (datagram, _) = datagrams.next().await.unwrap().unwrap();
        assert_eq!((datagram.is_truncated(), datagram.to_vec()), (false, b"next".to_vec()));
    });
}

#[test]
fn a_buffer_without_room_is_refused_and_swallows_no_datagram() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        peer.send(b"still here").unwrap();
        let error = socket.recv(Vec::new()).await.0.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(any_recv(&socket, 0).await.0, b"still here");
    });
}

#[test]
fn the_longest_datagram_fits_into_a_large_buffer_also_after_a_stream() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let mut datagrams = socket.recv_msgs();
        peer.send(b"small").unwrap();
        assert_eq!(datagrams.next().await.unwrap().unwrap().0, b"small");
        drop(datagrams);
        // The stream's receive ends first.
        yield_now().await;
        yield_now().await;
        let longest: Vec<u8> = (0..65_507_u32).map(|index| index as u8).collect();
        peer.send(&longest).unwrap();
        assert_eq!(any_recv(&socket, 0).await.0, longest);
    });
}

#[test]
fn a_dropped_receive_leaves_its_datagram_to_the_next_one() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        for kind in 0..3 {
            for next in 0..3 {
                assert!(poll_once(pin!(any_recv(&socket, kind))).await.is_pending());
                yield_now().await;
                peer.send(b"whose is it?").unwrap();
                yield_now().await;
                assert_eq!(soon("the datagram", any_recv(&socket, next)).await.0, b"whose is it?");
            }
        }
    });
}

#[test]
fn a_forgotten_receive_swallows_no_datagram() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        for kind in 0..2 {
            let mut forgotten = Box::pin(any_recv(&socket, kind));
            assert!(poll_once(forgotten.as_mut()).await.is_pending());
            std::mem::forget(forgotten);
            peer.send(b"mine").unwrap();
            assert_eq!(soon("the datagram", any_recv(&socket, 1 - kind)).await.0, b"mine");
        }
    });
}

#[test]
fn several_receivers_get_one_datagram_each() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let (mut one, mut other) = (Box::pin(any_recv(&socket, 0)), Box::pin(any_recv(&socket, 1)));
        assert!(poll_once(one.as_mut()).await.is_pending() && poll_once(other.as_mut()).await.is_pending());
        peer.send(b"first").unwrap();
        peer.send(b"second").unwrap();
        assert_eq!((one.await.0, other.await.0), (b"first".to_vec(), b"second".to_vec()));
    });
}

#[test]
fn a_peek_leaves_the_datagram_where_it_is() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        peer.send(b"look at me").unwrap();
        for room in [4, 100] {
            let (seen, buf) = socket.peek_from(Vec::with_capacity(room)).await;
            assert_eq!(seen.unwrap(), (room.min(10), peer.local_addr().unwrap()));
            assert_eq!(buf, b"look at me"[..room.min(10)]);
        }
        assert_eq!(socket.peek(Vec::with_capacity(3)).await.0.unwrap(), 3);
        assert_eq!(any_recv(&socket, 2).await.0, b"look at me");
    });
}

#[test]
fn sends_of_several_tasks_go_out_in_their_order_and_a_dropped_one_before_its_turn_not_at_all() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let to = peer.local_addr().unwrap();
        // While this is under way, nothing is sent.
        let mut connect = Box::pin(socket.connect(to));
        assert!(poll_once(connect.as_mut()).await.is_pending());
        let send = |text: &'static str| Box::pin(socket.send_to(text, to));
        let mut sends = [send("first"), send("dropped"), send("third")];
        for send in &mut sends {
            assert!(poll_once(send.as_mut()).await.is_pending());
        }
        let [first, dropped, third] = sends;
        drop(dropped);
        assert_eq!(third.await.0.unwrap(), 5);
        assert_eq!(first.await.0.unwrap(), 5);
        connect.await.unwrap();
        assert_eq!(socket.send("fourth").await.0.unwrap(), 6);
        let mut buf = [0; 10];
        for text in ["first", "third", "fourth"] {
            let count = peer.recv(&mut buf).unwrap();
            assert_eq!(&buf[..count], text.as_bytes());
        }
    });
}

#[test]
fn a_send_that_fails_says_so_gives_the_buffer_back_and_harms_no_later_one() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let (sent, buf) = socket.send("not connected").await;
        assert_eq!((sent.unwrap_err().raw_os_error(), buf), (Some(89), "not connected"));
        let (sent, buf) = socket.send_to(vec![0; 70_000], peer.local_addr().unwrap()).await;
        assert_eq!((sent.unwrap_err().raw_os_error(), buf.len()), (Some(90), 70_000));
        let (sent, buf) = socket.send_to("x", "no address").await;
        assert_eq!((sent.unwrap_err().kind(), buf), (io::ErrorKind::InvalidInput, "x"));
        assert_eq!(socket.send_to("fine", peer.local_addr().unwrap()).await.0.unwrap(), 4);
        assert_eq!(peer.recv(&mut [0; 10]).unwrap(), 4);
    });
}

#[test]
fn a_slow_receiver_of_a_stream_holds_a_bounded_number_of_buffers_and_loses_nothing_that_the_kernel_kept() {
    arena(|runtime| {
        run(runtime, async {
            let (socket, peer) = socket_and_peer().await;
            let mut datagrams = socket.recv_msgs();
            assert!(poll_once(pin!(datagrams.next())).await.is_pending());
            // As many as surely fit into the kernel's buffer and ours together.
            for number in 0..150_u32 {
                peer.send(&number.to_le_bytes()).unwrap();
                if number % 10 == 0 {
                    yield_now().await;
                }
            }
            yield_now().await;
            yield_now().await;
            let lent = runtime.metrics().buffers_lent;
            assert!((1..=64 + 32).contains(&lent), "{lent} buffers are lent");
            for number in 0..150_u32 {
                assert_eq!(soon("a datagram", datagrams.next()).await.unwrap().unwrap().0, number.to_le_bytes());
            }
        });
    });
}

#[test]
fn readable_waits_for_a_datagram_and_takes_none() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        socket.writable().await.unwrap();
        for armed in [false, true] {
            if armed {
                assert!(poll_once(pin!(any_recv(&socket, 0))).await.is_pending());
            }
            let mut readable = Box::pin(socket.readable());
            assert!(poll_once(readable.as_mut()).await.is_pending());
            yield_now().await;
            assert!(poll_once(readable.as_mut()).await.is_pending());
            peer.send(b"there").unwrap();
            readable.await.unwrap();
            socket.readable().await.unwrap();
            assert_eq!(any_recv(&socket, 1).await.0, b"there");
            assert!(poll_once(pin!(socket.readable())).await.is_pending());
        }
    });
}

#[test]
fn random_receives_among_random_datagrams_keep_order_and_content() {
    test(async || {
        let (socket, peer) = socket_and_peer().await;
        let mut rng = Rng::new(0xDA7A);
        let (mut sent, mut seen) = (0_u32, 0_u32);
        while seen < 600 {
            for _datagram in 0..rng.below(12) {
                let mut bytes = sent.to_le_bytes().to_vec();
                let most = if rng.below(9) == 0 { 6_000 } else { 60 };
                bytes.resize(4 + rng.below(most) as usize, sent as u8);
                peer.send(&bytes).unwrap();
                sent += 1;
            }
            while seen < sent && rng.below(6) > 0 {
                let bytes = soon("a datagram", any_recv(&socket, rng.below(3))).await.0;
                assert_eq!(bytes[..4], seen.to_le_bytes());
                assert!(bytes[4..].iter().all(|byte| *byte == seen as u8));
                seen += 1;
            }
        }
        let rest = async {
            while seen < sent {
                any_recv(&socket, 0).await;
                seen += 1;
            }
        };
        soon("the rest", rest).await;
    });
}
