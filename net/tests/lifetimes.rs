//! Streams and listeners that outlive futures, `block_on` and their runtime.

mod common;

use std::net::{Shutdown, TcpStream as StdStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;

use common::{arena, arena_of, arena_with, end, pair, poll_once, read_to_end, run, settle, soon, until, write_all};
use quoit_net::{TcpListener, TcpStream};
use quoit_runtime::task::yield_now;
use quoit_runtime::{Runtime, spawn};
use quoit_time::timeout;

const SHUTDOWN: Duration = Duration::from_secs(30);
/// `ESHUTDOWN`.
const GONE: Option<i32> = Some(108);

/// Leaves a receive in flight that nobody waits for.
async fn leave_a_receive(stream: &TcpStream) {
    assert!(poll_once(pin!(stream.recv())).await.is_pending());
    yield_now().await;
}

#[test]
fn stream_dropped_with_a_receive_pending_shows_its_end_to_the_peer() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, async {
            leave_a_receive(&stream).await;
            drop(stream);
            // One to cancel, one to close.
            for _turn in 0..3 {
                yield_now().await;
            }
            peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            assert_eq!(read_to_end(&peer).expect("the end of the stream"), b"");
        });
    });
}

// The cancelled receive holds the descriptor until its completion is looked at, and outside `block_on` nobody looks.
#[test]
fn stream_dropped_outside_block_on_with_a_receive_pending_shows_its_end_to_the_peer() {
    arena(|runtime| {
        let (stream, peer) = pair();
        run(runtime, leave_a_receive(&stream));
        drop(stream);
        peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        assert_eq!(read_to_end(&peer).expect("the end of the stream, without a further `block_on`"), b"");
    });
}

// The cancelled accept holds the listener until its completion is looked at, and outside `block_on` nobody looks.
#[test]
fn listener_dropped_outside_block_on_refuses_connections() {
    arena(|runtime| {
        let (listener, address) = run(runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            assert!(poll_once(pin!(listener.accept())).await.is_pending());
            yield_now().await;
            let address = listener.local_addr().unwrap();
            (listener, address)
        });
        drop(listener);
        let connected = StdStream::connect(address);
        assert!(connected.is_err(), "the listener is gone, and still {connected:?}");
    });
}

#[test]
fn stream_of_a_runtime_that_is_gone_answers_errors() {
    arena_of(
        |_| {},
        |first| {
            let (stream, peer) = pair();
            run(&first, async {
                leave_a_receive(&stream).await;
                stream.write_all("before").await.0.unwrap();
            });
            assert!(first.shutdown(SHUTDOWN).is_clean());
            let second = Runtime::new().unwrap();
            run(&second, async {
                let error = soon("recv", stream.recv()).await.unwrap_err();
                assert_eq!(error.raw_os_error(), GONE);
                let error = soon("recv again", stream.recv()).await.unwrap_err();
                assert_eq!(error.raw_os_error(), GONE);
                let (result, bytes) = soon("write", stream.write_all(vec![1, 2])).await;
                assert_eq!((result.unwrap_err().raw_os_error(), bytes), (GONE, vec![1, 2]));
                assert_eq!(
                    soon("shutdown", stream.shutdown(std::net::Shutdown::Write)).await.unwrap_err().raw_os_error(),
                    GONE
                );
            });
            drop(stream);
            assert_eq!(read_to_end(&peer).unwrap(), b"before");
            end(second, 0);
        },
    );
}

#[test]
fn stream_closes_after_its_runtime_is_gone() {
    arena_of(
        |_| {},
        |first| {
            let (stream, peer) = pair();
            run(&first, leave_a_receive(&stream));
            assert!(first.shutdown(SHUTDOWN).is_clean());
            let second = Runtime::new().unwrap();
            // Whatever it answers, it answers, and the descriptor is gone.
            let _ = run(&second, async { soon("close", stream.close()).await });
            assert_eq!(read_to_end(&peer).unwrap(), b"");
            end(second, 0);
        },
    );
}

/// A receive finds no buffer while the runtime of its stream shuts down; the pool has `cap` buffers, all of them lent.
fn stream_outlives_a_receive_without_buffers(cap: usize, most: usize) {
    arena_of(
        |builder| {
            builder.buffer_pool(most, 64);
        },
        |first| {
            let (stream, peer) = pair();
            let hoard = run(&first, async {
                let mut hoard = Vec::new();
                while hoard.len() < cap {
                    write_all(&peer, &[7; 64]);
                    hoard.push(stream.recv().await.unwrap().unwrap());
                }
                leave_a_receive(&stream).await;
                hoard
            });
            write_all(&peer, &[7; 64]);
            assert!(first.shutdown(SHUTDOWN).is_clean());
            let second = Runtime::new().unwrap();
            run(&second, async {
                let error = soon("recv on a runtime that is gone", stream.recv()).await.unwrap_err();
                assert_eq!(error.raw_os_error(), GONE);
            });
            drop(stream);
            drop(hoard);
            end(second, 0);
        },
    );
}

