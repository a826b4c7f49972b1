//! Storms of hand-overs: a connection goes to std and back, and into halves and back, at random moments among reads that are
//! dropped and writes of all kinds. Where it arrives, no byte is missing, doubled or out of order.
//!
//! `QUOIT_STORM=100000` sets how many steps it has; `QUOIT_SEED` repeats a storm.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::fates::{Fates, brief};
use common::{Known, arena, pair, run_for, storm, until};
use quoit_net::TcpStream;
use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

/// What we know of a connection.
#[derive(Default)]
struct Ends {
    received: Known,
    /// How many bytes the peer was told to send.
    fed: u64,
    sent: Known,
}

impl Ends {
    /// What is on its way to us.
    fn outstanding(&self) -> u64 {
        self.fed - self.received.at()
    }
}

/// What happened how often.
#[derive(Debug, Default)]
struct Counts {
    to_std: u64,
    busy: u64,
    halves: u64,
    fates: Fates,
}

/// Sends as many known bytes as it is told to, until nobody tells it any more.
fn feeder(mut peer: StdStream, counts: Receiver<usize>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut known = Known::default();
        // Where the connection is gone, nobody wants them.
        counts.into_iter().try_for_each(|count| peer.write_all(&known.next(count))).ok();
    })
}

/// Reads known bytes until the connection ends; how many came.
fn taker(mut peer: StdStream) -> JoinHandle<u64> {
    thread::spawn(move || {
        let (mut known, mut bytes) = (Known::default(), vec![0; 9_000]);
        loop {
            match peer.read(&mut bytes) {
                Ok(0) => return known.at(),
                Ok(count) => known.check(&bytes[..count]),
                // Closed with bytes that nobody has read.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return known.at(),
                Err(error) => panic!("{error}"),
            }
        }
    })
}

/// Few most of the time, and seldom many.
fn some_bytes(rng: &mut Rng, most: u64) -> usize {
    let below = if rng.below(8) == 0 { most } else { 2_000 };
    1 + rng.below(below) as usize
}

async fn read(stream: &TcpStream, known: &mut Known, rng: &mut Rng, fates: &mut Fates) {
    let room = 1 + rng.below(20_000) as usize;
    match rng.below(4) {
        0 => {
            let recv = brief(Box::pin(stream.recv()), rng, false, fates).await;
            if let Some(bytes) = recv {
                known.check(&bytes.expect("no error").expect("no end"));
            }
        }
        1 => {
            let peek = brief(Box::pin(stream.peek(Vec::with_capacity(room))), rng, false, fates).await;
            if let Some((count, bytes)) = peek {
                assert_eq!(count.expect("no error"), bytes.len());
                Known::starting_at(known.at()).check(&bytes);
            }
        }
        2 => {
            let read = brief(Box::pin(stream.read_exact(Vec::with_capacity(room))), rng, false, fates).await;
            if let Some((count, bytes)) = read {
                assert_eq!(count.expect("no error"), bytes.len());
                known.check(&bytes);
            }
        }
        _ => {
            let read = brief(Box::pin(stream.read(Vec::with_capacity(room))), rng, false, fates).await;
            if let Some((count, bytes)) = read {
                assert_eq!(count.expect("no error"), bytes.len());
                known.check(&bytes);
            }
        }
    }
}

async fn write(stream: &TcpStream, known: &mut Known, rng: &mut Rng) {
    stream.set_write_behind(rng.below(2) == 0);
    let bytes = known.next(some_bytes(rng, 200_000));
    match rng.below(3) {
        0 => stream.write_all_zc(bytes).await.0.expect("the peer reads"),
        1 => {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            stream.write_all_vectored([first.to_vec(), second.to_vec()]).await.0.expect("the peer reads");
        }
        _ => stream.write_all(bytes).await.0.expect("the peer reads"),
    }
}

