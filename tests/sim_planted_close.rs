//! A second close is planted, as the other bugs are in `sim_planted.rs`, and must be found within 1,000 seeds.
//!
//! In a process of its own: what it closes by mistake may be anybody's.
#![allow(unsafe_code, reason = "closes what is not its own")]

mod planted;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use planted::{found, pair};
use quoit::FutureExt;
use quoit::task::yield_now;

/// A descriptor that is closed twice: the second close may meet a stranger.
#[test]
fn a_double_close_is_found() {
    let text = found(|is_planted| async move {
        let (client, server) = pair().await;
        let descriptor = server.as_raw_fd();
        server.close().await.expect("a socket");
        // Somebody opens something meanwhile, or does not.
        let other = quoit::spawn(async {
            yield_now().await;
            pair().await
        });
        let closing = quoit::spawn(async move {
            for _ in 0..3 {
                yield_now().await;
            }
            if is_planted && is_open(descriptor) {
                // SAFETY: none; that is the bug. The number is open, so the drop closes what it means now.
                drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
            }
        });
        closing.await.expect("no panic");
        let (one, two) = other.timeout(Duration::from_secs(60)).await.expect("a connection").expect("no panic");
        one.write_all("ping").await.0.expect("a connection");
        let answer = two.recv().timeout(Duration::from_secs(60)).await.expect("bytes").expect("no error");
        assert_eq!(&answer.expect("bytes")[..], b"ping");
        drop(client);
    });
    assert!(!text.is_empty());
}

/// Whether a number means something.
fn is_open(descriptor: RawFd) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).is_ok()
}
