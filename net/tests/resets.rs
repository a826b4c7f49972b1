//! Resets, half-closed connections and other ends of a stream.

mod common;

use std::future::Future;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::pin::pin;
use std::task::Poll;
use std::thread;

use common::{Known, arena, pair, poll_once, read_to_end, reset, run, soon, std_pair, until, write_all};
use quoit_net::TcpStream;
use quoit_runtime::task::yield_now;

const RESET: Option<i32> = Some(104);

/// From now on every call answers an error, and `recv` the reset.
async fn assert_stays_reset(stream: &TcpStream) {
    for _again in 0..3 {
        let error = soon("recv", stream.recv()).await.expect_err("a reset is no end");
        assert_eq!(error.raw_os_error(), RESET, "{error}");
        let error = soon("read", stream.read(Vec::with_capacity(4))).await.0.expect_err("a reset is no end");
        assert_eq!(error.raw_os_error(), RESET, "{error}");
        assert!(soon("write", stream.write_all("more")).await.0.is_err());
        assert!(soon("write", stream.write_vectored(vec!["more"])).await.0.is_err());
    }
}

#[test]
fn reset_is_told_to_a_receive_that_waits_and_stays_told() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            let mut receive = pin!(stream.recv());
            assert!(poll_once(receive.as_mut()).await.is_pending());
            yield_now().await;
            reset(peer);
            assert_eq!(receive.await.unwrap_err().raw_os_error(), RESET);
            assert_stays_reset(&stream).await;
        });
    });
}

#[test]
fn reset_is_told_to_a_receive_that_comes_later() {
    arena(|runtime| {
        let (stream, peer) = pair();
        reset(peer);
        run(runtime, assert_stays_reset(&stream));
    });
}

#[test]
fn reset_that_a_write_saw_first_is_told_to_receives() {
    arena(|runtime| {
        let (stream, peer) = pair();
        reset(peer);
        run(runtime, async {
            let error = stream.write_all("x").await.0.unwrap_err();
            assert_eq!(error.raw_os_error(), RESET, "{error}");
            assert_stays_reset(&stream).await;
        });
    });
}

/// A reset comes while a large write is half out and a receive waits; `write_first`: the write began to wait first.
fn reset_comes_in_the_middle(write_first: bool, early: bool) {
    arena(|runtime| {
        for _round in 0..20 {
            let (stream, peer) = pair();
            run(runtime, async {
                let mut write = Box::pin(stream.write_all(vec![1; 16 << 20]));
                let mut receive = Box::pin(stream.recv());
                if write_first {
                    assert!(poll_once(write.as_mut()).await.is_pending());
                    yield_now().await;
                    yield_now().await;
                    assert!(poll_once(receive.as_mut()).await.is_pending());
                } else {
                    assert!(poll_once(receive.as_mut()).await.is_pending());
                    yield_now().await;
                    yield_now().await;
                    assert!(poll_once(write.as_mut()).await.is_pending());
                }
                if !early {
                    yield_now().await;
                    yield_now().await;
                }
                reset(peer);
                let error = soon("recv", receive).await.expect_err("a reset is no end");
                assert_eq!(error.raw_os_error(), RESET, "{error}");
                assert!(soon("write", write).await.0.is_err());
                assert_stays_reset(&stream).await;
            });
        }
    });
}

// With `MSG_WAITALL` the kernel goes on with a send that was short; the reset that this meets is answered by the count of
// bytes, so nobody is told of it, and the receive then answers an end.
#[test]
fn reset_in_the_middle_of_a_write_is_told_to_a_receive_that_waited_before() {
    reset_comes_in_the_middle(false, false);
}

#[test]
fn reset_in_the_middle_of_a_write_is_told_to_a_receive_that_waited_after() {
    reset_comes_in_the_middle(true, false);
}

#[test]
fn reset_in_the_middle_of_a_write_is_told_to_a_receive_submitted_with_it() {
    reset_comes_in_the_middle(true, true);
    reset_comes_in_the_middle(false, true);
}

