//! Streams with write-behind: short writes answer at once and leave at the end of the turn, and nothing else changes.

mod common;

use std::io::Read;
use std::net::{Shutdown, TcpStream as StdStream};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use common::{Known, arena, arena_with, pair, poll_once, read_to_end, reset, run, soon, storm, until, write_all};
use quoit_net::TcpStream;
use quoit_runtime::io::BufWriter;
use quoit_runtime::task::yield_now;
use quoit_runtime::{KernelKind, metrics, spawn};
use quoit_testkit::{EchoLoad, Rng, allocations_of_this_thread};

fn behind() -> (TcpStream, StdStream) {
    let (stream, peer) = pair();
    stream.set_write_behind(true);
    (stream, peer)
}

#[test]
fn short_write_answers_at_its_first_poll_and_leaves_at_the_end_of_the_turn() {
    arena(|runtime| {
        let (stream, peer) = behind();
        peer.set_nonblocking(true).unwrap();
        run(runtime, async {
            let before = metrics().enters;
            assert!(poll_once(pin!(stream.write_all("now"))).await.is_ready());
            assert_eq!(metrics().enters, before);
            assert!((&peer).read(&mut [0; 3]).is_err(), "it is not out yet");
            yield_now().await;
            let mut bytes = [0; 3];
            (&peer).read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"now");
        });
    });
}

#[test]
fn request_and_answer_cost_one_entry() {
    arena(|runtime| {
        let (stream, peer) = behind();
        const COUNT: u64 = 2_000;
        let client = thread::spawn(move || {
            let mut answer = [0; 106];
            for round in 0..COUNT {
                let request = [round as u8; 106];
                write_all(&peer, &request);
                (&peer).read_exact(&mut answer).unwrap();
                assert_eq!(answer, request);
            }
        });
        run(runtime, async {
            let before = metrics();
            while let Some(received) = stream.recv().await.unwrap() {
                stream.write_all(received).await.0.unwrap();
            }
            let after = metrics();
            // The first entry arms the receive; now and then one returns early.
            let enters = after.enters - before.enters;
            assert!(enters <= COUNT + COUNT / 10, "{enters} entries for {COUNT} messages");
            assert!(enters >= COUNT, "{enters} entries for {COUNT} messages");
        });
        client.join().unwrap();
    });
}

#[test]
fn echo_of_many_connections_is_exact() {
    arena(|runtime| {
        run(runtime, async {
            let listener = quoit_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut load = EchoLoad::new(listener.local_addr().unwrap());
            (load.connections, load.messages_per_connection, load.max_bytes) = (50, 40, 9_000);
            let client = thread::spawn(move || load.run());
            let server = spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_write_behind(true);
                    drop(spawn(async move {
                        while let Some(received) = stream.recv().await.unwrap() {
                            stream.write_all(received).await.0.unwrap();
                        }
                        stream.close().await.unwrap();
                    }));
                }
            });
            until("the end of the load", || client.is_finished()).await;
            assert_eq!(client.join().unwrap().unwrap().messages, 2_000);
            assert!(server.cancel().await.is_none());
        });
    });
}

/// Writes of all kinds at a peer that is slow, with a small socket buffer, so that most fall short: all arrives, in order.
fn all_arrives_in_order(entries: u32, sqpoll: bool) {
    let configure = move |builder: &mut quoit_runtime::Builder| {
        builder.entries(entries).completion_entries(2 * entries);
        if sqpoll {
            builder.sqpoll(Duration::from_millis(1));
        }
    };
    arena_with(configure, |runtime| {
        let (stream, peer) = behind();
        stream.set_send_buffer_size(4_608).unwrap();
        let mut rng = Rng::new(0xBE41);
        let wanted = storm(3_000);
        let reader = thread::spawn(move || {
            let (mut known, mut bytes, mut total) = (Known::default(), [0; 3_000], 0);
            loop {
                let count = (&peer).read(&mut bytes).unwrap();
                if count == 0 {
                    return total;
                }
                known.check(&bytes[..count]);
                total += count;
                if total % 64 == 0 {
                    thread::yield_now();
                }
            }
        });
        let sent = common::run_for(runtime, Duration::from_secs(600), async {
            let (mut known, mut sent) = (Known::default(), 0);
            for _message in 0..wanted {
                let bytes = known.next(1 + rng.below(5_000) as usize);
                sent += bytes.len();
                match rng.below(8) {
                    0 => {
                        let rest = bytes.split_at(bytes.len() / 2);
                        stream.write_all_vectored((rest.0.to_vec(), rest.1.to_vec())).await.0.unwrap();
                    }
                    1 => {
                        // What has begun is finished, whoever waits.
                        let mut write = Box::pin(stream.write_all(bytes));
                        while poll_once(write.as_mut()).await.is_pending() {
                            yield_now().await;
                        }
                    }
                    _ => stream.write_all(bytes).await.0.unwrap(),
                }
                if rng.below(4) == 0 {
                    yield_now().await;
                }
            }
            stream.shutdown(Shutdown::Write).await.unwrap();
            sent
        });
        assert_eq!(reader.join().unwrap(), sent);
    });
}

