//! `with_cancel`, `cancel_after`, `cancel_at`: I/O that is asked to stop gives its true answer and its buffer.

mod arena;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use quoit::net::{TcpListener, TcpStream};
use quoit::sync::CancellationToken;
use quoit::task::yield_now;
use quoit::time::{Instant, sleep};
use quoit::{FutureExt as _, is_cancelled, transferred};

use arena::{arena, pair, some_turns};

/// Polls once what has to wait.
async fn poll_pending<F: Future>(mut future: Pin<&mut F>) {
    let is_pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
    assert!(is_pending);
}

/// More than the socket buffers of both ends take.
const MUCH: usize = 32 << 20;

#[test]
fn a_read_that_a_token_stops_gives_its_buffer_back_and_the_stream_goes_on() {
    arena(|| async {
        let (stream, mut peer) = pair();
        let token = CancellationToken::new();
        let read = stream.read(Vec::with_capacity(64)).with_cancel(&token);
        let ((result, buf), ()) = join(read, async {
            some_turns().await;
            token.cancel();
        })
        .await;
        let error = result.unwrap_err();
        assert!(is_cancelled(&error), "{error}");
        assert_eq!((error.raw_os_error(), transferred(&error)), (Some(125), Some(0)));
        assert_eq!((buf.len(), buf.capacity()), (0, 64));
        peer.write_all(b"later").unwrap();
        assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"later");
    });
}

#[test]
fn a_clock_stops_with_timed_out() {
    arena(|| async {
        let (stream, _peer) = pair();
        let (result, buf) = stream.read(Box::new([7_u8; 16])).cancel_after(Duration::from_millis(2)).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), is_cancelled(&error), transferred(&error)), (ErrorKind::TimedOut, false, Some(0)));
        assert_eq!(*buf, [7; 16]);
        let deadline = Instant::now() + Duration::from_millis(2);
        let error = stream.recv().cancel_at(deadline).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(Instant::now() >= deadline);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = listener.accept().cancel_after(Duration::from_millis(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let address = listener.local_addr().unwrap();
        let (client, server) = join(TcpStream::connect(address), listener.accept()).await;
        assert_eq!(client.unwrap().local_addr().unwrap(), server.unwrap().1);
    });
}

#[test]
fn what_would_begin_in_a_scope_that_is_cancelled_does_not_begin() {
    arena(|| async {
        let (stream, mut peer) = pair();
        peer.write_all(b"here").unwrap();
        stream.recv().await.unwrap().unwrap();
        peer.write_all(b"there").unwrap();
        let token = CancellationToken::new();
        token.cancel();
        let sqes = quoit::metrics().sqes;
        async {
            assert!(is_cancelled(&stream.recv().await.unwrap_err()));
            let (result, buf) = stream.read_exact(Vec::with_capacity(3)).await;
            assert_eq!((transferred(&result.unwrap_err()), buf.len()), (Some(0), 0));
            let (result, buf) = stream.write_all("never").await;
            assert_eq!((transferred(&result.unwrap_err()), buf), (Some(0), "never"));
            assert!(is_cancelled(&TcpStream::connect(peer.local_addr().unwrap()).await.unwrap_err()));
        }
        .with_cancel(&token)
        .await;
        assert_eq!(quoit::metrics().sqes, sqes, "nothing went to the kernel");
        assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"there");
        stream.close().await.unwrap();
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    });
}

#[test]
fn a_write_all_that_is_stopped_midway_tells_how_much_is_out_and_the_next_write_follows_it() {
    arena(|| async {
        let (stream, mut peer) = pair();
        let bytes: Vec<u8> = (0..MUCH).map(|index| (index % 251) as u8).collect();
        let token = CancellationToken::new();
        // The second one waits in the lane, and has not begun.
        let writes = async {
            let (first, second) = join(stream.write_all(bytes), stream.write_all("behind")).await;
            assert_eq!((transferred(&second.0.unwrap_err()), second.1), (Some(0), "behind"));
            first
        };
        let ((result, bytes), ()) = join(writes.with_cancel(&token), async {
            some_turns().await;
            token.cancel();
        })
        .await;
        let error = result.unwrap_err();
        let sent = transferred(&error).expect("it was stopped");
        assert!(is_cancelled(&error) && sent > 0 && sent < MUCH, "{error}");
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|_| all)
        });
        let (result, rest) = stream.write_all(quoit::IoBuf::slice(bytes, sent..)).await;
        result.unwrap();
        stream.close().await.unwrap();
        let bytes = rest.into_inner();
        assert!(reading.join().unwrap().unwrap() == bytes, "what has arrived differs");
    });
}

