//! Storms of writes: futures that are dropped or forgotten at random moments. The peer sees whole messages, in order.
//!
//! `QUOIT_STORM=100000` sets how many drops each has; `QUOIT_SEED` repeats a storm.

mod common;

use std::future::Future;
use std::io::Read;
use std::net::TcpStream as StdStream;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use common::fates::{Fates, brief};
use common::{arena, arena_of, end, pair, poll_once, storm};
use quoit_net::TcpStream;
use quoit_runtime::op::{self, Nop};
use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

/// What must become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    Appear,
    NotAppear,
    Either,
}

/// A write that is under way.
struct Writing<'a> {
    id: u32,
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    /// The turn of its first poll, and whether another write was certainly before it then.
    begun: Option<(u64, bool)>,
}

fn message(id: u32, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + len);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&(len as u32).to_le_bytes());
    bytes.resize(8 + len, 0);
    Rng::exact(u64::from(id)).bytes(&mut bytes[8..]);
    bytes
}

async fn any_write_all(stream: &TcpStream, kind: u64, bytes: Vec<u8>) {
    if kind.is_multiple_of(2) {
        stream.write_all(bytes).await.0.expect("the peer reads");
    } else if kind == 1 {
        stream.write_all_zc(bytes).await.0.expect("the peer reads");
    } else {
        let (first, second) = bytes.split_at(bytes.len() / 3);
        stream.write_all_vectored(vec![first.to_vec(), Vec::new(), second.to_vec()]).await.0.expect("the peer reads");
    }
}

/// Reads messages to the end, now and then slowly; the numbers of those that came.
fn message_reader(mut peer: StdStream, seed: u64) -> thread::JoinHandle<Vec<u32>> {
    thread::spawn(move || {
        let mut rng = Rng::exact(seed ^ 0x2EAD);
        let mut came = Vec::new();
        let (mut header, mut bytes) = ([0; 8], Vec::new());
        loop {
            let count = peer.read(&mut header[..1]).expect("no error");
            if count == 0 {
                return came;
            }
            peer.read_exact(&mut header[1..]).expect("a whole message");
            let [id, len] = [0, 4].map(|at| u32::from_le_bytes(header[at..at + 4].try_into().unwrap()));
            assert!(len <= MOST_BYTES as u32, "a length out of nowhere, after {:?}", came.last());
            bytes.resize(len as usize, 0);
            peer.read_exact(&mut bytes).expect("a whole message");
            assert!(bytes == message(id, len as usize)[8..], "message {id} is not whole");
            came.push(id);
            for _ in 0..rng.below(4) {
                thread::yield_now();
            }
        }
    })
}

const MOST_BYTES: u64 = 400_000;

/// Drops, or forgets, one write in so many.
fn messages_appear_whole_and_in_order_or_not_at_all(forget: bool) {
    arena_of(
        |_| {},
        |runtime| {
            let mut rng = Rng::new(0x3217E);
            let wanted = storm(6_000);
            let (stream, peer) = pair();
            peer.set_read_timeout(None).unwrap();
            let reader = message_reader(peer, rng.seed());
            let mut storm = WriteStorm::default();
            common::run_for(&runtime, Duration::from_secs(600), async {
                let mut live: Vec<Writing<'_>> = Vec::new();
                while storm.fates.gone() < wanted {
                    match rng.below(200) {
                        0 => storm.drop_one_that_has_begun(&stream, &mut rng).await,
                        1..80 if live.len() < 40 => live.push(storm.make(&stream, &mut rng)),
                        80..140 if !live.is_empty() => {
                            let index = rng.below(live.len() as u64) as usize;
                            if storm.poll(&mut live[index]).await {
                                drop(live.swap_remove(index));
                            }
                        }
                        140..180 if !live.is_empty() => {
                            let writing = live.swap_remove(rng.below(live.len() as u64) as usize);
                            if forget && rng.below(16) == 0 { storm.forget(writing) } else { storm.drop(writing) }
                        }
                        _ => {
                            storm.turn += 1;
                            yield_now().await;
                        }
                    }
                }
                for mut writing in live {
                    while !storm.poll(&mut writing).await {
                        storm.turn += 1;
                        yield_now().await;
                    }
                }
                stream.shutdown(std::net::Shutdown::Write).await.unwrap();
            });
            let came = reader.join().unwrap();
            storm.judge(&came, rng.seed());
            assert_eq!(storm.fates.forgotten > 0, forget);
            drop(stream);
            end(runtime, storm.leaked_slots);
        },
    );
}

#[derive(Default)]
struct WriteStorm {
    fates: Fates,
    /// Numbers in the order of their first polls.
    order: Vec<u32>,
    musts: Vec<Must>,
    turn: u64,
    /// In this turn the lane was seen busy; it stays so for the rest of it.
    busy_in: Option<u64>,
    dropped_parked: u64,
    dropped_begun: u64,
    /// Operations whose futures were forgotten.
    leaked_slots: usize,
}

