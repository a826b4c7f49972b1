//! Descriptors that are passed along on Unix streams: each arrives once, with its bytes, or is closed.

mod common;

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::pin;
use std::process::{Command, id};

use common::{arena, arena_of, arena_with, poll_once, run, soon, until};
use quoit_net::UnixStream;
use quoit_runtime::metrics;
use quoit_runtime::task::yield_now;
use quoit_testkit::FdCount;

fn test(body: impl AsyncFnOnce()) {
    arena(|runtime| run(runtime, body()));
}

/// Descriptors of their own.
fn some(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect()
}

async fn recv(stream: &UnixStream, room: usize) -> (Vec<u8>, Vec<OwnedFd>) {
    let (received, buf) = soon("bytes", stream.recv_fds(Vec::with_capacity(room))).await;
    let (count, descriptors) = received.unwrap();
    assert_eq!(count, buf.len());
    (buf, descriptors)
}

#[test]
fn a_descriptor_that_is_passed_along_works_at_the_other_end_and_is_closed_on_exec() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (near, far) = StdStream::pair().unwrap();
        one.send_fds("take this", vec![far.into()]).await.0.unwrap();
        let (bytes, descriptors) = recv(&other, 100).await;
        assert_eq!((&bytes[..], descriptors.len()), (&b"take this"[..], 1));
        let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptors[0].as_raw_fd())).unwrap();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
        assert_ne!(u32::from_str_radix(&flags, 8).unwrap() & 0o2_000_000, 0, "closed on exec: {flags}");
        let mut passed = StdStream::from(descriptors.into_iter().next().unwrap());
        passed.write_all(b"through it").unwrap();
        let near = UnixStream::from_std(near).unwrap();
        assert_eq!(near.recv().await.unwrap().unwrap(), b"through it");
    });
}

#[test]
fn descriptors_stay_with_the_bytes_that_they_were_sent_with() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        one.write_all("plain").await.0.unwrap();
        one.send_fds("two", some(2)).await.0.unwrap();
        one.send_fds("three", some(3)).await.0.unwrap();
        one.write_all("plain again").await.0.unwrap();
        one.send_fds("most", some(253)).await.0.unwrap();
        drop(one);
        // Of readers that know how long messages are.
        for (text, count) in
            [("pla", 0), ("in", 0), ("t", 2), ("wo", 0), ("three", 3), ("plain again", 0), ("most", 253)]
        {
            let (bytes, descriptors) = recv(&other, text.len()).await;
            assert_eq!((&bytes[..], descriptors.len()), (text.as_bytes(), count));
        }
        assert_eq!(recv(&other, 100).await.0, b"");
    });
}

#[test]
fn a_reader_with_room_for_all_gets_no_descriptors_of_two_messages_together() {
    test(async || {
        for eager in [false, true] {
            let (one, other) = UnixStream::pair().unwrap();
            if eager {
                // A receive that takes all that comes is in flight.
                assert!(poll_once(pin!(other.recv())).await.is_pending());
            }
            let sent = [("plain", 0), ("two", 2), ("three", 3), ("plain again", 0), ("one", 1)];
            for (text, count) in sent {
                one.send_fds(text, some(count)).await.0.unwrap();
            }
            drop(one);
            let (mut seen, mut counts) = (Vec::new(), Vec::new());
            loop {
                let (bytes, descriptors) = recv(&other, 100).await;
                if bytes.is_empty() {
                    break;
                }
                seen.extend(bytes);
                if !descriptors.is_empty() {
                    counts.push((seen.len(), descriptors.len()));
                }
            }
            assert_eq!(seen, b"plaintwothreeplain againone");
            assert_eq!(counts, [(8, 2), (13, 3), (27, 1)]);
        }
    });
}

#[test]
fn descriptors_that_come_after_a_header_that_was_read_plainly_are_not_lost() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        // Both are there before anything is read, and the stream receives both at once.
        one.write_all("header").await.0.unwrap();
        one.send_fds("body", some(1)).await.0.unwrap();
        let (read, header) = other.read_exact(Box::new([0; 6])).await;
        assert_eq!((read.unwrap(), &*header), (6, b"header"));
        let (bytes, descriptors) = recv(&other, 100).await;
        assert_eq!((&bytes[..], descriptors.len()), (&b"body"[..], 1));
    });
}