// The receive of its own memory that follows is refused: it must not be taken for one in flight.
#[test]
fn stream_whose_last_receive_found_no_buffer_at_shutdown_answers_errors() {
    stream_outlives_a_receive_without_buffers(1, 1);
}

// The receive is not armed again, as the runtime ends: what is left of it must not be taken for one in flight.
#[test]
fn stream_whose_pool_would_grow_at_shutdown_answers_errors() {
    stream_outlives_a_receive_without_buffers(64, 4096);
}

#[test]
fn listener_of_a_runtime_that_is_gone_answers_errors() {
    arena_of(
        |_| {},
        |first| {
            let listener = run(&first, async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                assert!(poll_once(pin!(listener.accept())).await.is_pending());
                listener
            });
            assert!(first.shutdown(SHUTDOWN).is_clean());
            let second = Runtime::new().unwrap();
            let error = run(&second, async { soon("accept", listener.accept()).await.unwrap_err() });
            assert_eq!(error.raw_os_error(), GONE);
            let address = listener.local_addr().unwrap();
            drop(listener);
            assert!(StdStream::connect(address).is_err());
            end(second, 0);
        },
    );
}

/// What a call says that panics.
fn panic_of(call: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).expect_err("it should panic");
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap()
}

#[test]
fn stream_of_a_runtime_that_is_not_running_panics_with_a_clear_text() {
    arena(|first| {
        let (stream, _peer) = pair();
        run(first, async { stream.write_all("bind it").await.0.unwrap() });
        let second = Runtime::new().unwrap();
        for text in [
            panic_of(|| drop(run(&second, async { timeout(Duration::from_secs(2), stream.write_all("x")).await }))),
            panic_of(|| drop(run(&second, async { timeout(Duration::from_secs(2), stream.recv()).await }))),
        ] {
            assert!(text.contains("is not running"), "{text}");
        }
        end(second, 0);
    });
}

// Nothing is submitted then, so that `submit_to` cannot notice.
#[test]
fn stream_with_a_receive_in_flight_on_a_runtime_that_is_not_running_panics_with_a_clear_text() {
    arena(|first| {
        let (stream, _peer) = pair();
        run(first, leave_a_receive(&stream));
        let second = Runtime::new().unwrap();
        let text = panic_of(|| drop(run(&second, async { timeout(Duration::from_secs(2), stream.recv()).await })));
        assert!(text.contains("is not running"), "{text}");
        end(second, 0);
    });
}

#[test]
fn operations_outside_a_runtime_panic_and_say_what_to_do() {
    arena(|_runtime| {
        let (stream, peer) = pair();
        let waker = quoit_testkit::ManualWaker::new();
        let text = panic_of(|| drop(waker.poll(pin!(stream.recv()))));
        assert!(text.contains("block_on"), "{text}");
        let text = panic_of(|| drop(waker.poll(pin!(stream.write_all("x")))));
        assert!(text.contains("block_on"), "{text}");
        // Options and the drop work.
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        drop(stream);
        assert_eq!(read_to_end(&peer).unwrap(), b"");
    });
}

// The slot of a forgotten future is kept for ever, but the op in it has no more use for the descriptor.
#[test]
fn close_ends_after_a_write_that_was_forgotten() {
    arena_of(
        |_| {},
        |runtime| {
            let (stream, peer) = pair();
            run(&runtime, async {
                let mut write = Box::pin(stream.write_all("forgotten"));
                assert!(poll_once(write.as_mut()).await.is_pending());
                std::mem::forget(write);
                soon("close after a forgotten write", stream.close()).await.unwrap();
            });
            assert_eq!(read_to_end(&peer).unwrap(), b"forgotten");
            end(runtime, 1);
        },
    );
}

#[test]
fn stream_dropped_after_a_write_that_was_forgotten_shows_its_end_to_the_peer() {
    arena_of(
        |_| {},
        |runtime| {
            let (stream, peer) = pair();
            run(&runtime, async {
                let mut write = Box::pin(stream.write_all("forgotten"));
                assert!(poll_once(write.as_mut()).await.is_pending());
                std::mem::forget(write);
            });
            drop(stream);
            settle(&runtime, 1);
            peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            assert_eq!(read_to_end(&peer).expect("the end of the stream"), b"forgotten");
            end(runtime, 1);
        },
    );
}

#[test]
fn runtime_dropped_with_begun_writes_ends_in_time_and_leaves_nothing() {
    arena_of(
        |_| {},
        |runtime| {
            let (stream, peer) = pair();
            run(&runtime, async {
                drop(spawn(async move { drop(stream.write_all(vec![5; 32 << 20]).await) }));
                for _turn in 0..5 {
                    yield_now().await;
                }
            });
            let report = runtime.shutdown(SHUTDOWN);
            assert!(report.is_clean(), "{report}");
            // Cut off: some of the bytes, and then an end or a reset.
            let _ = read_to_end(&peer);
        },
    );
}