#[test]
fn a_write_that_was_cut_and_has_told_nobody_breaks_the_stream() {
    arena(|| async {
        let (stream, mut peer) = pair();
        {
            let token = CancellationToken::new();
            let mut write = pin!(stream.write_all(vec![1; MUCH]).with_cancel(&token));
            poll_pending(write.as_mut()).await;
            some_turns().await;
            token.cancel();
            // It asks the kernel to stop, and is dropped before that answers.
            poll_pending(write.as_mut()).await;
        }
        let error = stream.write_all("the next message").await.0.unwrap_err();
        assert!(is_cancelled(&error), "{error}");
        assert!(is_cancelled(&stream.close().await.unwrap_err()));
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        assert!(all.len() < MUCH && all.iter().all(|byte| *byte == 1));
    });
}

#[test]
fn a_read_exact_that_is_stopped_midway_has_its_part_in_the_buffer() {
    arena(|| async {
        let (stream, mut peer) = pair();
        peer.write_all(b"abc").unwrap();
        let (result, buf) = stream.read_exact(Vec::with_capacity(8)).cancel_after(Duration::from_millis(20)).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), transferred(&error)), (ErrorKind::TimedOut, Some(3)));
        assert_eq!(buf, b"abc");
        peer.write_all(b"def").unwrap();
        assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"def");
    });
}

#[test]
fn a_write_half_that_is_dropped_inside_of_a_cancelled_scope_ends_the_stream_all_the_same() {
    arena(|| async {
        let (stream, mut peer) = pair();
        let (reader, writer) = stream.into_split();
        let token = CancellationToken::new();
        token.cancel();
        async move {
            assert!(is_cancelled(&writer.write_all("never").await.0.unwrap_err()));
            drop(writer);
        }
        .with_cancel(&token)
        .await;
        some_turns().await;
        // The kernel has it by now, and performs it by itself.
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "the end of the stream");
        peer.write_all(b"an answer").unwrap();
        assert_eq!(&reader.recv().await.unwrap().unwrap()[..], b"an answer");
    });
}

#[test]
fn an_operation_that_was_faster_than_the_token_gives_its_result() {
    arena(|| async {
        let (stream, mut peer) = pair();
        let token = CancellationToken::new();
        let mut read = pin!(stream.read(Vec::with_capacity(64)).with_cancel(&token));
        poll_pending(read.as_mut()).await;
        let received = quoit::metrics().cqes;
        peer.write_all(b"just in time").unwrap();
        while quoit::metrics().cqes == received {
            yield_now().await;
        }
        token.cancel();
        let (result, buf) = read.await;
        assert_eq!((result.unwrap(), &buf[..]), (12, &b"just in time"[..]));
    });
}

#[test]
fn futures_with_wakers_of_their_own_are_stopped() {
    arena(|| async {
        let pairs: Vec<_> = (0..10).map(|_| pair()).collect();
        let token = CancellationToken::new();
        let reads: FuturesUnordered<_> = pairs.iter().map(|(stream, _)| stream.read(Vec::with_capacity(8))).collect();
        let all = async {
            let answers: Vec<_> = reads.collect().await;
            assert_eq!(answers.len(), 10);
            for (result, buf) in answers {
                assert!(is_cancelled(&result.unwrap_err()));
                assert_eq!(buf.capacity(), 8);
            }
        };
        join(all.with_cancel(&token), async {
            some_turns().await;
            token.cancel();
        })
        .await;
    });
}

