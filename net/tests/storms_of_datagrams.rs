//! Storms on datagram sockets: receives and sends that are dropped or forgotten at random moments. Each datagram is received
//! once, in order, and whole. See `storms.rs` for the knobs.

mod common;

use std::net::UdpSocket as StdSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use common::fates::{Fates, brief};
use common::udp::{any_recv, socket_and_peer};
use common::{PATIENCE, arena_of, arena_with, end, poll_once, run_for, storm};
use futures_util::StreamExt;
use quoit_net::UdpSocket;
use quoit_runtime::Builder;
use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

/// The bytes of a datagram with this number. One of them in 16 is empty: its number is known by its place only.
fn datagram(number: u64) -> Vec<u8> {
    if number % 16 == 5 {
        return Vec::new();
    }
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + (number * 31 % 400) as usize, number as u8);
    bytes
}

/// Sends datagrams until told to stop, a few ahead of the receiver: fewer than the kernel keeps.
fn sender(peer: StdSocket, seen: Arc<AtomicU64>, stop: Arc<AtomicBool>, seed: u64) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let mut rng = Rng::exact(seed ^ 0x5E4D);
        let mut number = 0;
        while !stop.load(SeqCst) {
            let ahead = if rng.below(8) == 0 { rng.below(120) } else { rng.below(4) };
            for _patience in 0..200 {
                if stop.load(SeqCst) || number <= seen.load(SeqCst) + ahead {
                    break;
                }
                thread::yield_now();
            }
            if number <= seen.load(SeqCst) + 120 {
                peer.send(&datagram(number)).expect("the other end is open");
                number += 1;
            }
        }
        number
    })
}

fn receives_lose_nothing(name: &str, configure: impl FnOnce(&mut Builder)) {
    arena_with(configure, |runtime| {
        let mut rng = Rng::new(0xD6A4);
        let wanted = storm(400);
        let mut fates = Fates::default();
        let (seen, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (received, sent) = run_for(runtime, PATIENCE * 20, async {
            let (socket, peer) = socket_and_peer().await;
            let sender = sender(peer, seen.clone(), stop.clone(), rng.seed());
            let mut next = 0;
            let mut check = |bytes: &[u8]| {
                assert!(bytes == datagram(next), "datagram {next} differs: {bytes:?}");
                next += 1;
                seen.store(next, SeqCst);
                next
            };
            while fates.gone() < wanted {
                let (kind, forget) = (rng.below(3), rng.below(8) == 0);
                // A stream that is forgotten leaves its receive armed, and that is another test.
                let receive = Box::pin(any_recv(&socket, kind));
                if let Some((bytes, _)) = brief(receive, &mut rng, forget && kind < 2, &mut fates).await {
                    check(&bytes);
                } else if rng.below(8) == 0 {
                    check(&any_recv(&socket, kind).await.0);
                } else if rng.below(8) == 0 {
                    let mut datagrams = socket.recv_msgs();
                    for _datagram in 0..rng.below(20) {
                        check(&datagrams.next().await.unwrap().unwrap().0);
                    }
                }
            }
            stop.store(true, SeqCst);
            let sent = sender.join().unwrap();
            let mut received = seen.load(SeqCst);
            while received < sent {
                received = check(&any_recv(&socket, 0).await.0);
            }
            assert!(poll_once(Box::pin(any_recv(&socket, 0)).as_mut()).await.is_pending(), "one too many");
            (received, sent)
        });
        assert_eq!(received, sent, "datagrams received and sent");
        assert!(fates.forgotten > 0 && received > 0);
        fates.assert_all(name, rng.seed());
        println!("{name}: {received} datagrams, {:?}", runtime.metrics());
    });
}

#[test]
fn receives_dropped_at_random_lose_no_datagram() {
    receives_lose_nothing("datagrams", |_| {});
}

#[test]
fn receives_dropped_at_random_lose_no_datagram_with_hardly_any_buffers() {
    receives_lose_nothing("datagrams, 2 buffers", |builder| {
        builder.buffer_pool(2, 1_024).entries(8).completion_entries(16);
    });
}

#[test]
fn sends_dropped_at_random_go_out_once_in_order_or_not_at_all() {
    arena_of(
        |_| {},
        |runtime| {
            let mut rng = Rng::new(0x5E4D5);
            let wanted = storm(1_000);
            let mut fates = Fates::default();
            let (begun, received) = run_for(&runtime, PATIENCE * 20, async {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let peer = StdSocket::bind("127.0.0.1:0").unwrap();
                peer.set_nonblocking(true).unwrap();
                let to = peer.local_addr().unwrap();
                let (mut number, mut begun, mut received) = (0_u64, 0_u64, 0_u64);
                let mut last = None;
                let mut drain = |received: &mut u64| {
                    let mut bytes = [0; 1_000];
                    while let Ok(count) = peer.recv(&mut bytes) {
                        let number = u64::from_le_bytes(*bytes.first_chunk().expect("not an empty one"));
                        assert_eq!(count as u64, 8 + number % 900, "datagram {number} is not whole");
                        assert!(last.is_none_or(|last| last < number), "{number} comes after {last:?}");
                        last = Some(number);
                        *received += 1;
                    }
                };
                while fates.gone() < wanted {
                    // Alone it goes out when it is polled. While a connect is under way it waits, and so do those behind it.
                    if rng.below(2) == 0 {
                        let mut connect = Box::pin(socket.connect(to));
                        assert!(poll_once(connect.as_mut()).await.is_pending());
                    }
                    let mut bytes = number.to_le_bytes().to_vec();
                    bytes.resize(8 + (number % 900) as usize, 1);
                    number += 1;
                    let before = fates.dropped_unpolled;
                    let forget = rng.below(8) == 0;
                    let send = Box::pin(socket.send_to(bytes, to));
                    let sent = brief(send, &mut rng, forget, &mut fates).await;
                    sent.into_iter().for_each(|(sent, buf)| assert_eq!(sent.unwrap(), buf.len()));
                    // It may have begun.
                    begun += u64::from(fates.dropped_unpolled == before);
                    if rng.below(4) == 0 {
                        yield_now().await;
                    }
                    drain(&mut received);
                }
                socket.close().await.unwrap();
                drain(&mut received);
                (begun, received)
            });
            // Those that waited behind another one when they were dropped left no trace.
            assert!(received <= begun && received >= fates.completed, "{received} received, {begun} begun");
            assert!(fates.forgotten > 0);
            fates.assert_all("sends of datagrams", rng.seed());
            // Those that were forgotten when they had begun keep their slots until the runtime ends.
            let operations = runtime.metrics().operations;
            assert!(operations as u64 <= fates.forgotten, "{operations} operations");
            end(runtime, operations);
        },
    );
}
