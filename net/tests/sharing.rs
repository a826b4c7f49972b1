//! Several tasks on one stream, and writers and readers of different speed.

mod common;

use std::cell::RefCell;
use std::io::Read;
use std::pin::pin;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use common::{Known, arena, pair, poll_once, read_to_end, run, soon, until, write_all};
use quoit_runtime::spawn;
use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

#[test]
fn large_messages_of_several_tasks_never_interleave_and_are_first_come_first_served() {
    arena(|runtime| {
        const BYTES: usize = 3 << 20;
        let (stream, peer) = pair();
        let stream = Rc::new(stream);
        let reader = thread::spawn(move || read_to_end(&peer).unwrap());
        let order = Rc::new(RefCell::new(Vec::new()));
        run(runtime, async {
            let writers: Vec<_> = (0..2_u8)
                .map(|writer| {
                    let (stream, order) = (stream.clone(), order.clone());
                    spawn(async move {
                        for round in 0..4 {
                            let number = round * 2 + writer;
                            order.borrow_mut().push(number);
                            if round % 2 == 0 {
                                stream.write_all(vec![number; BYTES]).await.0.unwrap();
                            } else {
                                stream.write_all_vectored(vec![vec![number; BYTES / 2]; 2]).await.0.unwrap();
                            }
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.await.unwrap();
            }
            Rc::into_inner(stream).expect("the writers are gone").close().await.unwrap();
        });
        let (bytes, order) = (reader.join().unwrap(), order.borrow());
        assert_eq!((bytes.len(), order.len()), (8 * BYTES, 8));
        for (message, number) in bytes.chunks(BYTES).zip(order.iter()) {
            assert!(message == vec![*number; BYTES], "message {number} is torn or late");
        }
    });
}

#[test]
fn readers_of_one_stream_lose_and_double_nothing() {
    arena(|runtime| {
        const NUMBERS: u32 = 200_000;
        let (stream, peer) = pair();
        let stream = Rc::new(stream);
        let writer = thread::spawn(move || {
            let mut rng = Rng::exact(3);
            let bytes: Vec<u8> = (0..NUMBERS).flat_map(u32::to_le_bytes).collect();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let count = (1 + rng.below(20_000) as usize).min(rest.len());
                write_all(&peer, &rest[..count]);
                rest = &rest[count..];
                thread::yield_now();
            }
        });
        run(runtime, async {
            let seen = Rc::new(RefCell::new(vec![0_u8; NUMBERS as usize]));
            let readers: Vec<_> = (0..3_u64)
                .map(|reader| {
                    let (stream, seen) = (stream.clone(), seen.clone());
                    spawn(async move {
                        let mut rng = Rng::exact(reader);
                        let (mut last, mut count) = (None, 0);
                        loop {
                            // Whole numbers, so that each reader can say which it got.
                            let room = 4 * (1 + rng.below(500) as usize);
                            let (result, bytes) = stream.read_exact(vec![0; room].into_boxed_slice()).await;
                            let bytes = match result {
                                Ok(_) => bytes.into_vec(),
                                // Fewer are left: one by one.
                                Err(_) => match stream.read_exact(Box::new([0; 4])).await {
                                    (Ok(_), bytes) => bytes.to_vec(),
                                    (Err(_), _) => return count,
                                },
                            };
                            for number in bytes.chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())) {
                                assert!(last < Some(number), "{number} after {last:?}");
                                last = Some(number);
                                seen.borrow_mut()[number as usize] += 1;
                                count += 1;
                            }
                            yield_now().await;
                        }
                    })
                })
                .collect();
            for reader in readers {
                assert!(soon("a reader", reader).await.unwrap() > 0, "each gets some");
            }
            assert!(seen.borrow().iter().all(|times| *times == 1));
        });
        writer.join().unwrap();
    });
}

#[test]
fn stream_that_nobody_reads_stops_receiving_and_then_gives_everything() {
    arena(|runtime| {
        const BYTES: usize = 16 << 20;
        let (stream, peer) = pair();
        run(runtime, async {
            assert!(poll_once(pin!(stream.recv())).await.is_pending());
            yield_now().await;
            let writer = thread::spawn(move || write_all(&peer, &Known::default().next(BYTES)));
            let mut known = Known::default();
            // At first in buffers of the common size, and then, as it has turned out that much comes at once, in large ones.
            for size in ["common", "large"] {
                let mut most = 0;
                let start = std::time::Instant::now();
                while start.elapsed() < Duration::from_millis(250) || runtime.metrics().in_flight > 0 {
                    assert!(start.elapsed() < Duration::from_secs(10), "the receive does not stop");
                    most = most.max(runtime.metrics().buffers_lent);
                    yield_now().await;
                }
                println!("{size} buffers lent to a stream that nobody reads: {most}");
                assert!((1..=72).contains(&most), "{most} {size} buffers wait in a stream that nobody reads");
                // What has come, and one receive more.
                for _received in 0..=most {
                    known.check(&soon("recv", stream.recv()).await.unwrap().unwrap());
                }
            }
            while known.at() < BYTES as u64 {
                if known.at() % 3 == 0 {
                    known.check(&soon("recv", stream.recv()).await.unwrap().unwrap());
                } else {
                    let (count, bytes) = soon("read", stream.read(Vec::with_capacity(50_000))).await;
                    assert_eq!(count.unwrap(), bytes.len());
                    known.check(&bytes);
                }
            }
            assert!(stream.recv().await.unwrap().is_none());
            writer.join().unwrap();
        });
    });
}

#[test]
fn read_exact_of_more_than_the_pool_holds_is_filled() {
    common::arena_with(
        |builder| {
            builder.buffer_pool(4, 4096);
        },
        |runtime| {
            const BYTES: usize = 4 << 20;
            let (stream, peer) = pair();
            let writer = thread::spawn(move || write_all(&peer, &Known::default().next(BYTES + 5)));
            run(runtime, async {
                let (count, bytes) = stream.read_exact(vec![0; BYTES].into_boxed_slice()).await;
                assert_eq!(count.unwrap(), BYTES);
                let mut known = Known::default();
                known.check(&bytes);
                known.check(&stream.read_exact(Box::new([0; 5])).await.1[..]);
            });
            writer.join().unwrap();
        },
    );
}

#[test]
fn write_larger_than_all_buffers_reaches_a_slow_reader() {
    arena(|runtime| {
        const BYTES: usize = 8 << 20;
        let (stream, mut peer) = pair();
        stream.set_send_buffer_size(8 << 10).unwrap();
        let reader = thread::spawn(move || {
            let mut known = Known::default();
            let mut buffer = vec![0; 9_999];
            loop {
                let count = peer.read(&mut buffer).unwrap();
                known.check(&buffer[..count]);
                if count == 0 {
                    return known.at();
                }
            }
        });
        run(runtime, async {
            let mut known = Known::default();
            stream.write_all(known.next(BYTES / 2)).await.0.unwrap();
            // More parts than the kernel takes at once, some of them empty.
            let parts: Vec<_> =
                (0..4096).map(|part| known.next(if part % 2 == 0 { 0 } else { BYTES / 4096 })).collect();
            stream.write_all_vectored(parts).await.0.unwrap();
            let (count, _) = stream.write(known.next(BYTES)).await;
            assert!(count.unwrap() > 0);
            stream.close().await.unwrap();
        });
        assert!(reader.join().unwrap() > 3 * (BYTES as u64) / 4);
        runtime.block_on(until("nothing is left", || runtime.metrics().operations == 0));
    });
}

// A write that is cut off breaks the stream: what waited behind it must not follow half a message.
#[test]
fn forgotten_message_does_not_follow_one_that_was_cut_off() {
    let short = |builder: &mut quoit_runtime::Builder| {
        builder.close_deadline(Duration::from_millis(50));
    };
    common::arena_of(short, |runtime| {
        const BYTES: usize = 16 << 20;
        let (stream, mut peer) = pair();
        peer.set_nonblocking(true).unwrap();
        let mut came = Vec::new();
        run(&runtime, async {
            let mut first = Box::pin(stream.write_all(vec![0; BYTES]));
            assert!(poll_once(first.as_mut()).await.is_pending());
            let mut second = Box::pin(stream.write_all("NEXT"));
            assert!(poll_once(second.as_mut()).await.is_pending());
            drop(first);
            std::mem::forget(second);
            drop(stream);
            until("the first is cut off", || runtime.metrics().operations == 1).await;
            // Now the peer makes room, before the second one has been seen by the kernel.
            for _turn in 0..10 {
                drop(peer.read_to_end(&mut came));
                yield_now().await;
            }
        });
        common::settle(&runtime, 1);
        peer.set_nonblocking(false).unwrap();
        drop(peer.read_to_end(&mut came));
        assert!(came.len() < BYTES, "it was not cut off");
        assert!(came.iter().all(|byte| *byte == 0), "a message follows {} bytes of {BYTES}", came.len() - 4);
        common::end(runtime, 1);
    });
}

#[test]
fn two_tasks_that_accept_in_a_loop_take_turns() {
    common::arena(|runtime| {
        const EACH: usize = 20;
        let listener = run(runtime, quoit_net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Rc::new(listener);
        let accepts = run(runtime, async {
            let accept = || {
                let listener = Rc::clone(&listener);
                spawn(async move {
                    for _ in 0..EACH {
                        listener.accept().await.unwrap();
                    }
                })
            };
            let (one, other) = (accept(), accept());
            for _ in 0..2 * EACH {
                drop(std::net::TcpStream::connect(address).unwrap());
                yield_now().await;
                yield_now().await;
            }
            // Each needs its share, and none may take the other's.
            (soon("one", one).await, soon("the other", other).await)
        });
        assert!(accepts.0.is_ok() && accepts.1.is_ok());
        let listener = Rc::into_inner(listener).unwrap();
        run(runtime, listener.close()).unwrap();
    });
}