/// To std, where it is used, and back. `None` where it was busy, and is gone.
fn to_std_and_back(stream: TcpStream, ends: &mut Ends, rng: &mut Rng) -> Option<TcpStream> {
    let mut socket = match stream.into_std() {
        Ok(socket) => socket,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            return None;
        }
    };
    let count = rng.below(ends.outstanding() + 1);
    let mut bytes = vec![0; count as usize];
    socket.read_exact(&mut bytes).expect("the peer sends");
    ends.received.check(&bytes);
    if rng.below(2) == 0 {
        socket.write_all(&ends.sent.next(some_bytes(rng, 3_000))).expect("the peer reads");
    }
    Some(TcpStream::from_std(socket).expect("a socket"))
}

async fn through_halves(stream: TcpStream, ends: &mut Ends, rng: &mut Rng, fates: &mut Fates) -> TcpStream {
    let (reader, writer) = stream.into_split();
    if rng.below(2) == 0 {
        read(reader.as_ref(), &mut ends.received, rng, fates).await;
    }
    if rng.below(2) == 0 {
        write(writer.as_ref(), &mut ends.sent, rng).await;
    }
    if rng.below(2) == 0 { reader.reunite(writer).expect("its own") } else { writer.reunite(reader).expect("its own") }
}

/// One connection, until it is busy when it is to change hands, or for so many steps. How many steps it were.
async fn connection(most: u64, rng: &mut Rng, counts: &mut Counts) -> u64 {
    let (mut stream, peer) = pair();
    let (feed, counts_to_feed) = mpsc::channel();
    let feeder = feeder(peer.try_clone().expect("a descriptor"), counts_to_feed);
    let taker = taker(peer.try_clone().expect("a descriptor"));
    let mut ends = Ends::default();
    let mut steps = 0;
    while steps < most {
        steps += 1;
        match rng.below(14) {
            10..12 => {
                let count = some_bytes(rng, 100_000);
                ends.fed += count as u64;
                feed.send(count).expect("it lives");
            }
            0..5 => read(&stream, &mut ends.received, rng, &mut counts.fates).await,
            5..8 => write(&stream, &mut ends.sent, rng).await,
            8 => {
                counts.halves += 1;
                stream = through_halves(stream, &mut ends, rng, &mut counts.fates).await;
            }
            9 => {
                // Most of the time there is nothing that could be lost.
                if rng.below(4) > 0 && ends.outstanding() > 0 {
                    let (count, bytes) = stream.read_exact(Vec::with_capacity(ends.outstanding() as usize)).await;
                    assert_eq!(count.expect("no end"), bytes.len());
                    ends.received.check(&bytes);
                }
                match to_std_and_back(stream, &mut ends, rng) {
                    Some(back) => {
                        counts.to_std += 1;
                        stream = back;
                    }
                    None => {
                        counts.busy += 1;
                        join(peer, feed, feeder, taker, &ends).await;
                        break;
                    }
                }
            }
            _ => yield_now().await,
        }
        if steps == most {
            stream.close().await.expect("nothing is wrong");
            join(peer, feed, feeder, taker, &ends).await;
            break;
        }
    }
    steps
}

async fn join(peer: StdStream, feed: Sender<usize>, feeder: JoinHandle<()>, taker: JoinHandle<u64>, ends: &Ends) {
    until("the end at the peer", || taker.is_finished()).await;
    peer.shutdown(std::net::Shutdown::Both).ok();
    drop(feed);
    until("the end of the feeder", || feeder.is_finished()).await;
    feeder.join().expect("no panic");
    assert!(taker.join().expect("all known") <= ends.sent.at());
}

#[test]
fn connections_that_change_hands_lose_and_double_nothing() {
    arena(|runtime| {
        let mut rng = Rng::new(0x4A2D);
        let wanted = storm(3_000);
        let mut counts = Counts::default();
        run_for(runtime, Duration::from_secs(600), async {
            let mut steps = 0;
            while steps < wanted {
                steps += connection(100, &mut rng, &mut counts).await;
            }
        });
        println!("{counts:?}, QUOIT_SEED={}", rng.seed());
        assert!(counts.to_std > 0 && counts.busy > 0 && counts.halves > 0, "{counts:?}");
        counts.fates.assert_all("hand-overs", rng.seed());
    });
}