#[test]
fn descriptors_whose_bytes_are_read_by_other_methods_are_closed() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let before = FdCount::now();
        for kind in 0..4 {
            one.send_fds("bytes", some(5)).await.0.unwrap();
            match kind {
                0 => assert_eq!(other.recv().await.unwrap().unwrap(), b"bytes"),
                1 => assert_eq!(other.read(Vec::with_capacity(9)).await.0.unwrap(), 5),
                2 => assert_eq!(other.read_exact(Box::new([0; 5])).await.0.unwrap(), 5),
                _ => assert_eq!(other.read_vectored(vec![Vec::with_capacity(5)]).await.0.unwrap(), 5),
            }
            before.assert_same();
        }
        // A peek takes neither.
        one.send_fds("look", some(1)).await.0.unwrap();
        assert_eq!(other.peek(Vec::with_capacity(4)).await.0.unwrap(), 4);
        assert_eq!(recv(&other, 100).await.1.len(), 1);
    });
}

#[test]
fn a_receive_that_is_dropped_or_forgotten_leaves_the_descriptors_to_the_next_one() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(poll_once(pin!(other.recv_fds(Vec::with_capacity(9)))).await.is_pending());
        let mut forgotten = Box::pin(other.recv_fds(Vec::with_capacity(9)));
        assert!(poll_once(forgotten.as_mut()).await.is_pending());
        std::mem::forget(forgotten);
        one.send_fds("mine", some(2)).await.0.unwrap();
        let (bytes, descriptors) = recv(&other, 100).await;
        assert_eq!((&bytes[..], descriptors.len()), (&b"mine"[..], 2));
    });
}

#[test]
fn descriptors_that_nobody_took_are_closed_with_the_stream_wherever_they_are() {
    test(async || {
        let before = FdCount::now();
        for arrived in [false, true] {
            let (one, other) = UnixStream::pair().unwrap();
            if arrived {
                assert!(poll_once(pin!(other.recv_fds(Vec::with_capacity(9)))).await.is_pending());
            }
            for _message in 0..5 {
                one.send_fds("x", some(9)).await.0.unwrap();
            }
            if arrived {
                other.readable().await.unwrap();
            }
            one.close().await.unwrap();
            other.close().await.unwrap();
        }
        until("all are closed", || FdCount::now().count() == before.count()).await;
    });
}

#[test]
fn a_runtime_that_ends_closes_the_descriptors_that_were_on_their_way() {
    arena_of(
        |_| {},
        |runtime| {
            run(&runtime, async {
                let (one, other) = UnixStream::pair().unwrap();
                assert!(poll_once(pin!(other.recv_fds(Vec::with_capacity(9)))).await.is_pending());
                one.send_fds("x", some(3)).await.0.unwrap();
            });
            assert!(runtime.shutdown(common::PATIENCE).is_clean());
        },
    );
}

#[test]
fn a_send_without_bytes_or_with_too_many_descriptors_is_refused_and_closes_them() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        for (text, count) in [("", 1), ("x", 254)] {
            let before = FdCount::now();
            let (sent, buf) = one.send_fds(text, some(count)).await;
            assert_eq!((sent.unwrap_err().kind(), buf), (io::ErrorKind::InvalidInput, text));
            before.assert_same();
        }
        one.send_fds("none", Vec::new()).await.0.unwrap();
        let (bytes, descriptors) = recv(&other, 9).await;
        assert_eq!((&bytes[..], descriptors.len()), (&b"none"[..], 0));
        drop(other);
        yield_now().await;
        yield_now().await;
        let before = FdCount::now();
        assert_eq!(one.send_fds("x", some(2)).await.0.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        before.assert_same();
    });
}

#[test]
fn a_long_send_passes_its_descriptors_once_and_all_of_its_bytes() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|index| (index / 3) as u8).collect();
        let send = async {
            one.send_fds(bytes.clone(), some(4)).await.0.unwrap();
            one.send_fds("next", some(1)).await.0.unwrap();
        };
        let receive = async {
            let (mut seen, mut count) = (Vec::new(), 0);
            while seen.len() < bytes.len() {
                let (more, descriptors) = recv(&other, 50_000.min(bytes.len() - seen.len())).await;
                assert!(!more.is_empty() && (seen.is_empty() || descriptors.is_empty()));
                seen.extend(more);
                count += descriptors.len();
            }
            assert!(seen == bytes && count == 4, "{count} descriptors");
            assert_eq!(recv(&other, 9).await.1.len(), 1);
        };
        futures_util::future::join(send, receive).await;
    });
}

