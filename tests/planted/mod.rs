//! What the tests of planted bugs share.

use std::future::Future;
use std::time::Duration;

use quoit::FutureExt;
use quoit::net::{TcpListener, TcpStream};
use quoit::sim;

/// Sees writes into freed memory, the simulated kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// The first seed that finds a bug; the same program without it must pass all seeds up to there.
pub(crate) fn found<F: Future>(make: impl Fn(bool) -> F) -> String {
    for seed in 0..1_000 {
        let healthy = told(seed, || make(false));
        assert_eq!(healthy, None, "seed {seed} fails without the bug");
        if let Some(text) = told(seed, || make(true)) {
            return text;
        }
    }
    panic!("1,000 seeds have not found the bug");
}

/// What goes wrong in a world: a panic, or a write into freed memory.
fn told<F: Future>(seed: u64, make: impl Fn() -> F) -> Option<String> {
    let panicked = sim::fails(seed, || async {
        make().timeout(Duration::from_secs(3600)).await.expect("all waits for ever");
    });
    let corrupted = ALLOC.check().err().map(|report| report.to_string());
    panicked.or(corrupted)
}

/// A connection within one machine.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a listener");
    let (server, _) = listener.accept().await.expect("a connection");
    (client, server)
}
