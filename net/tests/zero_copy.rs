//! Writes without a copy: the buffer comes home when the kernel has let go of it, and a peer that takes nothing holds up nobody
//! for ever.

mod common;

use std::future::poll_fn;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::time::Duration;

use common::{arena, arena_of, arena_with, pair, poll_once, read_to_end, reset, run};
use quoit_net::TcpStream;
use quoit_runtime::cancel_scope::{CancelScope, Stop, is_cancelled, transferred};
use quoit_runtime::task::yield_now;
use quoit_runtime::timer::pause;

/// More than the socket buffers of both ends take.
const MUCH: usize = 16 << 20;

#[test]
fn zero_copy_writes_come_whole_and_in_order_among_others() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, peer) = pair();
            let reading = std::thread::spawn(move || read_to_end(&peer).unwrap());
            let mut expected = Vec::new();
            for (index, len) in [1_usize, 40_000, 0, MUCH, 100_000, 5].into_iter().enumerate() {
                let bytes = vec![index as u8; len];
                expected.extend_from_slice(&bytes);
                let (result, back) = stream.write_all_zc(bytes.clone()).await;
                result.unwrap();
                assert!(back == bytes);
                expected.extend_from_slice(b"between");
                stream.write_all("between").await.0.unwrap();
            }
            // Not waited for: the next write passes it only when all of it is out.
            {
                let mut write = pin!(stream.write_all_zc(vec![9; MUCH]));
                assert!(poll_once(write.as_mut()).await.is_pending());
            }
            expected.resize(expected.len() + MUCH, 9);
            expected.extend_from_slice(b"last");
            stream.write_all("last").await.0.unwrap();
            stream.close().await.unwrap();
            assert!(reading.join().unwrap() == expected, "what has arrived differs");
        });
    });
}

#[test]
fn a_zero_copy_write_to_a_peer_that_takes_nothing_does_not_hold_up_the_shutdown() {
    for (len, clock_stands) in [(64 << 10, false), (64 << 10, true), (MUCH, false)] {
        arena_of(
            |_| {},
            |runtime| {
                let (stream, peer) = pair();
                socket2::SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
                runtime.block_on(async {
                    if clock_stands {
                        pause();
                    }
                    // The receive buffer is full before the one that counts.
                    for _ in 0..2 {
                        let mut fill = pin!(stream.write_all(vec![0; len]));
                        let _ = poll_once(fill.as_mut()).await;
                        let mut write = pin!(stream.write_all_zc(vec![1; len]));
                        let _ = poll_once(write.as_mut()).await;
                        for _turn in 0..8 {
                            yield_now().await;
                        }
                    }
                });
                drop(stream);
                let report = runtime.shutdown(Duration::from_secs(30));
                assert!(report.is_clean() && report.elapsed < Duration::from_secs(20), "{report}");
                drop(peer);
            },
        );
    }
}

#[test]
fn closing_behind_a_zero_copy_write_that_nobody_takes_ends_at_the_deadline() {
    arena_with(
        |builder| {
            builder.close_deadline(Duration::from_millis(50));
        },
        |runtime| {
            run(runtime, async {
                let ((closed, _p), (dropped, _q)) = (pair(), pair());
                for stream in [&closed, &dropped] {
                    let mut write = pin!(stream.write_all_zc(vec![1; MUCH]));
                    assert!(poll_once(write.as_mut()).await.is_pending());
                }
                assert_eq!(closed.close().await.unwrap_err().kind(), ErrorKind::TimedOut);
                drop(dropped);
            });
        },
    );
}

#[test]
fn a_zero_copy_write_that_is_stopped_gives_its_buffer_back_also_where_the_peer_takes_nothing() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, mut peer) = pair();
            let mut scope = CancelScope::new();
            let mut write = Box::pin(stream.write_all_zc(vec![7; MUCH]));
            let first = poll_fn(|cx| std::task::Poll::Ready(scope.poll(cx, |cx| write.as_mut().poll(cx)))).await;
            assert!(first.is_pending());
            for _turn in 0..8 {
                yield_now().await;
            }
            scope.cancel(Stop::Token);
            let (result, buf) = poll_fn(|cx| scope.poll(cx, |cx| write.as_mut().poll(cx))).await;
            let error = result.unwrap_err();
            assert!(is_cancelled(&error) && transferred(&error).unwrap() < MUCH, "{error}");
            assert_eq!(buf.len(), MUCH);
            drop(write);
            let _ = stream.close().await;
            let mut rest = Vec::new();
            let _ = peer.read_to_end(&mut rest);
            assert!(rest.len() < MUCH && rest.iter().all(|byte| *byte == 7));
        });
    });
}

#[test]
fn a_reset_ends_a_zero_copy_write_and_later_ones() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, peer) = pair();
            let mut write = pin!(stream.write_all_zc(vec![1; MUCH]));
            assert!(poll_once(write.as_mut()).await.is_pending());
            yield_now().await;
            reset(peer);
            let (result, buf) = write.await;
            assert!(matches!(result.unwrap_err().raw_os_error(), Some(32 | 104)));
            assert_eq!(buf.len(), MUCH);
            for _ in 0..2 {
                let (result, buf) = stream.write_all_zc(vec![2; 100_000]).await;
                assert!(matches!(result.unwrap_err().raw_os_error(), Some(32 | 104)));
                assert_eq!(buf.len(), 100_000);
            }
        });
    });
}

#[test]
fn where_a_socket_knows_no_zero_copy_the_bytes_are_copied() {
    arena(|runtime| {
        run(runtime, async {
            let (near, mut far) = UnixStream::pair().unwrap();
            let stream = TcpStream::from(OwnedFd::from(near));
            let reading = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                far.read_to_end(&mut bytes).unwrap();
                bytes.len()
            });
            stream.write_all_zc(vec![3; MUCH]).await.0.unwrap();
            stream.close().await.unwrap();
            assert_eq!(reading.join().unwrap(), MUCH);
        });
    });
}
