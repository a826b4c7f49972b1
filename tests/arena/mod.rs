//! What tests of the facade share: a runtime that must be left as it was found, and a pair of connected sockets.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener as StdListener, TcpStream as StdStream};
use std::time::Duration;

use quoit::net::TcpStream;
use quoit::task::yield_now;
use quoit::{FutureExt as _, Runtime};
use quoit_testkit::{FdCount, QuarantineAlloc};

#[global_allocator]
static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

/// Runs a test; afterwards nothing is in flight, held, or written to after it was freed.
pub(crate) fn arena<F: Future>(body: impl FnOnce() -> F) {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let fds = FdCount::now();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        body().timeout(Duration::from_secs(30)).await.expect("it hangs");
        let busy = || {
            let metrics = quoit::metrics();
            metrics.in_flight + metrics.operations + metrics.tasks > 0
        };
        let mut turns = 0;
        while busy() && turns < 100_000 {
            turns += 1;
            yield_now().await;
        }
    });
    let metrics = runtime.metrics();
    let held = (metrics.in_flight, metrics.operations, metrics.tasks, metrics.timers, metrics.buffers_lent);
    assert_eq!(held, (0, 0, 0, 0, 0), "{metrics:?}");
    let report = runtime.shutdown(Duration::from_secs(5));
    assert!(report.is_clean(), "{report}");
    fds.assert_same();
    ALLOC.assert_clean();
}

/// A stream of ours, and its peer of std.
pub(crate) fn pair() -> (TcpStream, StdStream) {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let near = StdStream::connect(listener.local_addr().expect("bound")).expect("loopback");
    let (far, _) = listener.accept().expect("connected just above");
    far.set_read_timeout(Some(Duration::from_secs(10))).expect("an option");
    far.set_write_timeout(Some(Duration::from_secs(10))).expect("an option");
    (TcpStream::from_std(near).expect("a socket"), far)
}

/// Lets the runtime turn until what is under way is with the kernel.
pub(crate) async fn some_turns() {
    for _ in 0..8 {
        yield_now().await;
    }
}