#[test]
fn a_send_to_a_peer_that_has_ended_its_side_waits_for_room_with_pauses() {
    test(async || {
        let (one, mut other) = StdStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = (&one).write(&[7; 4096]) {
            sent += count;
        }
        other.shutdown(Shutdown::Write).unwrap();
        let one = UnixStream::from_std(one).unwrap();
        let mut send = pin!(one.send_fds("behind them", some(1)));
        let sqes = metrics().sqes;
        for _turn in 0..200 {
            assert!(poll_once(send.as_mut()).await.is_pending());
            yield_now().await;
        }
        let tries = metrics().sqes - sqes;
        assert!(tries < 100, "tried again without a pause: {tries} entries");
        other.read_exact(&mut vec![0; sent]).unwrap();
        send.await.0.unwrap();
        let mut bytes = [0; 11];
        other.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"behind them");
    });
}

#[test]
fn a_flood_of_descriptors_that_nobody_takes_is_held_up() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let before = FdCount::now().count();
        assert!(poll_once(pin!(other.readable())).await.is_pending());
        let null: OwnedFd = File::open("/dev/null").unwrap().into();
        // As many as wait in the stream, and in the kernel behind it.
        for message in 0..150 {
            let copies = (0..8).map(|_| null.as_fd().try_clone_to_owned().unwrap()).collect();
            one.send_fds(vec![message as u8], copies).await.0.unwrap();
        }
        for _turn in 0..10 {
            yield_now().await;
        }
        let held = FdCount::now().count() - before;
        assert!(held < 64 + 40 * 8 + 1, "{held} are held");
        for message in 0..150 {
            let (bytes, descriptors) = recv(&other, 9).await;
            assert_eq!((bytes, descriptors.len()), (vec![message as u8], 8));
        }
    });
}

#[test]
fn streams_take_descriptors_also_without_buffers_of_the_pool() {
    for bytes in [1_024, 4_096] {
        arena_with(
            |builder| {
                builder.buffer_pool(2, bytes);
            },
            |runtime| {
                run(runtime, async {
                    let (one, other) = UnixStream::pair().unwrap();
                    let mut kept = Vec::new();
                    for message in 0..12_u8 {
                        one.send_fds(vec![message; 20], some(1)).await.0.unwrap();
                        if message < 4 {
                            // Hoards the buffers.
                            kept.push(soon("bytes", other.recv()).await.unwrap().unwrap());
                        } else {
                            let (bytes, descriptors) = recv(&other, 20).await;
                            assert_eq!((bytes, descriptors.len()), (vec![message; 20], 1));
                        }
                    }
                    drop(one);
                    assert!(other.recv().await.unwrap().is_none());
                });
            },
        );
    }
}

#[test]
fn descriptors_that_there_was_no_room_for_are_told_once_and_the_bytes_still_come() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        one.send_fds("bytes", some(6)).await.0.unwrap();
        let before = soft_limit();
        // Room for a few more, if that.
        limit_descriptors(&(next_descriptor() + 2).to_string());
        let (received, buf) = other.recv_fds(Vec::with_capacity(9)).await;
        limit_descriptors(&before);
        assert_eq!((received.unwrap_err().raw_os_error(), buf.len()), (Some(24), 0));
        let (bytes, descriptors) = recv(&other, 9).await;
        assert!(bytes == b"bytes" && descriptors.len() < 6, "{} came", descriptors.len());
        one.send_fds("next", some(1)).await.0.unwrap();
        assert_eq!(recv(&other, 9).await.1.len(), 1);
    });
}

/// How many descriptors this process may have, by the tools of the system, as tests have no unsafe code.
fn limit_descriptors(soft: &str) {
    let status = Command::new("prlimit").arg(format!("--pid={}", id())).arg(format!("--nofile={soft}:")).status();
    assert!(status.expect("prlimit is there").success());
}

fn soft_limit() -> String {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// The number that the next descriptor will have.
fn next_descriptor() -> i32 {
    File::open("/dev/null").unwrap().as_raw_fd()
}