impl WriteStorm {
    fn make<'a>(&mut self, stream: &'a TcpStream, rng: &mut Rng) -> Writing<'a> {
        let id = self.musts.len() as u32;
        let most = if rng.below(40) == 0 { MOST_BYTES } else { 1_500 };
        let future = Box::pin(any_write_all(stream, rng.below(8), message(id, rng.below(most) as usize)));
        self.musts.push(Must::NotAppear);
        Writing { id, future, begun: None }
    }

    /// Whether it is done.
    async fn poll(&mut self, writing: &mut Writing<'_>) -> bool {
        if writing.begun.is_none() {
            self.order.push(writing.id);
            writing.begun = Some((self.turn, self.busy_in == Some(self.turn)));
        }
        let is_done = poll_once(writing.future.as_mut()).await.is_ready();
        if is_done {
            self.musts[writing.id as usize] = Must::Appear;
            self.fates.completed += 1;
        } else if writing.begun.is_some_and(|(turn, _)| turn == self.turn) {
            self.busy_in = Some(self.turn);
        }
        is_done
    }

    fn drop(&mut self, writing: Writing<'_>) {
        match writing.begun {
            None => self.fates.dropped_unpolled += 1,
            Some((turn, behind_another)) => {
                self.fates.dropped += 1;
                let was_parked = turn == self.turn && behind_another;
                self.dropped_parked += u64::from(was_parked);
                self.musts[writing.id as usize] = if was_parked { Must::NotAppear } else { Must::Either };
            }
        }
    }

    fn forget(&mut self, writing: Writing<'_>) {
        self.fates.forgotten += 1;
        if writing.begun.is_some() {
            self.leaked_slots += 1;
            self.musts[writing.id as usize] = Must::Appear;
        }
        std::mem::forget(writing.future);
    }

    /// Behind a write that is done nothing is under way, so the next one begins with its first poll.
    async fn drop_one_that_has_begun(&mut self, stream: &TcpStream, rng: &mut Rng) {
        let mut last = self.make(stream, rng);
        while !self.poll(&mut last).await {
            self.turn += 1;
            yield_now().await;
        }
        let mut begun = self.make(stream, rng);
        // Not the only one that has something to tell the kernel, or it would be out at once.
        let _nop = op::submit(Nop::new());
        if !self.poll(&mut begun).await {
            self.fates.dropped += 1;
            self.dropped_begun += 1;
            self.musts[begun.id as usize] = Must::Appear;
        }
    }

    /// What came must be what was begun, in order.
    fn judge(&self, came: &[u32], seed: u64) {
        let mut order = self.order.iter();
        for id in came {
            assert!(order.any(|next| next == id), "message {id} is out of order, or came twice");
        }
        let came: std::collections::HashSet<u32> = came.iter().copied().collect();
        for (id, must) in self.musts.iter().enumerate() {
            let did = came.contains(&(id as u32));
            assert!(*must == Must::Either || (*must == Must::Appear) == did, "message {id}: {must:?}, but {did}");
        }
        assert!(self.dropped_parked > 0 && self.dropped_begun > 0);
        self.fates.assert_all("write_all", seed);
        println!(
            "write_all: {} came; dropped for sure while parked {}, begun {}",
            came.len(),
            self.dropped_parked,
            self.dropped_begun
        );
    }
}

#[test]
fn messages_appear_whole_and_in_order_or_not_at_all_though_writes_are_dropped_at_random() {
    messages_appear_whole_and_in_order_or_not_at_all(false);
}

// Found with it: a forgotten write that is done kept the socket open for ever, by the descriptor in its slot.
#[test]
fn messages_appear_whole_and_in_order_though_writes_are_forgotten_at_random() {
    messages_appear_whole_and_in_order_or_not_at_all(true);
}

/// A message that may be cut anywhere: its first byte alone has the highest bit.
fn cuttable(id: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::exact(u64::from(id)).bytes(&mut bytes);
    bytes.iter_mut().for_each(|byte| *byte &= 0x7F);
    for (index, byte) in bytes.iter_mut().take(5).enumerate() {
        *byte = (id >> (7 * index)) as u8 & 0x7F;
    }
    bytes[0] |= 0x80;
    bytes
}

#[test]
fn writes_dropped_at_random_leave_beginnings_of_messages_in_order() {
    arena(|runtime| {
        let mut rng = Rng::new(0x3217);
        let wanted = storm(6_000);
        let (stream, peer) = pair();
        let reader = thread::spawn(move || common::read_to_end(&peer).unwrap());
        let mut fates = Fates::default();
        // The lengths of those that were polled, and how much of each is known to have gone.
        let mut begun: Vec<(usize, Option<usize>)> = Vec::new();
        common::run_for(runtime, Duration::from_secs(600), async {
            while fates.gone() < wanted {
                let most = if rng.below(200) == 0 { 100_000 } else { 300 };
                let len = 5 + rng.below(most) as usize;
                let bytes = cuttable(begun.len() as u32, len);
                let before = fates.dropped_unpolled;
                let write = async {
                    let (count, bytes) = stream.write(bytes).await;
                    assert_eq!(bytes.len(), len);
                    count.expect("the peer reads")
                };
                let sent = brief(Box::pin(write), &mut rng, false, &mut fates).await;
                if fates.dropped_unpolled == before {
                    begun.push((len, sent));
                }
            }
            stream.shutdown(std::net::Shutdown::Write).await.unwrap();
        });
        let bytes = reader.join().unwrap();
        let (mut at, mut id) = (0, 0_u32);
        while at < bytes.len() {
            let len = bytes[at + 1..].iter().position(|byte| byte & 0x80 != 0).map_or(bytes.len() - at, |len| len + 1);
            // Writes that were dropped while they were parked have left nothing.
            let expected = loop {
                let (most, sent) = begun[id as usize];
                let expected = cuttable(id, most);
                id += 1;
                if expected.get(..len) == Some(&bytes[at..at + len]) {
                    assert!(sent.is_none_or(|sent| sent == len), "write {} answered {sent:?}, but {len} came", id - 1);
                    break expected;
                }
                assert_eq!(sent, None, "write {} is missing, or not whole", id - 1);
            };
            assert!(len <= expected.len());
            at += len;
        }
        assert!(begun[id as usize..].iter().all(|(_, sent)| sent.is_none()));
        fates.assert_all("write", rng.seed());
    });
}
