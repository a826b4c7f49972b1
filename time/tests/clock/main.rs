//! Sleeps, timeouts and intervals on a real runtime and its clock. Only "never early" and order are asserted of time.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quoit_runtime::Runtime;
use quoit_time::Instant;

mod interval;
mod misuse;
mod paused;
mod sleep;
mod stream;
mod timeout;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Long enough to be waited for, short enough to be waited for often.
const SHORT: Duration = Duration::from_millis(2);
/// Longer than any test runs.
const HOUR: Duration = Duration::from_secs(3600);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Runtime::new().expect("a runtime starts").block_on(future)
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Keeps the thread until the clock shows `until`, as a task that does not yield does.
fn hog(until: Instant) {
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}