#[test]
fn peer_that_takes_nothing_is_cut_off_after_the_close_deadline() {
    arena_with(
        |builder| {
            builder.close_deadline(Duration::from_millis(100));
        },
        |runtime| {
            let (stream, peer) = pair();
            run(runtime, async {
                let mut write = Box::pin(stream.write_all(vec![5; 32 << 20]));
                assert!(poll_once(write.as_mut()).await.is_pending());
                let mut parked = Box::pin(stream.write_all("never"));
                assert!(poll_once(parked.as_mut()).await.is_pending());
                yield_now().await;
                drop(parked);
                drop(write);
                drop(stream);
                assert_eq!(runtime.metrics().operations, 1);
                let started = std::time::Instant::now();
                until("the write is cut off", || runtime.metrics().operations == 0).await;
                assert!(started.elapsed() >= Duration::from_millis(90), "cut off early");
                until("the task that watched has ended", || runtime.metrics().tasks == 0).await;
            });
            let bytes = read_to_end(&peer);
            assert!(bytes.as_ref().map_or(true, |bytes| bytes.len() < 32 << 20), "{bytes:?}");
        },
    );
}

#[test]
fn close_ends_with_an_error_when_the_peer_takes_nothing() {
    arena_with(
        |builder| {
            builder.close_deadline(Duration::from_millis(100));
        },
        |runtime| {
            let (stream, peer) = pair();
            run(runtime, async {
                let mut write = Box::pin(stream.write_all(vec![5; 32 << 20]));
                assert!(poll_once(write.as_mut()).await.is_pending());
                drop(write);
                let error = soon("close", stream.close()).await.expect_err("not all bytes went");
                assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
            });
            drop(peer);
        },
    );
}

// There is no task then that could watch the deadline.
#[test]
fn peer_that_takes_nothing_is_cut_off_also_if_the_stream_was_dropped_outside_block_on() {
    arena_with(
        |builder| {
            builder.close_deadline(Duration::from_millis(100));
        },
        |runtime| {
            let (stream, peer) = pair();
            run(runtime, async {
                let mut write = Box::pin(stream.write_all(vec![5; 32 << 20]));
                assert!(poll_once(write.as_mut()).await.is_pending());
                yield_now().await;
            });
            drop(stream);
            run(runtime, async {
                assert_eq!(runtime.metrics().operations, 1);
                until("the write is cut off", || runtime.metrics().operations == 0).await;
            });
            drop(peer);
        },
    );
}

// Everything has a bound, also the list of who waits: a reader that is gone has to leave it.
#[test]
fn forgotten_and_aborted_readers_of_an_idle_stream_take_bounded_memory() {
    arena(|runtime| {
        let (stream, peer) = pair();
        let stream = std::rc::Rc::new(stream);
        run(runtime, async {
            let mut after_a_thousand = 0;
            for round in 0..20_000 {
                let stream = stream.clone();
                let task = spawn(async move { drop(stream.recv().await) });
                yield_now().await;
                task.abort();
                yield_now().await;
                if round == 1_000 {
                    after_a_thousand = common::ALLOC.live_bytes();
                }
            }
            let grown = common::ALLOC.live_bytes().saturating_sub(after_a_thousand);
            assert!(grown < 64 << 10, "19,000 readers that are gone hold {grown} bytes");
        });
        drop(peer);
    });
}

#[test]
fn half_close_that_was_dropped_behind_a_write_happens_all_the_same() {
    arena(|runtime| {
        let (stream, peer) = pair();
        const BYTES: usize = 16 << 20;
        let reader = run(runtime, async {
            let mut write = Box::pin(stream.write_all(vec![7; BYTES]));
            assert!(poll_once(write.as_mut()).await.is_pending());
            let mut half_close = Box::pin(stream.shutdown(Shutdown::Write));
            assert!(poll_once(half_close.as_mut()).await.is_pending());
            drop((write, half_close));
            let reader = std::thread::spawn(move || read_to_end(&peer).map(|bytes| bytes.len()));
            until("the write and the half-close", || runtime.metrics().operations == 0).await;
            reader
        });
        assert_eq!(reader.join().unwrap().unwrap(), BYTES);
        drop(stream);
    });
}

#[test]
fn stream_whose_task_unwinds_out_of_block_on_shows_its_end_to_the_peer() {
    arena(|runtime| {
        let (stream, peer) = pair();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                assert!(poll_once(std::pin::pin!(stream.recv())).await.is_pending());
                drop(stream);
                panic!("out of block_on");
            });
        }));
        assert!(unwound.is_err());
        assert_eq!(read_to_end(&peer).unwrap(), b"");
    });
}
