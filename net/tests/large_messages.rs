//! Messages larger than a buffer: large buffers come, serve, run out and go, and no byte is lost or doubled.

mod common;

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::Shutdown;
use std::thread;

use common::{Known, arena, arena_with, pair, poll_once, reset, run, run_for, soon, std_pair, until, write_all};
use quoit_net::{TcpListener, TcpStream, UnixStream};
use quoit_runtime::buf::RecvBuf;
use quoit_runtime::task::yield_now;
use quoit_runtime::{Builder, Runtime, spawn};
use quoit_testkit::{EchoLoad, Rng};

/// A buffer of the common size.
const COMMON: usize = 8 << 10;
/// A large one.
const LARGE: usize = 64 << 10;

/// The largest piece of a message of so many bytes, which has arrived before the first is taken.
async fn largest_piece(
    stream: &TcpStream,
    peer: &std::net::TcpStream,
    known: &mut (Known, Known),
    bytes: usize,
) -> usize {
    write_all(peer, &known.0.next(bytes));
    let (mut left, mut largest) = (bytes, 0);
    while left > 0 {
        let piece = soon("recv", stream.recv()).await.unwrap().unwrap();
        known.1.check(&piece);
        left -= piece.len();
        largest = largest.max(piece.len());
    }
    largest
}

/// Lets a stream turn to large buffers.
async fn whet(stream: &TcpStream, peer: &std::net::TcpStream, known: &mut (Known, Known)) {
    for _message in 0..200 {
        if largest_piece(stream, peer, known, 3 * COMMON).await > COMMON {
            return;
        }
    }
    panic!("no piece is larger than a common buffer");
}

#[test]
fn streams_of_large_messages_get_large_buffers_and_those_of_short_ones_do_not() {
    arena(|runtime| {
        let ((short, short_peer), (long, long_peer)) = (pair(), pair());
        run(runtime, async {
            let mut known = (Known::default(), Known::default());
            for _message in 0..300 {
                assert!(largest_piece(&short, &short_peer, &mut known, COMMON - 1).await < COMMON);
            }
            assert_eq!(runtime.metrics().buffers, 64, "none is large");
            whet(&long, &long_peer, &mut (Known::default(), Known::default())).await;
            assert_eq!(runtime.metrics().buffers, 64 + 8);
            for _message in 0..300 {
                assert!(largest_piece(&short, &short_peer, &mut known, COMMON - 1).await < COMMON);
            }
        });
        assert_eq!((runtime.metrics().buffers, runtime.metrics().no_buffers), (64 + 8, 0));
    });
}

#[test]
fn unix_streams_get_large_buffers_too() {
    arena(|runtime| {
        let (near, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let stream = UnixStream::from_std(near).unwrap();
        run(runtime, async {
            let (mut sent, mut received) = (Known::default(), Known::default());
            let mut largest = 0;
            for _message in 0..200 {
                peer.write_all(&sent.next(3 * COMMON)).unwrap();
                while received.at() < sent.at() {
                    let piece = soon("recv", stream.recv()).await.unwrap().unwrap();
                    received.check(&piece);
                    largest = largest.max(piece.len());
                }
                if largest > COMMON {
                    break;
                }
            }
            assert_eq!(largest, 3 * COMMON, "at last a message comes in one piece");
            assert_eq!(runtime.metrics().buffers, 64 + 8);
            drop(peer);
            assert!(soon("recv", stream.recv()).await.unwrap().is_none());
        });
    });
}

#[test]
fn stream_whose_messages_have_become_short_goes_back_to_common_buffers() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            let mut known = (Known::default(), Known::default());
            whet(&stream, &peer, &mut known).await;
            for _message in 0..65 {
                largest_piece(&stream, &peer, &mut known, 100).await;
            }
            let mut receive = std::pin::pin!(stream.recv());
            assert!(poll_once(receive.as_mut()).await.is_pending());
            // The receive that had large buffers is cancelled in the next turn, and its successor begins in the one after.
            for _turn in 0..10 {
                yield_now().await;
            }
            write_all(&peer, &known.0.next(LARGE));
            let piece = soon("recv", receive).await.unwrap().unwrap();
            assert!(piece.len() <= COMMON, "{}", piece.len());
            known.1.check(&piece);
            let mut left = LARGE - piece.len();
            while left > 0 {
                let piece = soon("recv", stream.recv()).await.unwrap().unwrap();
                known.1.check(&piece);
                left -= piece.len();
            }
        });
    });
}

