//! UDP: options, groups, segments, the way from and to std, and the end of a socket.

mod common;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::os::fd::OwnedFd;
use std::pin::pin;

use common::udp::{any_recv, socket_and_peer, test};
use common::{PATIENCE, arena, arena_of, arena_with, end, poll_once, run, soon};
use futures_util::StreamExt;
use quoit_net::UdpSocket;
use quoit_runtime::task::yield_now;
use quoit_runtime::{Runtime, spawn};

#[test]
fn what_is_sent_in_segments_arrives_as_datagrams_and_together_where_that_is_asked_for() {
    test(async || {
        let (socket, client) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        client.connect(socket.local_addr().unwrap()).await.unwrap();
        client.set_gso(Some(1_200)).unwrap();
        assert_eq!(client.gso().unwrap(), Some(1_200));
        assert_eq!(client.set_gso(Some(0)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let bytes: Vec<u8> = (0..12_100_u32).map(|index| (index / 7) as u8).collect();
        let pieces: Vec<&[u8]> = bytes.chunks(1_200).collect();
        // One by one, with and without the kernel's help at this end.
        for gro in [false, true, false] {
            socket.set_gro(gro).unwrap();
            assert_eq!(socket.gro().unwrap(), gro);
            for kind in [0, 2] {
                assert_eq!(client.send(bytes.clone()).await.0.unwrap(), bytes.len());
                for piece in &pieces {
                    assert_eq!(any_recv(&socket, kind).await.0, *piece);
                }
            }
        }
        // Together: all of it, or as many as fit.
        socket.set_gro(true).unwrap();
        client.send(bytes.clone()).await.0.unwrap();
        let (meta, buf) = socket.recv_msg(Vec::with_capacity(5_000)).await;
        let meta = meta.unwrap();
        assert_eq!((meta.len, meta.truncated, meta.segment_bytes), (4_800, false, Some(1_200)));
        assert_eq!(buf, bytes[..4_800]);
        let (meta, buf) = socket.recv_msg(Vec::with_capacity(500)).await;
        let meta = meta.unwrap();
        assert_eq!((meta.len, meta.truncated, meta.segment_bytes), (500, true, None));
        assert_eq!(buf, bytes[4_800..5_300]);
        let (meta, buf) = socket.recv_msg(Vec::with_capacity(65_536)).await;
        let meta = meta.unwrap();
        assert_eq!((meta.len, meta.truncated, meta.segment_bytes), (6_100, false, Some(1_200)));
        assert_eq!(buf, bytes[6_000..]);
        client.set_gso(None).unwrap();
        assert_eq!((client.gso().unwrap(), client.send(bytes.clone()).await.0.unwrap()), (None, bytes.len()));
        assert_eq!(any_recv(&socket, 1).await.0, bytes);
    });
}

#[test]
fn options_are_what_they_were_set_to() {
    // Without a runtime's help, but alone in the process.
    arena(|_| {
        let v4 = UdpSocket::new_v4().unwrap();
        for on in [true, false] {
            v4.set_broadcast(on).unwrap();
            v4.set_multicast_loop_v4(on).unwrap();
            assert_eq!((v4.broadcast().unwrap(), v4.multicast_loop_v4().unwrap()), (on, on));
        }
        v4.set_multicast_ttl_v4(7).unwrap();
        v4.set_tos_v4(0x10).unwrap();
        v4.set_ttl(33).unwrap();
        v4.set_multicast_interface_v4(Ipv4Addr::LOCALHOST).unwrap();
        let (ttl, tos) = (v4.multicast_ttl_v4().unwrap(), v4.tos_v4().unwrap());
        assert_eq!((ttl, tos, v4.ttl().unwrap()), (7, 0x10, 33));
        assert_eq!(v4.multicast_interface_v4().unwrap(), Ipv4Addr::LOCALHOST);
        v4.set_recv_buffer_size(20_000).unwrap();
        v4.set_send_buffer_size(30_000).unwrap();
        assert_eq!((v4.recv_buffer_size().unwrap(), v4.send_buffer_size().unwrap()), (40_000, 60_000));
        assert!(v4.take_error().unwrap().is_none());
        let v6 = UdpSocket::new_v6().unwrap();
        v6.set_multicast_loop_v6(false).unwrap();
        v6.set_multicast_hops_v6(9).unwrap();
        v6.set_multicast_interface_v6(1).unwrap();
        assert_eq!((v6.multicast_loop_v6().unwrap(), v6.multicast_hops_v6().unwrap()), (false, 9));
        assert_eq!(v6.multicast_interface_v6().unwrap(), 1);
        v6.set_only_v6(true).unwrap();
        v6.bind_to((Ipv6Addr::LOCALHOST, 0).into()).unwrap();
        // For IPv6 only: the port is free for IPv4.
        v4.bind_to((Ipv4Addr::LOCALHOST, v6.local_addr().unwrap().port()).into()).unwrap();
    });
}

#[test]
fn members_of_a_group_share_a_port_and_each_gets_what_is_sent_to_it() {
    test(async || {
        let group = Ipv4Addr::new(239, 77, 1, 5);
        let member = |port| {
            let socket = UdpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.set_reuseport(true).unwrap();
            socket.bind_to((Ipv4Addr::UNSPECIFIED, port).into()).unwrap();
            socket.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
            socket
        };
        let one = member(0);
        let port = one.local_addr().unwrap().port();
        let other = member(port);
        let twice = one.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AddrInUse);
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        sender.set_multicast_interface_v4(Ipv4Addr::LOCALHOST).unwrap();
        sender.send_to("to all", (group, port)).await.0.unwrap();
        for member in [&one, &other] {
            assert_eq!(any_recv(member, 0).await, (b"to all".to_vec(), sender.local_addr().unwrap()));
        }
        one.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        let group: Ipv6Addr = "ff01::4d:105".parse().unwrap();
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await.unwrap();
        v6.join_multicast_v6(&group, 1).unwrap();
        assert_eq!(v6.join_multicast_v6(&group, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        v6.leave_multicast_v6(&group, 1).unwrap();
    });
}

#[test]
fn a_socket_for_both_families_tells_v4_peers_by_their_mapped_addresses() {
    test(async || {
        let socket = UdpSocket::bind("[::]:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let peer = StdSocket::bind("127.0.0.1:0").unwrap();
        peer.send_to(b"by IPv4", (Ipv4Addr::LOCALHOST, port)).unwrap();
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), peer.local_addr().unwrap().port()));
        assert_eq!(any_recv(&socket, 0).await, (b"by IPv4".to_vec(), mapped));
        socket.send_to("back", mapped).await.0.unwrap();
        assert_eq!(peer.recv(&mut [0; 9]).unwrap(), 4);
    });
}

#[test]
fn a_non_blocking_socket_from_outside_behaves_like_any_other_and_goes_back() {
    test(async || {
        let outside = StdSocket::bind("127.0.0.1:0").unwrap();
        outside.set_nonblocking(true).unwrap();
        let socket = UdpSocket::from_std(outside).unwrap();
        let (peer, address) = (StdSocket::bind("127.0.0.1:0").unwrap(), socket.local_addr().unwrap());
        let mut receive = Box::pin(any_recv(&socket, 0));
        assert!(poll_once(receive.as_mut()).await.is_pending());
        yield_now().await;
        assert!(poll_once(receive.as_mut()).await.is_pending());
        peer.send_to(b"hello", address).unwrap();
        assert_eq!(receive.await.0, b"hello");
        let socket = socket.into_std().unwrap();
        assert_eq!(socket.local_addr().unwrap(), address);
        // A receive that was dropped is in the way of nothing.
        let socket = UdpSocket::from_std(socket).unwrap();
        assert!(poll_once(pin!(any_recv(&socket, 0))).await.is_pending());
        let again = StdSocket::from(OwnedFd::from(socket));
        assert_eq!(again.local_addr().unwrap(), address);
        let socket = UdpSocket::from_std(again).unwrap();
        assert!(poll_once(pin!(any_recv(&socket, 2))).await.is_pending());
        let socket = UdpSocket::from_std(socket.into_std().unwrap()).unwrap();
        // A datagram that has arrived would be lost.
        assert!(poll_once(pin!(any_recv(&socket, 0))).await.is_pending());
        peer.send_to(b"unclaimed", address).unwrap();
        yield_now().await;
        yield_now().await;
        assert_eq!(socket.into_std().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    });
}

#[test]
fn a_socket_becomes_one_of_std_also_outside_of_block_on() {
    arena(|runtime| {
        let (socket, peer) = run(runtime, async {
            let (socket, peer) = socket_and_peer().await;
            assert!(poll_once(pin!(any_recv(&socket, 0))).await.is_pending());
            // The receive is in flight from here on.
            yield_now().await;
            (socket, peer)
        });
        let address = socket.local_addr().unwrap();
        let socket = socket.into_std().unwrap();
        peer.send_to(b"later", address).unwrap();
        let mut buf = [0; 8];
        assert_eq!(socket.recv(&mut buf).unwrap(), 5);
    });
}

#[test]
fn a_dropped_or_closed_socket_with_a_receive_in_flight_frees_its_port() {
    test(async || {
        for close in [false, true] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap();
            assert!(poll_once(pin!(any_recv(&socket, if close { 0 } else { 2 }))).await.is_pending());
            yield_now().await;
            if close {
                socket.close().await.unwrap();
            } else {
                drop(socket);
                yield_now().await;
                yield_now().await;
            }
            StdSocket::bind(address).unwrap();
        }
    });
}

#[test]
fn a_stream_goes_on_without_buffers_of_the_pool() {
    arena_with(
        |builder| {
            builder.buffer_pool(2, 1_024);
        },
        |runtime| {
            run(runtime, async {
                let (socket, peer) = socket_and_peer().await;
                let mut datagrams = socket.recv_msgs();
                let mut kept = Vec::new();
                for number in 0..20_u8 {
                    peer.send(&[number; 100]).unwrap();
                    kept.push(soon("a datagram", datagrams.next()).await.unwrap().unwrap().0);
                }
                assert!(kept.iter().enumerate().all(|(index, bytes)| bytes[..] == [index as u8; 100]));
                assert!(runtime.metrics().no_buffers > 0);
            });
        },
    );
    // Buffers that are too small for a datagram are not used at all.
    arena_with(
        |builder| {
            builder.buffer_pool(4, 256);
        },
        |runtime| {
            run(runtime, async {
                let (socket, peer) = socket_and_peer().await;
                peer.send(&[9; 1_400]).unwrap();
                assert_eq!(any_recv(&socket, 2).await.0, [9; 1_400]);
            });
        },
    );
}

#[test]
fn a_socket_outlives_its_runtime_and_then_gives_errors() {
    arena_of(
        |_| {},
        |runtime| {
            let (socket, _peer) = run(&runtime, async {
                let (socket, peer) = socket_and_peer().await;
                assert!(poll_once(pin!(any_recv(&socket, 2))).await.is_pending());
                (socket, peer)
            });
            end(runtime, 0);
            let other = Runtime::new().unwrap();
            run(&other, async {
                let error = socket.recv(Vec::with_capacity(9)).await.0.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(108));
                assert!(socket.recv_msgs().next().await.unwrap().is_err());
                assert!(socket.send_to("x", "127.0.0.1:9").await.0.is_err());
            });
            drop(socket);
            end(other, 0);
        },
    );
}

#[test]
fn a_runtime_that_ends_under_a_receive_leaks_nothing() {
    arena_of(
        |_| {},
        |runtime| {
            run(&runtime, async {
                let (socket, peer) = socket_and_peer().await;
                drop(spawn(async move {
                    any_recv(&socket, 0).await;
                    unreachable!("nothing is sent");
                }));
                yield_now().await;
                yield_now().await;
                drop(peer);
            });
            let report = runtime.shutdown(PATIENCE);
            assert!(report.is_clean() && report.tasks_dropped == 1, "{report}");
        },
    );
}