#[test]
fn reset_in_the_middle_of_a_write_is_told_to_a_receive_that_comes_later() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            let mut write = Box::pin(stream.write_all(vec![1; 16 << 20]));
            assert!(poll_once(write.as_mut()).await.is_pending());
            yield_now().await;
            yield_now().await;
            reset(peer);
            let error = soon("write", write).await.0.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            assert_stays_reset(&stream).await;
        });
    });
}

// The kernel throws away what a reset overtakes, so only what was received before it is there.
#[test]
fn bytes_received_before_a_reset_come_before_it() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            assert!(poll_once(pin!(stream.recv())).await.is_pending());
            yield_now().await;
            write_all(&peer, b"before");
            // Into the stream's own queue, with the receive that is in flight.
            until("the bytes", || runtime.metrics().buffers_lent == 1).await;
            reset(peer);
            let mut receive = pin!(stream.read_exact(Vec::with_capacity(7)));
            let mut answer = poll_once(receive.as_mut()).await;
            while answer.is_pending() {
                yield_now().await;
                answer = poll_once(receive.as_mut()).await;
            }
            let Poll::Ready((result, _)) = answer else { unreachable!("the loop has seen to it") };
            assert_eq!(result.unwrap_err().raw_os_error(), RESET);
            assert_eq!(stream.recv().await.unwrap().unwrap(), b"before");
            assert_stays_reset(&stream).await;
        });
    });
}

#[test]
fn peer_that_has_ended_its_side_still_gets_our_writes() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            peer.shutdown(Shutdown::Write).unwrap();
            assert!(stream.recv().await.unwrap().is_none());
            assert!(stream.recv().await.unwrap().is_none());
            stream.write_all("still here").await.0.unwrap();
            assert!(stream.recv().await.unwrap().is_none());
            stream.close().await.unwrap();
        });
        assert_eq!(read_to_end(&peer).unwrap(), b"still here");
    });
}

#[test]
fn shutdown_goes_behind_the_writes_and_reading_goes_on() {
    arena(|runtime| {
        let (stream, peer) = pair();
        const BYTES: usize = 8 << 20;
        let reader = thread::spawn(move || {
            let bytes = read_to_end(&peer).unwrap();
            write_all(&peer, b"after the end");
            (bytes, peer)
        });
        run(runtime, async {
            let mut first = pin!(stream.write_all(Known::default().next(BYTES)));
            let mut second = pin!(stream.write_all("the last"));
            let mut shutdown = pin!(stream.shutdown(Shutdown::Write));
            assert!(poll_once(first.as_mut()).await.is_pending());
            assert!(poll_once(second.as_mut()).await.is_pending());
            assert!(poll_once(shutdown.as_mut()).await.is_pending());
            shutdown.await.unwrap();
            // They are done by then.
            assert!(matches!(poll_once(first).await, Poll::Ready((Ok(()), _))));
            assert!(matches!(poll_once(second).await, Poll::Ready((Ok(()), _))));
            let (count, bytes) = stream.read_exact(Box::new([0; 13])).await;
            assert_eq!((count.unwrap(), &bytes[..]), (13, &b"after the end"[..]));
            assert_eq!(stream.write_all("too late").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
        let (bytes, peer) = reader.join().unwrap();
        assert_eq!(bytes.len(), BYTES + 8);
        Known::default().check(&bytes[..BYTES]);
        assert_eq!(&bytes[BYTES..], b"the last");
        drop(peer);
        run(runtime, async { assert!(stream.recv().await.unwrap().is_none()) });
    });
}

#[test]
fn shutdown_whose_future_is_dropped_happens_all_the_same() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            assert!(poll_once(Box::pin(stream.shutdown(Shutdown::Write)).as_mut()).await.is_pending());
            yield_now().await;
        });
        assert_eq!(read_to_end(&peer).unwrap(), b"");
    });
}

