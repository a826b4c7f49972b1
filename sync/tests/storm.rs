//! Random cancels, seeded: whatever is dropped at whatever point, every message sent is received once, and every message made
//! is dropped once.
#![cfg(not(loom))]

mod spawned;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use quoit_sync::mpsc;
use quoit_sync::mpsc::error::{SendError, TrySendError};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Knuth's MMIX generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// A message that counts its making and its dropping.
struct Message {
    number: usize,
    alive: Arc<AtomicUsize>,
}

impl Message {
    fn new(number: usize, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self { number, alive: alive.clone() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sends and receives by hand, dropping futures at random, until the dice have rolled enough; then lets everything end.
/// Returns what was sent and what was received, in order.
fn storm(seed: u64, capacity: usize) -> (Vec<usize>, Vec<usize>) {
    let mut dice = Dice(seed);
    let alive = Arc::new(AtomicUsize::new(0));
    let (tx, mut rx) = if capacity == 0 { mpsc::rendezvous() } else { mpsc::channel(capacity) };
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    {
        let mut sends = Vec::new();
        let mut permits = Vec::new();
        for number in 0..400 {
            match dice.roll(8) {
                0 | 1 => {
                    let mut send = Spawned::new(tx.send(Message::new(number, &alive)));
                    match send.poll() {
                        Poll::Ready(result) => {
                            assert!(result.is_ok());
                            sent.push(number);
                        }
                        Poll::Pending => sends.push((number, send)),
                    }
                }
                2 if !sends.is_empty() => {
                    let index = dice.roll(sends.len());
                    // Woken and dropped before it saw why: in a rendezvous its message is with the receiver already.
                    let (number, send) = sends.remove(index);
                    if capacity == 0 && send.wakes() > 0 {
                        sent.push(number);
                    }
                }
                3 => match tx.try_send(Message::new(number, &alive)) {
                    Ok(()) => sent.push(number),
                    Err(TrySendError::Full(message)) => assert_eq!(message.number, number),
                    Err(TrySendError::Closed(_)) => panic!("the receiver is open"),
                },
                4 => permits.extend(tx.try_reserve()),
                5 if !permits.is_empty() => {
                    let permit = permits.swap_remove(dice.roll(permits.len()));
                    if dice.roll(2) == 0 {
                        permit.send(Message::new(number, &alive));
                        sent.push(number);
                    }
                }
                6 => {
                    let mut batch = Vec::new();
                    let _dropped_if_pending = Spawned::new(rx.recv_many(&mut batch, 1 + dice.roll(3))).poll();
                    received.extend(batch.iter().map(|message| message.number));
                }
                _ => {
                    if let Poll::Ready(message) = Spawned::new(rx.recv()).poll() {
                        received.push(message.expect("a sender lives").number);
                    }
                }
            }
            // Whoever was woken looks.
            sends.retain_mut(|(number, send)| {
                if send.wakes() == 0 || dice.roll(2) == 0 {
                    return true;
                }
                assert!(matches!(send.poll(), Poll::Ready(Ok(()))), "it was woken for a reason");
                sent.push(*number);
                false
            });
        }
        rx.close();
        for (number, mut send) in sends {
            match send.poll() {
                Poll::Ready(Ok(())) => sent.push(number),
                Poll::Ready(Err(SendError(message))) => assert_eq!(message.number, number),
                Poll::Pending => panic!("the channel is closed"),
            }
        }
    }
    while let Some(message) = rx.blocking_recv() {
        received.push(message.number);
    }
    if capacity > 0 {
        assert_eq!(rx.capacity(), capacity, "all room came back");
    }
    drop((tx, rx));
    assert_eq!(alive.load(Ordering::SeqCst), 0, "each message is dropped once");
    (sent, received)
}

#[test]
fn bounded_channel_loses_and_doubles_nothing_in_a_storm_of_cancels() {
    for seed in 0..500 {
        let (sent, received) = storm(seed, 1 + usize::try_from(seed % 5).expect("small"));
        assert_eq!(received, sent, "in order, seed {seed}");
    }
}

#[test]
fn rendezvous_loses_and_doubles_nothing_in_a_storm_of_cancels() {
    let mut total = 0;
    for seed in 0..500 {
        let (mut sent, mut received) = storm(seed, 0);
        // A sender learns of the taking when it is polled, so only what was sent is known, not when.
        sent.sort_unstable();
        received.sort_unstable();
        assert_eq!(received, sent, "seed {seed}");
        total += sent.len();
    }
    assert!(total > 10_000, "the storm sends: {total}");
}

#[test]
fn threads_and_cancelled_sends_keep_exact_counts() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (tx, mut rx) = mpsc::channel(2);
    let senders: Vec<_> = (0..3_usize)
        .map(|thread| {
            let (tx, alive) = (tx.clone(), alive.clone());
            std::thread::spawn(move || {
                let mut dice = Dice(thread as u64);
                let mut sent = 0;
                for number in 0..2_000 {
                    if dice.roll(3) == 0 {
                        // Polled once, and dropped wherever that left it.
                        let done = Spawned::new(tx.send(Message::new(number, &alive))).poll().is_ready();
                        sent += usize::from(done);
                    } else {
                        assert!(tx.blocking_send(Message::new(number, &alive)).is_ok());
                        sent += 1;
                    }
                }
                sent
            })
        })
        .collect();
    drop(tx);
    let mut received = 0;
    loop {
        // One receive in two is given up once before.
        let first = Spawned::new(rx.recv()).poll();
        match first {
            Poll::Ready(Some(_)) => received += 1,
            Poll::Ready(None) => break,
            Poll::Pending => match rx.blocking_recv() {
                Some(_) => received += 1,
                None => break,
            },
        }
    }
    let sent: usize = senders.into_iter().map(|sender| sender.join().expect("no panic")).sum();
    assert_eq!(received, sent);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    assert_eq!((rx.capacity(), rx.len()), (2, 0));
}
