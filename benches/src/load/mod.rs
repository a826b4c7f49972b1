//! The loads: the testkit's on streams, and some small ones. Every byte that comes back is compared.

mod bursts;
mod datagrams;
mod http;
mod idle;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quoit_testkit::EchoLoad;

use crate::child::ServerProcess;
use crate::modes::Kind;
use crate::servers::Service;

pub(crate) use idle::IdleConnections;

/// What a load did.
pub(crate) struct Done {
    /// Messages, datagrams, short connections, or reads.
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// What each message took; sorted, and empty where that was not measured.
    pub(crate) latencies_ns: Vec<u64>,
}

impl Done {
    /// The latency that so many of a thousand messages do not exceed.
    pub(crate) fn latency_us(&self, of_a_thousand: usize) -> Option<f64> {
        let rank = (self.latencies_ns.len() * of_a_thousand).div_ceil(1000);
        self.latencies_ns.get(rank.saturating_sub(1)).map(|latency| *latency as f64 / 1e3)
    }
}

/// Runs a load to its end. Idle connections are [their own](IdleConnections).
pub(crate) fn run(kind: Kind, process: &mut ServerProcess) -> io::Result<Done> {
    let address = process.address;
    let mut done = match kind {
        Kind::Echo { connections, messages, bytes, under_way } => {
            let mut load = EchoLoad::new(address);
            (load.connections, load.messages_per_connection, load.under_way) = (connections, messages, under_way);
            (load.min_bytes, load.max_bytes) = (bytes, bytes);
            echo(load)?
        }
        Kind::Bursts { connections, messages, bytes, burst } => {
            bursts::run(address, connections, messages, bytes, burst)?
        }
        Kind::Short { connections, at_once, bytes } => {
            let mut load = EchoLoad::new(address);
            (load.connections, load.messages_per_connection, load.open_at_once) = (connections as usize, 1, at_once);
            (load.min_bytes, load.max_bytes) = (bytes, bytes);
            echo(load)?
        }
        Kind::Udp { datagrams, under_way, bytes } => datagrams::run(address, datagrams, under_way, bytes..=bytes)?,
        Kind::Http { connections, requests } => http::run(address, connections, requests)?,
        Kind::Files { reads, depth } => read_files(process, reads, depth, "stamps")?,
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

/// Has the server read blocks, and see whether they are right.
fn read_files(process: &mut ServerProcess, reads: u64, depth: usize, look_at: &str) -> io::Result<Done> {
    let answer = process.ask(&format!("{depth} {reads} {look_at}"))?;
    let numbers: Option<Vec<u64>> = answer.split(' ').map(|word| word.parse().ok()).collect();
    let Some([requests, elapsed_ns]) = numbers.as_deref() else { return Err(io::Error::other(answer)) };
    Ok(Done { requests: *requests, elapsed: Duration::from_nanos(*elapsed_ns), latencies_ns: Vec::new() })
}

/// Whether a server of a service is right in what is not measured, too.
pub(crate) fn check(service: Service, process: &mut ServerProcess) -> io::Result<()> {
    match service {
        Service::Tcp => check_streams(process.address),
        Service::Udp => check_datagrams(process.address),
        Service::Http => {
            http::run(process.address, 1, 100)?;
            http::run(process.address, 200, 20).map(drop)
        }
        Service::Files => {
            read_files(process, 500, 1, "bytes")?;
            read_files(process, 2_000, 64, "bytes").map(drop)
        }
    }
}

/// Whether a server of streams gives back what it gets: all sizes, many connections, messages larger than all buffers,
/// and several under way.
fn check_streams(address: SocketAddr) -> io::Result<()> {
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
fn check_datagrams(address: SocketAddr) -> io::Result<()> {
    datagrams::run(address, 2_000, 1, 8..=1_400)?;
    datagrams::run(address, 2_000, 16, 8..=1_400).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_messages_themselves() {
        let latencies_ns = (1..=2_000).map(|us| us * 1_000).collect();
        let done = Done { requests: 2_000, elapsed: Duration::ZERO, latencies_ns };
        assert_eq!(done.latency_us(500), Some(1_000.0));
        assert_eq!(done.latency_us(990), Some(1_980.0));
        assert_eq!(done.latency_us(999), Some(1_998.0));
        let one = Done { requests: 1, elapsed: Duration::ZERO, latencies_ns: vec![7_000] };
        assert_eq!((one.latency_us(500), one.latency_us(999)), (Some(7.0), Some(7.0)));
        let none = Done { requests: 1, elapsed: Duration::ZERO, latencies_ns: Vec::new() };
        assert_eq!(none.latency_us(500), None);
    }
}
