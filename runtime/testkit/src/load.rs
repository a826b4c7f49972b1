//! A load of many connections on an echo server, with every byte compared.
//!
//! It uses plain sockets on epoll, so that it shares no mistake with what it tests. `worker` is the loop of one thread,
//! `connection` what one connection sends and expects, `socket` the system calls that std does not have.

mod connection;
mod socket;
mod worker;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use worker::Worker;

/// What to send to an echo server: make one with [`new`](Self::new) and change what should be different.
///
/// All connections are opened as fast as the server takes them (at most 256 wait for their handshake at any time). Each
/// sends its messages one after the other. While one message is being sent its echo is already read and compared, so
/// that it may be larger than all buffers between; the next one begins when the echo is complete. After the last one
/// the connection is shut down for writing, and must be closed by the server without a further byte.
///
/// # Examples
///
/// ```no_run
/// use quoit_testkit::EchoLoad;
///
/// let mut load = EchoLoad::new("127.0.0.1:7000".parse().unwrap());
/// load.connections = 100;
/// println!("{}", load.run()?);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct EchoLoad {
    /// The address of the server.
    pub address: SocketAddr,
    /// How many connections to open, all at once unless the first are done before the last are open; at least 1.
    /// Default: 1000.
    pub connections: usize,
    /// How many messages to send on each; 0 is a connection that only ends. Default: 1000.
    pub messages_per_connection: u64,
    /// How many messages of a connection are under way at once; at least 1. Default: 1.
    pub under_way: usize,
    /// How many connections are open at once; at least 1. Default: all of them.
    pub open_at_once: usize,
    /// The size of the smallest message; at least 1. Default: 1.
    pub min_bytes: u64,
    /// The size of the largest message. Sizes are uniform between both. Default: 256 KiB.
    pub max_bytes: u64,
    /// What the sizes and bytes are made of; the same seed makes the same. Default: 1.
    pub seed: u64,
    /// How many threads share the connections, and those that are open at once; at least 1. Default: 1.
    pub threads: usize,
    /// Whether the clock is read for each message. Default: no.
    pub sample_latency: bool,
    /// A connection on which nothing moves for so long is an error. Default: 30 s.
    pub idle_timeout: Duration,
}

/// What an [`EchoLoad`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EchoReport {
    /// Connections that were opened, used and closed in good order.
    pub connections: usize,
    /// Messages that came back whole, on all connections.
    pub messages: u64,
    /// Bytes that were sent and came back, counted once.
    pub bytes: u64,
    /// From the first connection to the end of the last.
    pub elapsed: Duration,
    /// If [`sample_latency`](EchoLoad::sample_latency) is set: of each message the nanoseconds from its first byte's being
    /// ready to be sent to its last byte's coming back. In no order.
    pub latencies_ns: Vec<u64>,
}

impl EchoLoad {
    /// A load on the server at `address`, with the defaults that are given at the fields.
    pub fn new(address: SocketAddr) -> EchoLoad {
        EchoLoad {
            address,
            connections: 1000,
            messages_per_connection: 1000,
            under_way: 1,
            open_at_once: usize::MAX,
            min_bytes: 1,
            max_bytes: 256 * 1024,
            seed: 1,
            threads: 1,
            sample_latency: false,
            idle_timeout: Duration::from_secs(30),
        }
    }

    /// Runs the load to its end and blocks for so long. The process's limit of open files is raised as far as that is
    /// allowed.
    ///
    /// # Errors
    ///
    /// The first of these ends the whole load; its text gives the number of the connection (from 0) and its offset in
    /// the stream:
    ///
    /// - `InvalidInput`: a field has a value that its documentation excludes.
    /// - `InvalidData`: a byte came back changed, or one that was not sent.
    /// - `UnexpectedEof`: the server closed the connection early.
    /// - `TimedOut`: nothing moved on a connection for [`idle_timeout`](Self::idle_timeout).
    /// - What the kernel says of the socket, for example `ConnectionRefused` or `ConnectionReset`.
    pub fn run(&self) -> io::Result<EchoReport> {
        self.validate()?;
        // Refused, it is the lack of descriptors that will be reported, if there is one.
        let _ = socket::raise_open_files_limit();
        let start = Instant::now();
        let stop = AtomicBool::new(false);
        let first_error = Mutex::new(None);
        let run = |index| {
            let result = Worker::new(self, index).and_then(|worker| worker.run(&stop));
            result.unwrap_or_else(|error| {
                // The first error is what happened; those after it may be its consequences.
                first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                stop.store(true, Ordering::Relaxed);
                EchoReport::default()
            })
        };
        let run = &run;
        let mut report = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads).map(|index| scope.spawn(move || run(index))).collect();
            let reports = workers.into_iter().map(|worker| worker.join().expect("a worker returns its errors"));
            reports.fold(EchoReport::default(), EchoReport::add)
        });
        if let Some(error) = first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        report.elapsed = start.elapsed();
        Ok(report)
    }

    fn validate(&self) -> io::Result<()> {
        let wrong = if self.connections == 0 {
            "there must be at least 1 connection"
        } else if self.threads == 0 {
            "there must be at least 1 thread"
        } else if self.under_way == 0 {
            "there must be at least 1 message under way"
        } else if self.open_at_once == 0 {
            "there must be at least 1 connection open at once"
        } else if self.min_bytes == 0 {
            "the smallest message has 1 byte"
        } else if self.min_bytes > self.max_bytes {
            "the smallest message is larger than the largest one"
        } else if self
            .max_bytes
            .checked_add(1)
            .is_none_or(|bytes| bytes.checked_mul(self.messages_per_connection).is_none())
        {
            "the messages of a connection have more than 2^64 bytes"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }
}

impl EchoReport {
    /// Bytes echoed a second, in 10^6 bytes.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The sum of what two threads did at the same time.
    fn add(mut self, other: EchoReport) -> EchoReport {
        self.latencies_ns.extend(other.latencies_ns);
        EchoReport {
            connections: self.connections + other.connections,
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            elapsed: self.elapsed.max(other.elapsed),
            latencies_ns: self.latencies_ns,
        }
    }
}

impl fmt::Display for EchoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EchoReport { connections, messages, bytes, elapsed, .. } = self;
        let (seconds, rate) = (elapsed.as_secs_f64(), self.megabytes_per_second());
        write!(f, "{connections} connections, {messages} messages, {bytes} bytes in {seconds:.3} s, {rate:.1} MB/s")
    }
}
