//! Storms of cancel scopes: reads and writes are stopped at random moments, tell how far they came, and go on from there. No
//! byte is lost or doubled in either direction.
//!
//! `QUOIT_STORM=100000` sets how many stops each has; `QUOIT_SEED` repeats a storm.

mod common;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::thread;

use common::{Known, arena, pair, run_for, storm};
use quoit_runtime::buf::IoBuf;
use quoit_runtime::cancel_scope::{CancelScope, Stop, is_cancelled, transferred};
use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

/// Runs a future in a scope that is cancelled after some turns, or before the first.
async fn stopped<F: Future>(turns: u64, future: F) -> F::Output {
    let mut scope = CancelScope::new();
    let mut future = pin!(future);
    for _turn in 0..turns {
        match poll_fn(|cx| Poll::Ready(scope.poll(cx, |cx| future.as_mut().poll(cx)))).await {
            Poll::Ready(output) => return output,
            Poll::Pending => yield_now().await,
        }
    }
    scope.cancel(Stop::Token);
    poll_fn(|cx| scope.poll(cx, |cx| future.as_mut().poll(cx))).await
}

/// How far an operation came that may have been stopped.
fn progress(result: io::Result<usize>) -> (usize, bool) {
    match result {
        Ok(count) => (count, false),
        Err(error) => {
            assert!(is_cancelled(&error), "{error}");
            (transferred(&error).expect("it was stopped"), true)
        }
    }
}

#[test]
fn writes_stopped_at_random_go_on_where_they_were_and_the_peer_sees_every_byte_once() {
    arena(|runtime| {
        let mut rng = Rng::new(0x5709);
        let wanted = storm(1_500);
        let (stream, peer) = pair();
        // Small ones, so that much is stopped midway.
        stream.set_send_buffer_size(32 << 10).expect("an option");
        socket2::SockRef::from(&peer).set_recv_buffer_size(32 << 10).expect("an option");
        let reading = thread::spawn(move || {
            let (mut known, mut buffer) = (Known::default(), vec![0; 20_000]);
            loop {
                match io::Read::read(&mut &peer, &mut buffer).expect("no error") {
                    0 => return known.at(),
                    count => known.check(&buffer[..count]),
                }
            }
        });
        let (mut stops, mut cut, mut known) = (0, 0, Known::default());
        run_for(runtime, std::time::Duration::from_secs(600), async {
            // The peer may be slow to begin: as long as nothing was stopped midway the storm is not over.
            while stops < wanted || cut == 0 {
                let len = rng.below(300_000) as usize + 1;
                let mut rest = known.next(len).slice(..);
                loop {
                    let len = rest.len();
                    let (kind, turns) = (rng.below(3), rng.below(4));
                    let (result, back) = match kind {
                        0 => {
                            let (result, back) = stopped(turns, stream.write_all(rest)).await;
                            (result.map(|()| len), back)
                        }
                        1 => {
                            let (result, back) = stopped(turns, stream.write_all_zc(rest)).await;
                            (result.map(|()| len), back)
                        }
                        _ => stopped(turns, stream.write(rest)).await,
                    };
                    let (sent, was_stopped) = progress(result);
                    stops += u64::from(was_stopped);
                    cut += u64::from(was_stopped && sent > 0);
                    if sent == len {
                        break;
                    }
                    let whole = back.into_inner();
                    let from = whole.len() - len + sent;
                    rest = whole.slice(from..);
                }
            }
            stream.close().await.expect("all is out");
        });
        assert_eq!(reading.join().expect("no panic"), known.at());
        println!("{stops} stops, {cut} of them midway, QUOIT_SEED={}", rng.seed());
    });
}

#[test]
fn reads_stopped_at_random_have_every_byte_once() {
    arena(|runtime| {
        let mut rng = Rng::new(0x4EAD);
        let wanted = storm(3_000);
        let (stream, peer) = pair();
        let seed = rng.seed();
        let writing = thread::spawn(move || {
            let (mut rng, mut known) = (Rng::exact(seed ^ 1), Known::default());
            // Until the reader has seen enough, and hangs up.
            while std::io::Write::write_all(&mut &peer, &known.next(rng.below(30_000) as usize + 1)).is_ok() {
                for _ in 0..rng.below(3) {
                    thread::yield_now();
                }
            }
        });
        let (mut stops, mut cut, mut known) = (0, 0, Known::default());
        run_for(runtime, std::time::Duration::from_secs(600), async {
            // As above.
            while stops < wanted || cut == 0 {
                let (kind, turns, room) = (rng.below(5), rng.below(4), rng.below(200_000) as usize + 1);
                let (result, buf) = match kind {
                    0 | 1 => stopped(turns, stream.read_exact(Vec::with_capacity(room))).await,
                    2 => stopped(turns, stream.read(Vec::with_capacity(room))).await,
                    3 => match stopped(turns, stream.recv()).await {
                        Ok(received) => (Ok(0), received.expect("no end yet").to_vec()),
                        Err(error) => (Err(error), Vec::new()),
                    },
                    _ => {
                        // It takes nothing: what it shows comes again.
                        let (result, buf) = stopped(turns, stream.peek(Vec::with_capacity(room))).await;
                        Known::starting_at(known.at()).check(&buf);
                        (result.map(|_| 0), Vec::new())
                    }
                };
                let (count, was_stopped) = progress(result);
                assert!(count == 0 || count == buf.len(), "{count} bytes told, {} there", buf.len());
                known.check(&buf);
                stops += u64::from(was_stopped);
                cut += u64::from(was_stopped && !buf.is_empty());
            }
            stream.close().await.expect("nothing was written");
        });
        writing.join().expect("no panic");
        println!("{stops} stops, {cut} of them midway, QUOIT_SEED={seed}");
    });
}
