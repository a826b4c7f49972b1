//! The loads: the testkit's on streams, and two small ones. Every byte that comes back is compared.

mod datagrams;
mod idle;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quoit_testkit::EchoLoad;

use crate::modes::Kind;

pub(crate) use idle::IdleConnections;

/// What a load did.
pub(crate) struct Done {
    /// Messages, datagrams or short connections.
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// What each message took; sorted, and empty unless it was asked for.
    pub(crate) latencies_ns: Vec<u64>,
}

impl Done {
    /// The latency that so many of a thousand messages do not exceed.
    pub(crate) fn latency_us(&self, of_a_thousand: usize) -> Option<f64> {
        let last = self.latencies_ns.len().checked_sub(1)?;
        Some(self.latencies_ns[last * of_a_thousand / 1000] as f64 / 1e3)
    }
}

/// Runs a load to its end. Idle connections are [their own](IdleConnections).
pub(crate) fn run(kind: Kind, address: SocketAddr) -> io::Result<Done> {
    let mut done = match kind {
        Kind::Echo { connections, messages, bytes, under_way } => {
            let mut load = EchoLoad::new(address);
            (load.connections, load.messages_per_connection, load.under_way) = (connections, messages, under_way);
            (load.min_bytes, load.max_bytes) = (bytes, bytes);
            echo(load)?
        }
        Kind::Short { connections, at_once, bytes } => {
            let mut load = EchoLoad::new(address);
            (load.connections, load.messages_per_connection, load.open_at_once) = (connections as usize, 1, at_once);
            (load.min_bytes, load.max_bytes) = (bytes, bytes);
            echo(load)?
        }
        Kind::Udp { datagrams, under_way, bytes } => datagrams::run(address, datagrams, under_way, bytes..=bytes)?,
        Kind::Idle { connections, bytes } => {
            let mut idle = IdleConnections::new(address, bytes);
            idle.open(connections)?;
            Done { requests: connections, elapsed: Duration::ZERO, latencies_ns: Vec::new() }
        }
    };
    done.latencies_ns.sort_unstable();
    Ok(done)
}

fn echo(mut load: EchoLoad) -> io::Result<Done> {
    load.sample_latency = true;
    let report = load.run()?;
    Ok(Done { requests: report.messages, elapsed: report.elapsed, latencies_ns: report.latencies_ns })
}

/// Whether a server of streams gives back what it gets: all sizes, many connections, messages larger than all buffers,
/// and several under way.
pub(crate) fn check_streams(address: SocketAddr) -> io::Result<()> {
    let cases: [(usize, u64, u64, u64, usize); 4] =
        [(16, 20, 1, 256 << 10, 1), (1_000, 3, 1, 1_000, 1), (2, 2, 16 << 20, 16 << 20, 1), (64, 50, 1, 4_000, 8)];
    for (connections, messages, min_bytes, max_bytes, under_way) in cases {
        let mut load = EchoLoad::new(address);
        (load.connections, load.messages_per_connection, load.under_way) = (connections, messages, under_way);
        (load.min_bytes, load.max_bytes) = (min_bytes, max_bytes);
        load.run()?;
    }
    Ok(())
}

/// The same of a server of datagrams.
pub(crate) fn check_datagrams(address: SocketAddr) -> io::Result<()> {
    datagrams::run(address, 2_000, 1, 8..=1_400)?;
    datagrams::run(address, 2_000, 16, 8..=1_400).map(drop)
}
