//! Storms: futures that are dropped or forgotten at random moments. No byte and no connection may be lost or doubled.
//!
//! `QUOIT_STORM=100000` sets how many drops each has; `QUOIT_SEED` repeats a storm.

mod common;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::fates::{Fates, brief};
use common::{Known, arena, arena_with, pair, poll_once, settle, spread, storm, until};
use futures_util::StreamExt;
use quoit_net::{TcpListener, TcpStream};
use quoit_runtime::task::yield_now;
use quoit_runtime::{Builder, spawn};
use quoit_testkit::Rng;

/// Bytes from any kind of read; `None` at the end.
async fn any_read(stream: &TcpStream, kind: u64, prefix: usize, room: usize) -> Option<Vec<u8>> {
    let bytes = match kind {
        0 | 1 => return stream.recv().await.expect("no error").map(|bytes| bytes.to_vec()),
        2 => {
            let mut buffer = Vec::with_capacity(prefix + room);
            buffer.resize(prefix, 0xAB);
            let (count, buffer) = stream.read(buffer).await;
            assert_eq!(count.expect("no error"), buffer.len() - prefix);
            assert!(buffer[..prefix].iter().all(|byte| *byte == 0xAB));
            buffer[prefix..].to_vec()
        }
        3 => {
            let (count, buffer) = stream.read(vec![0; room].into_boxed_slice()).await;
            buffer[..count.expect("no error")].to_vec()
        }
        4 => {
            let mut buffer = Vec::with_capacity(prefix + room);
            buffer.resize(prefix, 0xAB);
            let (count, buffer) = stream.read_exact(buffer).await;
            match count {
                Ok(count) => assert!(count >= room && buffer.len() == prefix + count),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                    // The bytes are still there.
                    return stream.recv().await.expect("no error").map(|bytes| bytes.to_vec());
                }
            }
            buffer[prefix..].to_vec()
        }
        _ => {
            let buffers = vec![Vec::with_capacity(room / 3), Vec::new(), Vec::with_capacity(room - room / 3)];
            let (count, buffers) = stream.read_vectored(buffers).await;
            let bytes = buffers.concat();
            assert_eq!(count.expect("no error"), bytes.len());
            bytes
        }
    };
    (!bytes.is_empty()).then_some(bytes)
}

/// Sends known bytes in random pieces until told to stop, a random way ahead of the reader.
fn sender(peer: StdStream, seen: Arc<AtomicU64>, stop: Arc<AtomicBool>, seed: u64) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let mut rng = Rng::exact(seed ^ 0x5E4D);
        let mut known = Known::default();
        while !stop.load(SeqCst) {
            let ahead = if rng.below(8) == 0 { rng.below(400_000) } else { rng.below(6_000) };
            // Not for ever: somebody may wait for more than that.
            for _patience in 0..200 {
                if stop.load(SeqCst) || known.at() <= seen.load(SeqCst) + ahead {
                    break;
                }
                thread::yield_now();
            }
            let most = if rng.below(10) == 0 { 40_000 } else { 2_000 };
            let bytes = known.next(1 + rng.below(most) as usize);
            (&peer).write_all(&bytes).expect("the other end is open");
        }
        known.at()
    })
}

