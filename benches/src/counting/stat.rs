//! Tools that count from the start of a server to its end. So the server runs twice, with hardly any load and with all of it.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process;

use super::Counter;
use crate::child::ServerProcess;
use crate::figures::Figure;
use crate::load;
use crate::modes::{Kind, Mode};
use crate::servers::Server;

/// A tool that counts, and where its count stands in its report.
pub(super) struct Stat {
    program: &'static str,
    figure: Figure,
    /// Its command line, before the name of the file for its report.
    arguments: &'static [&'static str],
    parse: fn(&str) -> Option<f64>,
    /// What the loads are divided by, beside what all are.
    divisor: u64,
}

/// System calls, by a tracepoint: exact, and hardly slower.
pub(super) const PERF_CALLS: Stat = Stat {
    program: "perf",
    figure: Figure::Calls,
    arguments: &["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o"],
    parse: |report| report.lines().find(|line| line.contains("sys_enter"))?.split(',').next()?.parse().ok(),
    divisor: 4,
};

/// System calls, where perf may not: exact as well, but it stops the server at each, so that more is ready at the next.
pub(super) const STRACE_CALLS: Stat = Stat {
    program: "strace",
    figure: Figure::Calls,
    arguments: &["-f", "-c", "-o"],
    parse: |report| {
        let total = report.lines().find(|line| line.trim_end().ends_with(" total"))?;
        total.split_whitespace().nth(3)?.parse().ok()
    },
    divisor: 10,
};

/// Instructions in user space, where the processor's counters may be read.
pub(super) const PERF_INSTRUCTIONS: Stat = Stat {
    program: "perf",
    figure: Figure::Instructions,
    arguments: &["stat", "-x,", "-e", "instructions:u", "-o"],
    parse: |report| report.lines().find(|line| line.contains("instructions"))?.split(',').next()?.parse().ok(),
    divisor: 4,
};

impl Counter for Stat {
    fn name(&self) -> &'static str {
        self.program
    }

    fn figure(&self) -> Figure {
        self.figure
    }

    fn works(&self) -> bool {
        let path = env::temp_dir().join(format!("quoit-benches-{}-{}-works", process::id(), self.program));
        let words = self.command(&path);
        let status = process::Command::new(&words[0]).args(&words[1..]).arg("true").output();
        let report = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        status.is_ok_and(|output| output.status.success()) && (self.parse)(&report).is_some()
    }

    fn is_for(&self, mode: &Mode, _: &Server) -> bool {
        !matches!(mode.kind, Kind::Idle { .. })
    }

    fn per_request(&self, server: &Server, mode: &Mode, divisor: u64) -> io::Result<f64> {
        let kind = mode.kind.divided(divisor * self.divisor);
        // The small load is as small as it can be: how much a server does in one go differs from run to run, and a load of half the
        // size would bring the difference of two runs in as if it were the cost of requests.
        let (start, few) = self.count(server, mode, kind.divided(PARTS))?;
        let (count, requests) = self.count(server, mode, kind.doubled())?;
        Ok((count - start) / (requests - few))
    }
}

impl Stat {
    /// The count of a server from its start to its end, and how many requests it answered.
    fn count(&self, server: &Server, mode: &Mode, kind: Kind) -> io::Result<(f64, f64)> {
        let path = env::temp_dir().join(format!("quoit-benches-{}-{}", process::id(), self.program));
        let result = self.count_into(&path, server, mode, kind);
        // It may not have come so far that there is a file.
        let _ = fs::remove_file(&path);
        result
    }

    fn count_into(&self, path: &Path, server: &Server, mode: &Mode, kind: Kind) -> io::Result<(f64, f64)> {
        let mut process = ServerProcess::start(server, mode, &self.command(path))?;
        let requests = load::run(kind, &mut process)?.requests;
        process.terminate()?;
        let report = fs::read_to_string(path)?;
        let count =
            (self.parse)(&report).ok_or_else(|| io::Error::other(format!("{} counted nothing", self.program)))?;
        Ok((count, requests as f64))
    }

    /// What stands before the command of the server.
    fn command(&self, path: &Path) -> Vec<String> {
        let words = [self.program].into_iter().chain(self.arguments.iter().copied()).map(str::to_owned);
        words.chain([path.display().to_string()]).collect()
    }
}

/// What the load is divided by in the run that shows what the start, the end and the opening of the connections cost.
const PARTS: u64 = 100;