#[test]
fn messages_that_do_not_fit_into_the_socket_arrive_whole_and_in_order() {
    all_arrives_in_order(256, false);
}

#[test]
fn the_same_on_a_tiny_ring() {
    all_arrives_in_order(2, false);
}

// There silence tells nothing, so writes are awaited as ever.
#[test]
fn the_same_where_a_thread_of_the_kernel_submits() {
    all_arrives_in_order(64, true);
}

#[test]
fn what_was_written_comes_before_a_half_close_a_drop_and_a_close() {
    arena(|runtime| {
        for end in 0..4 {
            let (stream, peer) = behind();
            run(runtime, async {
                stream.write_all("first").await.0.unwrap();
                match end {
                    0 => drop(stream),
                    1 => soon("close", stream.close()).await.unwrap(),
                    2 => {
                        soon("shutdown", stream.shutdown(Shutdown::Write)).await.unwrap();
                        assert_eq!(stream.write_all("late").await.0.unwrap_err().raw_os_error(), Some(32));
                        drop(stream);
                    }
                    _ => drop(stream.into_split().1),
                }
            });
            assert_eq!(read_to_end(&peer).unwrap(), b"first", "end {end}");
        }
    });
}

#[test]
fn descriptor_that_is_taken_out_has_sent_what_was_written() {
    arena(|runtime| {
        let (stream, peer) = behind();
        run(runtime, async {
            stream.write_all("first ").await.0.unwrap();
            let stream = stream.into_std().expect("nothing is under way");
            write_all(&stream, b"second");
        });
        assert_eq!(read_to_end(&peer).unwrap(), b"first second");
    });
}

#[test]
fn runtime_that_ends_has_sent_what_was_written() {
    common::arena_of(
        |_| {},
        |runtime| {
            let (stream, peer) = behind();
            run(&runtime, async { stream.write_all("last words").await.0.unwrap() });
            let report = runtime.shutdown(Duration::from_secs(5));
            assert!(report.is_clean(), "{report}");
            let mut bytes = [0; 10];
            (&peer).read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"last words");
        },
    );
}

#[test]
fn error_of_a_message_is_told_by_the_next_write_and_stays_told() {
    arena(|runtime| {
        let (stream, peer) = behind();
        reset(peer);
        run(runtime, async {
            stream.write_all("nobody reads this").await.0.unwrap();
            yield_now().await;
            for _again in 0..3 {
                assert_eq!(stream.write_all("nor this").await.0.unwrap_err().raw_os_error(), Some(104));
            }
            let error = soon("recv", stream.recv()).await.expect_err("a reset is no end");
            assert_eq!(error.raw_os_error(), Some(104));
            assert_eq!(stream.close().await.unwrap_err().raw_os_error(), Some(104));
        });
    });
}

#[test]
fn steady_answers_allocate_nothing_on_the_ring() {
    arena_with(
        |builder| _ = builder.kernel(KernelKind::IoUring),
        |runtime| {
            let (stream, peer) = behind();
            const ROUNDS: usize = 200;
            let client = thread::spawn(move || {
                let mut answer = [0; 1_000];
                for _round in 0..ROUNDS {
                    write_all(&peer, &[7; 1_000]);
                    (&peer).read_exact(&mut answer).unwrap();
                }
            });
            run(runtime, async {
                let (mut rounds, mut counted) = (0, allocations_of_this_thread());
                while let Some(received) = stream.recv().await.unwrap() {
                    stream.write_all(received).await.0.unwrap();
                    rounds += 1;
                    if rounds == ROUNDS / 2 {
                        counted = allocations_of_this_thread();
                    }
                }
                assert!(rounds >= ROUNDS, "{rounds} rounds");
                assert_eq!(allocations_of_this_thread() - counted, 0);
            });
            client.join().unwrap();
        },
    );
}

#[test]
fn a_flush_that_is_given_up_behind_another_write_leaves_its_bytes_in_the_buffer() {
    arena(|runtime| {
        let (stream, peer) = behind();
        run(runtime, async {
            let writer = BufWriter::new(&stream);
            writer.write_all("short").await.0.unwrap();
            let mut long = Box::pin(stream.write_all(vec![7; 16 << 20]));
            assert!(poll_once(long.as_mut()).await.is_pending());
            let mut flush = Box::pin(writer.flush());
            assert!(poll_once(flush.as_mut()).await.is_pending());
            drop(flush);
            assert_eq!(writer.buffered(), 5);
            drop(peer);
            assert!(long.await.0.is_err());
        });
    });
}
