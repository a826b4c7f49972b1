//! A storm on the passing of descriptors: receives and sends that are dropped or forgotten at random moments. Each descriptor
//! arrives once, with its bytes and in order, or not at all if its send never began. See `storms.rs` for the knobs.

mod common;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::task::Poll;

use common::fates::{Fates, brief};
use common::{PATIENCE, arena_of, end, poll_once, run_for, storm};
use quoit_net::UnixStream;
use quoit_runtime::task::yield_now;
use quoit_testkit::{FdCount, Rng};

/// A message of 8 bytes: its number, and how many descriptors come with it.
fn message(number: u64) -> (Box<[u8; 8]>, usize) {
    let count = (number * 7 % 5) as usize;
    (Box::new(number.to_le_bytes()), count)
}

#[test]
fn descriptors_arrive_once_and_with_their_bytes_though_futures_are_dropped_at_random() {
    arena_of(
        |_| {},
        |runtime| {
            let mut rng = Rng::new(0xFD5);
            let wanted = storm(2_000);
            let mut fates = Fates::default();
            let before = FdCount::now().count();
            let received = run_for(&runtime, PATIENCE * 20, async {
                let (one, other) = UnixStream::pair().unwrap();
                let file: OwnedFd = File::open("/dev/null").unwrap().into();
                let (mut number, mut received, mut descriptors) = (0_u64, 0_u64, 0_u64);
                // What has come of the message that is being received.
                let (mut bytes, mut count, mut last) = (Vec::new(), 0, None::<u64>);
                // Messages whose sends have begun for sure, and those that may have.
                let (mut surely, mut perhaps) = (0_u64, 0_u64);
                while fates.gone() < wanted || received < surely {
                    if fates.gone() < wanted && perhaps < received + 40 {
                        let (buf, copies) = message(number);
                        number += 1;
                        let copies = (0..copies).map(|_| file.as_fd().try_clone_to_owned().unwrap()).collect();
                        let unpolled = fates.dropped_unpolled;
                        let mut send = Box::pin(one.send_fds(buf, copies));
                        let sent = if rng.below(8) == 0 {
                            // One that was never polled would keep its descriptors: it is the caller's.
                            match poll_once(send.as_mut()).await {
                                Poll::Ready(sent) => Some(sent),
                                Poll::Pending => {
                                    fates.forgotten += 1;
                                    std::mem::forget(send);
                                    None
                                }
                            }
                        } else {
                            brief(send, &mut rng, false, &mut fates).await
                        };
                        perhaps += u64::from(fates.dropped_unpolled == unpolled);
                        if let Some((sent, _)) = sent {
                            sent.unwrap();
                            surely += 1;
                        }
                    }
                    let forget = rng.below(8) == 0;
                    // Never more than what is missing of the message: else descriptors of the next one come with it.
                    let room = 1 + rng.below(8 - bytes.len() as u64) as usize;
                    let receive = Box::pin(other.recv_fds(Vec::with_capacity(room)));
                    if let Some((result, buf)) = brief(receive, &mut rng, forget, &mut fates).await {
                        let (len, passed) = result.unwrap();
                        assert_eq!(len, buf.len());
                        count += passed.len();
                        bytes.extend(buf);
                    }
                    if let Ok(this) = <[u8; 8]>::try_from(&bytes[..]) {
                        let this = u64::from_le_bytes(this);
                        assert!(last.is_none_or(|last| last < this), "{this} comes after {last:?}");
                        assert_eq!(count, message(this).1, "descriptors of message {this}");
                        last = Some(this);
                        received += 1;
                        descriptors += count as u64;
                        (bytes, count) = (Vec::new(), 0);
                    }
                    if rng.below(16) == 0 {
                        yield_now().await;
                    }
                }
                one.close().await.unwrap();
                // What was begun, and nobody was told of.
                loop {
                    let (result, buf) = other.recv_fds(Vec::with_capacity(8 - bytes.len())).await;
                    let (len, passed) = result.unwrap();
                    if len == 0 {
                        break;
                    }
                    count += passed.len();
                    bytes.extend(buf);
                    if let Ok(this) = <[u8; 8]>::try_from(&bytes[..]) {
                        assert_eq!(count, message(u64::from_le_bytes(this)).1);
                        received += 1;
                        descriptors += count as u64;
                        (bytes, count) = (Vec::new(), 0);
                    }
                }
                assert!(
                    bytes.is_empty() && received >= surely && received <= number,
                    "{received} of {surely}..={number}"
                );
                assert!(descriptors > 0);
                received
            });
            println!("descriptors: {received} messages");
            fates.assert_all("descriptors", rng.seed());
            assert!(fates.forgotten > 0);
            // Sends that were forgotten when they had begun keep their slots, but no descriptors.
            common::settle(&runtime, runtime.metrics().operations);
            assert_eq!(FdCount::now().count(), before);
            let operations = runtime.metrics().operations;
            assert!(operations as u64 <= fates.forgotten);
            end(runtime, operations);
        },
    );
}
