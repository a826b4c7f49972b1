//! Numbers of descriptors that are used again while operations of the one before are under way.

mod common;

use std::collections::HashSet;
use std::os::fd::AsRawFd;
use std::pin::pin;

use common::{arena_with, pair, poll_once, read_to_end, run, soon, write_all};
use quoit_runtime::op::{self, Nop};
use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

/// A stream is dropped with a receive and a write under way, and sockets are opened and closed at random moments around that.
/// Each peer gets the bytes of its own socket, and each socket those of its own peer.
fn bytes_never_reach_the_next_socket_of_a_number(entries: u32) {
    arena_with(
        |builder| _ = builder.entries(entries).completion_entries(4 * entries),
        |runtime| {
            let mut rng = Rng::new(0x4D);
            let (mut numbers, mut used_again) = (HashSet::new(), 0);
            for round in 0..300_u32 {
                run(runtime, async {
                    let (first, first_peer) = pair();
                    numbers.insert(first.as_raw_fd());
                    assert!(poll_once(pin!(first.recv())).await.is_pending());
                    turns(&mut rng).await;
                    let mine = format!("of the first, {round}");
                    {
                        // Not the only one that has something to tell the kernel, or it would be out at once.
                        let _nop = op::submit(Nop::new());
                        let mut write = Box::pin(first.write_all(mine.clone()));
                        assert!(poll_once(write.as_mut()).await.is_pending());
                    }
                    turns(&mut rng).await;
                    drop(first);
                    turns(&mut rng).await;
                    let (second, second_peer) = pair();
                    used_again += u32::from(numbers.contains(&second.as_raw_fd()));
                    // What comes too late for the first one must not come to the second.
                    let _ = std::io::Write::write(&mut &first_peer, b"stray");
                    write_all(&second_peer, b"for the second");
                    soon("a write", second.write_all("of the second")).await.0.unwrap();
                    assert_eq!(&soon("a receive", second.recv()).await.unwrap().unwrap()[..], b"for the second");
                    soon("a close", second.close()).await.unwrap();
                    // It may end by a reset, for the stray bytes that nobody read.
                    let mut came = Vec::new();
                    let _ = std::io::Read::read_to_end(&mut &first_peer, &mut came);
                    assert!(came.is_empty() || came == mine.as_bytes(), "{:?}", String::from_utf8_lossy(&came));
                    assert_eq!(read_to_end(&second_peer).unwrap(), b"of the second");
                });
            }
            assert!(used_again > 100, "only {used_again} numbers were used again");
        },
    );
}

async fn turns(rng: &mut Rng) {
    for _turn in 0..rng.below(3) {
        yield_now().await;
    }
}

#[test]
fn bytes_never_reach_the_next_socket_of_a_descriptor_number() {
    bytes_never_reach_the_next_socket_of_a_number(256);
}

#[test]
fn bytes_never_reach_the_next_socket_of_a_descriptor_number_on_a_tiny_ring() {
    bytes_never_reach_the_next_socket_of_a_number(2);
}