fn reads_lose_nothing(name: &str, configure: impl FnOnce(&mut Builder)) {
    arena_with(configure, |runtime| {
        let mut rng = Rng::new(0xD20B);
        let (stream, peer) = pair();
        let (seen, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let sender = sender(peer, seen.clone(), stop.clone(), rng.seed());
        let wanted = storm(10_000);
        let mut fates = Fates::default();
        let total = runtime.block_on(async {
            let mut known = Known::default();
            while fates.gone() < wanted {
                let forget = rng.below(8) == 0;
                let most = if !forget && rng.below(50) == 0 { 300_000 } else { 3_000 };
                let (kind, prefix) = (rng.below(6), rng.below(5) as usize);
                let room = 1 + rng.below(most) as usize;
                let read = Box::pin(any_read(&stream, kind, prefix, room));
                if let Some(bytes) = brief(read, &mut rng, forget, &mut fates).await {
                    known.check(&bytes.expect("no end yet"));
                } else if rng.below(8) == 0 {
                    // Else a fast machine is done before the sender has begun.
                    let read = any_read(&stream, kind, prefix, room);
                    known
                        .check(&quoit_time::timeout(common::PATIENCE, read).await.expect("hangs").expect("no end yet"));
                }
                seen.store(known.at(), SeqCst);
            }
            stop.store(true, SeqCst);
            while let Some(bytes) =
                quoit_time::timeout(common::PATIENCE, any_read(&stream, 0, 0, 0)).await.expect("hangs")
            {
                known.check(&bytes);
            }
            known.at()
        });
        assert_eq!(total, sender.join().unwrap(), "bytes received and sent");
        assert!(fates.forgotten > 0 && total > fates.gone(), "{total} bytes");
        fates.assert_all(name, rng.seed());
        println!("{name}: {total} bytes, {:?}", runtime.metrics());
    });
}

#[test]
fn reads_dropped_at_random_lose_no_byte() {
    reads_lose_nothing("reads", |_| {});
}

#[test]
fn reads_dropped_at_random_lose_no_byte_with_hardly_any_buffers() {
    reads_lose_nothing("reads, 2 buffers", |builder| {
        builder.buffer_pool(2, 700).entries(8).completion_entries(16);
    });
}

#[test]
fn connections_are_seen_exactly_once_though_accepts_are_dropped_at_random() {
    arena(|runtime| {
        let mut rng = Rng::new(0xACC);
        let wanted = storm(10_000);
        let clients = wanted / 10;
        let mut fates = Fates::default();
        let seen = Rc::new(std::cell::RefCell::new(HashMap::<u32, u32>::new()));
        let next = Arc::new(AtomicU64::new(0));
        let threads = runtime.block_on(async {
            let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let next = next.clone();
                    thread::spawn(move || {
                        loop {
                            let number = next.fetch_add(1, SeqCst);
                            if number >= clients {
                                return;
                            }
                            let mut client = StdStream::connect(spread(address, number)).expect("the listener listens");
                            client.set_read_timeout(Some(common::PATIENCE)).unwrap();
                            client.write_all(&(number as u32).to_le_bytes()).unwrap();
                            // Ended by a reset, so that no port is held.
                            assert!(client.read(&mut [0]).is_err());
                        }
                    })
                })
                .collect();
            while fates.gone() < wanted || (seen.borrow().len() as u64) < clients {
                let forget = rng.below(8) == 0;
                let connection = if rng.below(2) == 0 {
                    brief(Box::pin(async { listener.accept().await.unwrap().0 }), &mut rng, forget, &mut fates).await
                } else {
                    let next = async { listener.incoming().next().await.unwrap().unwrap() };
                    brief(Box::pin(next), &mut rng, forget, &mut fates).await
                };
                if let Some(connection) = connection {
                    let seen = seen.clone();
                    drop(spawn(async move {
                        let number = connection.read_exact(Box::new([0; 4])).await.1;
                        *seen.borrow_mut().entry(u32::from_le_bytes(*number)).or_default() += 1;
                        connection.set_linger(Some(Duration::ZERO)).unwrap();
                    }));
                }
                if rng.below(3) == 0 {
                    yield_now().await;
                }
            }
            until("the connections end", || runtime.metrics().tasks == 0).await;
            threads
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let seen = seen.borrow();
        assert_eq!(seen.len() as u64, clients);
        assert!(seen.iter().all(|(number, times)| u64::from(*number) < clients && *times == 1));
        assert!(fates.forgotten > 0);
        fates.assert_all("accepts", rng.seed());
    });
}

#[test]
fn connects_dropped_at_random_leave_no_descriptor() {
    arena(|runtime| {
        let mut rng = Rng::new(0xC022);
        let wanted = storm(3_000);
        let listener = StdListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut whole, mut accepted) = (0_u64, 0_u64);
            for connection in listener.incoming() {
                let mut connection = connection.expect("descriptors are left");
                connection.set_read_timeout(Some(common::PATIENCE)).unwrap();
                let mut bytes = Vec::new();
                // A hang-up, clean or not, and at most what was sent.
                let ended = connection.read_to_end(&mut bytes);
                let kind = ended.err().map(|error| error.kind());
                assert!(kind.is_none_or(|kind| kind == std::io::ErrorKind::ConnectionReset), "{kind:?}");
                if bytes == b"stop" {
                    return (accepted, whole);
                }
                accepted += 1;
                assert!(bytes.is_empty() || bytes == b"whole", "{bytes:?}");
                whole += u64::from(!bytes.is_empty());
            }
            unreachable!("incoming does not end")
        });
        let mut fates = Fates::default();
        common::run_for(runtime, Duration::from_secs(600), async {
            let mut index = 0;
            while fates.gone() < wanted {
                index += 1;
                let connect = Box::pin(TcpStream::connect(spread(address, index)));
                if let Some(stream) = brief(connect, &mut rng, false, &mut fates).await {
                    let stream = stream.expect("the server listens");
                    stream.write_all("whole").await.0.expect("the server reads");
                    stream.close().await.expect("nothing is wrong");
                }
            }
        });
        settle(runtime, 0);
        common::write_all(&StdStream::connect(spread(address, 0)).unwrap(), b"stop");
        let (accepted, whole) = server.join().unwrap();
        println!("connects: {accepted} accepted, {whole} with their bytes");
        assert_eq!(whole, fates.completed);
        fates.assert_all("connects", rng.seed());
    });
}

#[test]
fn sleeps_dropped_at_random_leave_no_timer() {
    arena(|runtime| {
        let mut rng = Rng::new(0x51EE9);
        let wanted = storm(30_000);
        let mut fates = Fates::default();
        runtime.block_on(async {
            let mut live = Vec::new();
            while fates.gone() < wanted {
                let sleep = quoit_time::sleep(Duration::from_micros(rng.below(3_000)));
                if rng.below(2) == 0 {
                    brief(Box::pin(sleep), &mut rng, false, &mut fates).await;
                } else {
                    let mut sleep = Box::pin(sleep);
                    if poll_once(sleep.as_mut()).await.is_pending() {
                        live.push(sleep);
                    }
                }
                if live.len() > 500 {
                    for sleep in live.drain(..250) {
                        fates.dropped += 1;
                        drop(sleep);
                    }
                }
                if rng.below(500) == 0
                    && let Some(sleep) = live.pop()
                {
                    sleep.await;
                }
                assert!(runtime.metrics().timers <= live.len());
            }
            drop(live);
            assert_eq!(runtime.metrics().timers, 0);
        });
        fates.assert_all("sleeps", rng.seed());
    });
}
