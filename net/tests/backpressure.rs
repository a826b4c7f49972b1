//! A peer that sends faster than its bytes are read is held back, and does not starve others.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::thread;

use common::{Known, arena, arena_with, pair, run, write_all};
use quoit_runtime::spawn;
use quoit_runtime::task::yield_now;

#[test]
fn a_stream_that_nobody_reads_queues_bounded_bytes_however_large_the_buffers_are() {
    arena_with(
        |builder| {
            builder.buffer_pool(64, 64 << 10);
        },
        |runtime| {
            run(runtime, async {
                const PIECE: usize = 40 << 10;
                let (stream, peer) = pair();
                let (mut sent, mut written) = (Known::default(), 0);
                let mut queued = 0;
                // One piece after another, each in a buffer of its own, until the stream takes no more.
                loop {
                    write_all(&peer, &sent.next(PIECE));
                    written += PIECE;
                    stream.readable().await.unwrap();
                    for _turn in 0..100 {
                        yield_now().await;
                    }
                    let (result, buf) = stream.peek(Vec::with_capacity(written)).await;
                    assert_eq!(result.unwrap(), buf.len());
                    if buf.len() < written {
                        queued = queued.max(buf.len());
                        break;
                    }
                    queued = buf.len();
                }
                assert!((256 << 10..=(256 << 10) + 2 * PIECE).contains(&queued), "{queued} bytes wait");
                // Read in one piece that is larger than the bound, it goes on.
                let (result, bytes) = stream.read_exact(Vec::with_capacity(written)).await;
                assert_eq!(result.unwrap(), written);
                Known::default().check(&bytes);
                write_all(&peer, b"more");
                assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"more");
            });
        },
    );
}

#[test]
fn a_flood_on_one_stream_lets_other_tasks_run_after_a_bounded_number_of_receives() {
    arena(|runtime| {
        run(runtime, async {
            const BYTES: usize = 32 << 20;
            let (stream, peer) = pair();
            let writing = thread::spawn(move || write_all(&peer, &vec![1; BYTES]));
            let (since, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let ticking = spawn({
                let (since, most) = (Rc::clone(&since), Rc::clone(&most));
                async move {
                    loop {
                        most.set(most.get().max(since.take()));
                        yield_now().await;
                    }
                }
            });
            let mut bytes = 0;
            while let Some(received) = stream.recv().await.unwrap() {
                bytes += received.len();
                since.set(since.get() + 1);
            }
            assert_eq!(bytes, BYTES);
            assert!(ticking.cancel().await.is_none());
            // What one poll of a task may do, and the rest of the poll in which the flood began.
            assert!((1..=2 * 128).contains(&most.get()), "{} receives in a turn", most.get());
            writing.join().unwrap();
        });
    });
}

#[test]
fn waits_for_room_that_are_given_up_behind_a_write_that_nobody_takes_hold_no_memory() {
    arena(|runtime| {
        let (stream, peer) = pair();
        let stream = Rc::new(stream);
        run(runtime, async {
            let writing = spawn({
                let stream = Rc::clone(&stream);
                async move { drop(stream.write_all(vec![7; 16 << 20]).await) }
            });
            yield_now().await;
            let mut after_a_thousand = 0;
            for round in 0..10_000 {
                let stream = Rc::clone(&stream);
                let waiting = spawn(async move { drop(stream.writable().await) });
                yield_now().await;
                waiting.abort();
                assert!(waiting.await.expect_err("there is no room").is_cancelled());
                if round == 1_000 {
                    after_a_thousand = common::ALLOC.live_bytes();
                }
            }
            let grown = common::ALLOC.live_bytes().saturating_sub(after_a_thousand);
            assert!(grown < 16 << 10, "9,000 that are gone hold {grown} bytes");
            writing.abort();
            drop(peer);
            assert!(writing.await.is_err());
        });
    });
}