#[test]
fn every_byte_of_messages_of_any_size_comes_back() {
    let defaults: fn(&mut Builder) = |_| {};
    let few_large: fn(&mut Builder) = |builder| _ = builder.buffer_pool(128, COMMON);
    let tiny: fn(&mut Builder) = |builder| _ = builder.buffer_pool(2, 512).entries(8).completion_entries(16);
    let larger_than_large: fn(&mut Builder) = |builder| _ = builder.buffer_pool(16, 2 * LARGE);
    for configure in [defaults, few_large, tiny, larger_than_large] {
        arena_with(configure, |runtime| {
            let report = run_for(runtime, std::time::Duration::from_secs(60), echo_load());
            assert_eq!((report.connections, report.messages), (20, 160));
            println!("{:?}", runtime.metrics());
        });
    }
}

async fn echo_load() -> quoit_testkit::EchoReport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut load = EchoLoad::new(listener.local_addr().unwrap());
    (load.connections, load.messages_per_connection, load.max_bytes) = (20, 8, 200_000);
    let load = thread::spawn(move || load.run());
    let mut tasks = Vec::new();
    for index in 0..20 {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tasks.push(spawn(async move {
            // Some read, into buffers of their own; the others take what the kernel has picked.
            if index % 3 == 0 { echo_by_read(&stream).await } else { echo_by_recv(&stream).await }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // Not by blocking: the last of the streams is closed by the end of this turn.
    until("the load has ended", || load.is_finished()).await;
    load.join().unwrap().expect("every byte comes back")
}

async fn echo_by_read(stream: &TcpStream) {
    loop {
        let (count, bytes) = stream.read(Vec::with_capacity(30_000)).await;
        if count.unwrap() == 0 {
            return;
        }
        stream.write_all(bytes).await.0.unwrap();
    }
}

async fn echo_by_recv(stream: &TcpStream) {
    while let Some(bytes) = stream.recv().await.unwrap() {
        stream.write_all(bytes).await.0.unwrap();
    }
}

#[test]
fn hoarder_of_all_large_buffers_leaves_the_common_ones_to_everybody() {
    let few = |builder: &mut Builder| _ = builder.buffer_pool(128, COMMON);
    arena_with(few, |runtime| {
        let ((hoarding, hoarded_peer), (stream, peer)) = (pair(), pair());
        run(runtime, async {
            let mut known = (Known::default(), Known::default());
            whet(&hoarding, &hoarded_peer, &mut known).await;
            let mut hoard: Vec<RecvBuf> = Vec::new();
            while hoard.len() < 8 {
                write_all(&hoarded_peer, &known.0.next(COMMON - 1));
                let piece = soon("recv", hoarding.recv()).await.unwrap().unwrap();
                known.1.check(&piece);
                hoard.push(piece);
            }
            // Neither the hoarder nor another stream waits for them.
            for _message in 0..3 {
                largest_piece(&hoarding, &hoarded_peer, &mut known, 2 * LARGE).await;
            }
            assert!(runtime.metrics().no_buffers > 0);
            let mut others = (Known::default(), Known::default());
            for _message in 0..20 {
                let largest = largest_piece(&stream, &peer, &mut others, 2 * LARGE).await;
                assert!(largest <= COMMON, "{largest}");
            }
            assert_eq!(runtime.metrics().buffers, 64 + 8);
            // They are back, and taken again.
            drop(hoard);
            whet(&stream, &peer, &mut others).await;
        });
    });
}

#[test]
fn received_pieces_may_be_dropped_in_any_order_and_on_any_thread() {
    arena(|runtime| {
        let mut rng = Rng::exact(0xD20B);
        let (stream, peer) = pair();
        const BYTES: usize = 6 << 20;
        let writer = thread::spawn(move || write_all(&peer, &Known::default().next(BYTES)));
        run(runtime, async {
            let mut known = Known::default();
            let mut held: VecDeque<(u64, RecvBuf)> = VecDeque::new();
            while let Some(piece) = soon("recv", stream.recv()).await.unwrap() {
                let at = known.at();
                known.check(&piece);
                held.push_back((at, piece));
                while held.len() > rng.below(12) as usize {
                    let (at, mut piece) = held.remove(rng.below(held.len() as u64) as usize).unwrap();
                    // Nobody has written to it meanwhile.
                    Known::starting_at(at).check(&piece);
                    match rng.below(3) {
                        0 => drop(piece),
                        1 => {
                            let bytes = piece.into_bytes();
                            thread::spawn(move || Known::starting_at(at).check(&bytes)).join().unwrap();
                        }
                        _ => {
                            let half = piece.split_to(piece.len() / 2);
                            drop(half);
                        }
                    }
                }
            }
            assert_eq!(known.at(), BYTES as u64);
        });
        writer.join().unwrap();
        let metrics = runtime.metrics();
        assert!(metrics.buffers > 64, "some were large: {metrics:?}");
    });
}

#[test]
fn stream_that_ends_between_pieces_gives_all_of_them_and_then_its_end() {
    arena(|runtime| {
        let mut rng = Rng::exact(0xE0F);
        run(runtime, async {
            for round in 0..40 {
                let (stream, peer) = pair();
                let bytes = rng.below(4 * LARGE as u64) as usize;
                let writer = thread::spawn(move || {
                    write_all(&peer, &Known::default().next(bytes));
                    if round % 2 == 0 { peer.shutdown(Shutdown::Write).map(|()| Some(peer)).unwrap() } else { None }
                });
                let mut known = Known::default();
                while let Some(piece) = soon("recv", stream.recv()).await.unwrap() {
                    known.check(&piece);
                }
                assert_eq!(known.at(), bytes as u64);
                assert!(soon("recv", stream.recv()).await.unwrap().is_none());
                drop(writer.join().unwrap());
            }
        });
    });
}

#[test]
fn reset_while_the_buffers_change_is_told_and_no_byte_is_wrong() {
    arena(|runtime| {
        let mut rng = Rng::exact(0x257);
        run(runtime, async {
            for _round in 0..40 {
                let (stream, peer) = pair();
                let bytes = 1 + rng.below(4 * LARGE as u64) as usize;
                let mut known = Known::default();
                let mut receive = Box::pin(stream.recv());
                assert!(poll_once(receive.as_mut()).await.is_pending());
                yield_now().await;
                write_all(&peer, &Known::default().next(bytes));
                if rng.below(2) == 0 {
                    yield_now().await;
                }
                reset(peer);
                let error = loop {
                    match soon("recv", receive).await {
                        Ok(Some(piece)) => known.check(&piece),
                        Ok(None) => panic!("a reset is no end"),
                        Err(error) => break error,
                    }
                    receive = Box::pin(stream.recv());
                };
                assert_eq!(error.raw_os_error(), Some(104), "{error}");
                assert_eq!(soon("recv", stream.recv()).await.unwrap_err().raw_os_error(), Some(104));
                assert!(known.at() <= bytes as u64);
            }
        });
    });
}

#[test]
fn streams_of_large_messages_that_come_and_go_leave_the_number_of_buffers_as_it_is() {
    arena(|runtime| {
        let counts: Vec<_> = (0..40).map(|round| (round, come_and_go(runtime))).collect();
        let (_, settled) = counts[4];
        assert!(counts[4..].iter().all(|(_, count)| *count == settled), "{counts:?}");
    });
}

/// One stream with some large messages; how many buffers there are then.
fn come_and_go(runtime: &Runtime) -> usize {
    let (near, peer) = std_pair();
    run(runtime, async {
        let stream = TcpStream::from_std(near).unwrap();
        let mut known = (Known::default(), Known::default());
        for _message in 0..4 {
            largest_piece(&stream, &peer, &mut known, 100_000).await;
        }
        // One has bytes that nobody reads.
        write_all(&peer, &known.0.next(50_000));
        stream.readable().await.unwrap();
    });
    until_returned(runtime);
    runtime.metrics().buffers
}

/// What the dropped stream had is back.
fn until_returned(runtime: &Runtime) {
    run(runtime, until("the buffers", || runtime.metrics().buffers_lent == 0));
}
