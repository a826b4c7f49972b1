//! What the tests share: the arena in which a runtime is attacked, peers of plain std, and a stream of known bytes.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod fates;
pub(crate) mod udp;
pub(crate) mod unix;

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use quoit_runtime::task::yield_now;
use quoit_runtime::{Builder, Runtime};
use quoit_testkit::{FdCount, QuarantineAlloc, Rng};

#[global_allocator]
pub(crate) static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

/// Descriptors and memory are the process's, so one test runs at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Longer than anything here takes: what takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test on a runtime with the default settings; see [`arena_with`].
pub(crate) fn arena(body: impl FnOnce(&Runtime)) {
    arena_with(|_| {}, body);
}

/// Runs a test on a runtime of its own, and then looks at everything that it may have left behind.
pub(crate) fn arena_with(configure: impl FnOnce(&mut Builder), body: impl FnOnce(&Runtime)) {
    arena_of(configure, |runtime| {
        body(&runtime);
        end(runtime, 0);
    });
}

/// As [`arena_with`], for tests that end the runtime themselves.
pub(crate) fn arena_of(configure: impl FnOnce(&mut Builder), body: impl FnOnce(Runtime)) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let fds = FdCount::now();
    let mut builder = Runtime::builder();
    configure(&mut builder);
    body(builder.build().expect("a ring"));
    fds.assert_same();
    ALLOC.assert_clean();
}

/// Lets what was dropped last end, and then everything must be back at 0. `forgotten`: operations whose futures were
/// forgotten keep their slots.
pub(crate) fn end(runtime: Runtime, forgotten: usize) {
    settle(&runtime, forgotten);
    let metrics = runtime.metrics();
    assert_eq!(metrics.in_flight, 0, "in flight: {metrics:?}");
    assert_eq!(metrics.operations, forgotten, "operations: {metrics:?}");
    assert_eq!(metrics.stale_completions, 0, "stale completions: {metrics:?}");
    assert_eq!(metrics.failed_closes, 0, "failed closes: {metrics:?}");
    assert_eq!(metrics.buffers_lent, 0, "buffers lent: {metrics:?}");
    assert_eq!(metrics.timers, 0, "timers: {metrics:?}");
    let report = runtime.shutdown(Duration::from_secs(5));
    assert!(report.is_clean(), "{report}");
}

/// Turns the runtime until nothing is in flight, or for 5 s.
pub(crate) fn settle(runtime: &Runtime, forgotten: usize) {
    let end = Instant::now() + Duration::from_secs(5);
    runtime.block_on(async {
        while Instant::now() < end {
            let metrics = runtime.metrics();
            if metrics.in_flight == 0 && metrics.operations == forgotten && metrics.tasks == 0 {
                break;
            }
            yield_now().await;
        }
    });
}

/// Runs a future that must end.
#[track_caller]
pub(crate) fn run<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    run_for(runtime, PATIENCE, future)
}

/// Runs a future that must end within so long.
#[track_caller]
pub(crate) fn run_for<F: Future>(runtime: &Runtime, patience: Duration, future: F) -> F::Output {
    runtime.block_on(async { quoit_time::timeout(patience, future).await }).expect("it hangs")
}

/// Awaits what must come soon.
#[track_caller]
pub(crate) fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let limited = quoit_time::timeout(Duration::from_secs(5), future);
    async move { limited.await.unwrap_or_else(|_| panic!("hangs: {what}")) }
}

/// Polls once, in the current task.
pub(crate) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Yields until something holds, or fails.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "it does not come: {what}");
        yield_now().await;
    }
}

/// A connected pair of std; reads of it that hang fail.
pub(crate) fn std_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("loopback");
    let (far, _) = listener.accept().expect("connected just above");
    far.set_read_timeout(Some(PATIENCE)).expect("an option");
    far.set_write_timeout(Some(PATIENCE)).expect("an option");
    (near, far)
}

/// A stream of ours and its peer of std.
pub(crate) fn pair() -> (quoit_net::TcpStream, TcpStream) {
    let (near, far) = std_pair();
    (quoit_net::TcpStream::from_std(near).expect("a socket"), far)
}

/// Closes with a reset.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
    drop(stream);
}

/// Reads until the end.
pub(crate) fn read_to_end(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| bytes)
}

/// Writes everything.
pub(crate) fn write_all(mut stream: &TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the other end reads");
}

/// How many drops a storm has: `QUOIT_STORM`, or what fits into a debug build's time.
pub(crate) fn storm(default: u64) -> u64 {
    match std::env::var("QUOIT_STORM") {
        Ok(text) => text.parse().expect("QUOIT_STORM is a number"),
        Err(_) => default,
    }
}

/// Turns to a loopback address that few other connections have, as each has its own 28,000 ports.
pub(crate) fn spread(address: SocketAddr, index: u64) -> SocketAddr {
    let address_of = |last| SocketAddr::from(([127, 0, 1, last], address.port()));
    address_of((index % 64) as u8 + 1)
}

/// Known bytes without end, checked or made piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Known {
    at: u64,
}

impl Known {
    /// The bytes from a place on.
    pub(crate) fn starting_at(at: u64) -> Self {
        Self { at }
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next bytes.
    pub(crate) fn next(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let rest = self.rest();
            let taken = rest.len().min(count - bytes.len());
            bytes.extend_from_slice(&rest[..taken]);
            self.at += taken as u64;
        }
        bytes
    }

    /// These must be the next bytes.
    #[track_caller]
    pub(crate) fn check(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let rest = self.rest();
            let count = rest.len().min(bytes.len());
            assert!(bytes[..count] == rest[..count], "the stream differs within {count} bytes from {}", self.at);
            bytes = &bytes[count..];
            self.at += count as u64;
        }
    }

    fn rest(&self) -> &'static [u8] {
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        let bytes = BYTES.get_or_init(|| {
            // A prime, so that no size of a buffer divides it.
            let mut bytes = vec![0; 1_048_573];
            Rng::exact(0xB17E5).bytes(&mut bytes);
            bytes
        });
        &bytes[(self.at % bytes.len() as u64) as usize..]
    }
}
