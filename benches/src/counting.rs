//! What is counted rather than timed: system calls and instructions, by tools that run the server.
//!
//! A tool counts from the start of the server to its end. So the server runs twice, with a load and with twice that load:
//! the difference has neither the start nor the end nor the opening of the connections in it.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process;

use crate::child::ServerProcess;
use crate::figures::Figure;
use crate::load;
use crate::modes::{Kind, Mode};
use crate::servers::Server;

/// A tool that counts, and where its count stands in its report.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) figure: Figure,
    /// Its command line, before the name of the file for its report.
    arguments: &'static [&'static str],
    parse: fn(&str) -> Option<f64>,
    /// What the loads are divided by, beside what all are.
    divisor: u64,
}

/// System calls, by a tracepoint: exact, and hardly slower.
const PERF: Tool = Tool {
    name: "perf",
    figure: Figure::Calls,
    arguments: &["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o"],
    parse: |report| report.lines().find(|line| line.contains("sys_enter"))?.split(',').next()?.parse().ok(),
    divisor: 1,
};

/// System calls, where perf may not: exact as well, but it stops the server at each, so that more is ready at the next.
const STRACE: Tool = Tool {
    name: "strace",
    figure: Figure::Calls,
    arguments: &["-f", "-c", "-o"],
    parse: |report| {
        let total = report.lines().find(|line| line.trim_end().ends_with(" total"))?;
        total.split_whitespace().nth(3)?.parse().ok()
    },
    divisor: 10,
};

/// Instructions in user space, where the processor's counters may be read.
const INSTRUCTIONS: Tool = Tool {
    name: "perf",
    figure: Figure::Instructions,
    arguments: &["stat", "-x,", "-e", "instructions:u", "-o"],
    parse: |report| report.lines().find(|line| line.contains("instructions"))?.split(',').next()?.parse().ok(),
    divisor: 1,
};

/// The tools that are there and work.
pub(crate) fn tools() -> Vec<&'static Tool> {
    let calls = [&PERF, &STRACE].into_iter().find(|tool| tool.works());
    let instructions = Some(&INSTRUCTIONS).filter(|tool| tool.works());
    calls.into_iter().chain(instructions).collect()
}

impl Tool {
    /// What a request costs.
    pub(crate) fn per_request(&self, server: &Server, mode: &Mode, divisor: u64) -> io::Result<f64> {
        let (kind, twice) = match mode.kind.divided(divisor * self.divisor) {
            Kind::Echo { connections, messages, bytes, under_way } => {
                let kind = |messages| Kind::Echo { connections, messages, bytes, under_way };
                (kind(messages), kind(2 * messages))
            }
            Kind::Short { connections, at_once, bytes } => {
                let kind = |connections| Kind::Short { connections, at_once, bytes };
                (kind(connections), kind(2 * connections))
            }
            Kind::Udp { datagrams, under_way, bytes } => {
                let kind = |datagrams| Kind::Udp { datagrams, under_way, bytes };
                (kind(datagrams), kind(2 * datagrams))
            }
            Kind::Idle { .. } => return Err(io::Error::other("nothing is counted of idle connections")),
        };
        let (count, requests) = self.count(server, mode, kind)?;
        let (count_of_twice, requests_of_twice) = self.count(server, mode, twice)?;
        Ok((count_of_twice - count) / (requests_of_twice - requests))
    }

    /// The count of a server from its start to its end, and how many requests it answered.
    fn count(&self, server: &Server, mode: &Mode, kind: Kind) -> io::Result<(f64, f64)> {
        let path = env::temp_dir().join(format!("quoit-benches-{}-{}", process::id(), self.name));
        let result = self.count_into(&path, server, mode, kind);
        // It may not have come so far that there is a file.
        let _ = fs::remove_file(&path);
        result
    }

    fn count_into(&self, path: &Path, server: &Server, mode: &Mode, kind: Kind) -> io::Result<(f64, f64)> {
        let process = ServerProcess::start(server, mode, &self.command(path))?;
        let requests = load::run(kind, process.address)?.requests;
        process.terminate()?;
        let report = fs::read_to_string(path)?;
        let count = (self.parse)(&report).ok_or_else(|| io::Error::other(format!("{} counted nothing", self.name)))?;
        Ok((count, requests as f64))
    }

    /// What stands before the command of the server.
    fn command(&self, path: &Path) -> Vec<String> {
        let words = [self.name].into_iter().chain(self.arguments.iter().copied()).map(str::to_owned);
        words.chain([path.display().to_string()]).collect()
    }

    /// Whether it is installed, may do what it does, and is understood.
    fn works(&self) -> bool {
        let path = env::temp_dir().join(format!("quoit-benches-{}-{}-works", process::id(), self.name));
        let words = self.command(&path);
        let status = process::Command::new(&words[0]).args(&words[1..]).arg("true").output();
        let report = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        status.is_ok_and(|output| output.status.success()) && (self.parse)(&report).is_some()
    }
}