#[test]
fn read_into_a_buffer_without_room_is_invalid_input() {
    arena(|runtime| {
        let (stream, peer) = pair();
        write_all(&peer, b"waiting");
        async fn refused<B>(call: impl Future<Output = quoit_runtime::buf::BufResult<usize, B>>) {
            assert_eq!(call.await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        run(runtime, async {
            refused(stream.read(Vec::new())).await;
            refused(stream.read(vec![1; 16].into_boxed_slice().into_vec())).await;
            refused(stream.read(Box::new([0_u8; 0]))).await;
            refused(stream.read_exact(Vec::new())).await;
            refused(stream.read_vectored(vec![Vec::new(), Vec::new()])).await;
            refused(stream.read_vectored(Vec::<Vec<u8>>::new())).await;
            assert_eq!(stream.recv().await.unwrap().unwrap(), b"waiting");
        });
    });
}

#[test]
fn writes_of_nothing_are_done_and_send_nothing() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            assert_eq!(stream.write(Vec::new()).await.0.unwrap(), 0);
            stream.write_all(Vec::new()).await.0.unwrap();
            assert_eq!(stream.write_vectored(vec![Vec::new(), Vec::new()]).await.0.unwrap(), 0);
            stream.write_all_vectored(Vec::<Vec<u8>>::new()).await.0.unwrap();
            stream.close().await.unwrap();
        });
        assert_eq!(read_to_end(&peer).unwrap(), b"");
    });
}

#[test]
fn read_exact_that_meets_the_end_leaves_its_bytes() {
    arena(|runtime| {
        let (stream, peer) = pair();
        write_all(&peer, &Known::default().next(300_000));
        drop(peer);
        run(runtime, async {
            let mut known = Known::default();
            assert_eq!(
                stream.read_exact(Vec::with_capacity(300_001)).await.0.unwrap_err().kind(),
                ErrorKind::UnexpectedEof
            );
            let (count, bytes) = stream.read_exact(Vec::with_capacity(100_000)).await;
            assert_eq!(count.unwrap(), bytes.len());
            known.check(&bytes);
            while let Some(bytes) = stream.recv().await.unwrap() {
                known.check(&bytes);
            }
            assert_eq!(known.at(), 300_000);
            assert_eq!(stream.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
            assert_eq!(stream.read_exact(Vec::with_capacity(1)).await.0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        });
    });
}

#[test]
fn close_waits_for_the_writes_and_tells_what_broke_them() {
    arena(|runtime| {
        let (stream, peer) = pair();
        let reader = thread::spawn(move || read_to_end(&peer).unwrap());
        run(runtime, async {
            let mut write = Box::pin(stream.write_all(Known::default().next(8 << 20)));
            assert!(poll_once(write.as_mut()).await.is_pending());
            drop(write);
            stream.close().await.unwrap();
            assert_eq!(runtime.metrics().in_flight, 0);
        });
        let bytes = reader.join().unwrap();
        assert_eq!(bytes.len(), 8 << 20);
        Known::default().check(&bytes);

        let (stream, peer) = pair();
        run(runtime, async {
            let mut write = Box::pin(stream.write_all(vec![0; 16 << 20]));
            assert!(poll_once(write.as_mut()).await.is_pending());
            yield_now().await;
            drop(write);
            reset(peer);
            let error = soon("close", stream.close()).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        });
    });
}

#[test]
fn slow_reader_gets_all_of_a_write_that_was_dropped_with_its_stream() {
    arena(|runtime| {
        let (near, far) = std_pair();
        let stream = TcpStream::from_std(near).unwrap();
        const BYTES: usize = 12 << 20;
        let reader = thread::spawn(move || {
            let mut known = Known::default();
            let mut buffer = vec![0; 16 << 10];
            loop {
                let count = std::io::Read::read(&mut &far, &mut buffer).unwrap();
                if count == 0 {
                    return known.at();
                }
                known.check(&buffer[..count]);
                thread::yield_now();
            }
        });
        run(runtime, async {
            let mut write = Box::pin(stream.write_all(Known::default().next(BYTES)));
            assert!(poll_once(write.as_mut()).await.is_pending());
            drop(write);
            drop(stream);
            until("the write behind the drop", || runtime.metrics().operations == 0).await;
        });
        assert_eq!(reader.join().unwrap(), BYTES as u64);
    });
}