#[test]
fn scopes_inside_of_scopes_are_stopped_with_them_and_alone() {
    arena(|| async {
        let ((one, _p), (other, _q)) = (pair(), pair());
        let (outer, inner) = (CancellationToken::new(), CancellationToken::new());
        // Each in a future with a waker of its own.
        let both = async {
            let mut reads = FuturesUnordered::new();
            let stop_one = async { one.recv().with_cancel(&inner).await.map(drop) };
            let stop_other = async {
                let again = other.recv().cancel_after(Duration::MAX).cancel_after(Duration::from_secs(3600));
                again.await.map(drop)
            };
            reads.push(futures_util::future::Either::Left(Box::pin(stop_one)));
            reads.push(futures_util::future::Either::Right(Box::pin(stop_other)));
            let first = reads.next().await.expect("two are there");
            assert!(is_cancelled(&first.unwrap_err()));
            assert!(!outer.is_cancelled());
            outer.cancel();
            let second = reads.next().await.expect("one is left");
            assert!(is_cancelled(&second.unwrap_err()));
        };
        join(both.with_cancel(&outer), async {
            some_turns().await;
            inner.cancel();
        })
        .await;
        // Outside, all is as ever.
        let early = one.recv().timeout(Duration::from_millis(1)).await;
        assert!(early.is_err());
    });
}

#[test]
fn tasks_and_futures_that_are_no_io_are_not_stopped() {
    arena(|| async {
        let (stream, mut peer) = pair();
        let token = CancellationToken::new();
        let (slept, told) = (Rc::new(Cell::new(false)), Rc::clone(&Rc::new(Cell::new(false))));
        let (slept_inside, told_inside) = (Rc::clone(&slept), Rc::clone(&told));
        let work = async move {
            drop(quoit::spawn(async move {
                let received = stream.recv().await.unwrap().unwrap();
                assert_eq!(&received[..], b"for the task");
                told_inside.set(true);
            }));
            sleep(Duration::from_millis(20)).await;
            slept_inside.set(true);
        };
        join(work.with_cancel(&token), async {
            some_turns().await;
            token.cancel();
        })
        .await;
        assert!(slept.get() && !told.get());
        peer.write_all(b"for the task").unwrap();
        while !told.get() {
            yield_now().await;
        }
    });
}

#[test]
fn a_loop_that_always_finds_something_is_stopped() {
    arena(|| async {
        let (stream, mut peer) = pair();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let flood = std::thread::spawn(move || {
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) && peer.write_all(&[1; 4096]).is_ok() {}
        });
        let all = async {
            let mut count = 0;
            loop {
                match stream.recv().await {
                    Ok(bytes) => count += bytes.expect("no end").len(),
                    Err(error) => return (count, error),
                }
            }
        };
        // The peer's thread may take its time to begin.
        stream.readable().await.unwrap();
        let (count, error) = all.cancel_after(Duration::from_millis(100)).await;
        assert!(count > 0 && error.kind() == ErrorKind::TimedOut);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        stream.close().await.unwrap();
        flood.join().unwrap();
    });
}

#[test]
fn a_token_cancelled_on_another_thread_stops_io_here() {
    arena(|| async {
        let (stream, _peer) = pair();
        let token = CancellationToken::new();
        let theirs = token.child_token();
        let canceller = std::thread::spawn(move || token.cancel());
        let error = stream.recv().with_cancel(&theirs).await.unwrap_err();
        assert!(is_cancelled(&error));
        canceller.join().unwrap();
    });
}

#[test]
fn operations_in_the_kernel_are_stopped_and_answer_for_themselves() {
    arena(|| async {
        let (reader, _writer) = io::pipe().unwrap();
        let fd = quoit::driver::SharedFd::new(reader.into());
        let read = quoit::driver::submit(quoit::driver::ReadAt::new(fd, Vec::with_capacity(8), u64::MAX));
        // It began outside.
        let (result, buf) = read.cancel_after(Duration::from_millis(2)).await;
        assert_eq!((result.unwrap_err().kind(), buf.capacity()), (ErrorKind::TimedOut, 8));
    });
}
