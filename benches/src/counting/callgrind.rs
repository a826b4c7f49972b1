//! Instructions in user space, by valgrind's callgrind: where a virtual machine hides the processor's counters.
//!
//! The server runs once, and callgrind is told between the loads to write down what it has counted since the last time. A
//! server runs some fifty times slower under it, so that more is ready at each turn than usual: these are the instructions of
//! a server that is kept busy.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use super::Counter;
use crate::child::ServerProcess;
use crate::figures::Figure;
use crate::load;
use crate::modes::{Kind, Mode};
use crate::servers::Server;

pub(super) struct Callgrind;

impl Counter for Callgrind {
    fn name(&self) -> &'static str {
        "callgrind"
    }

    fn figure(&self) -> Figure {
        Figure::Instructions
    }

    fn works(&self) -> bool {
        let files = Files::new();
        let words = files.command();
        let output = Command::new(&words[0]).args(&words[1..]).arg("true").output();
        output.is_ok_and(|output| output.status.success()) && total(&files.first).is_ok()
    }

    /// Where the bytes are many it counts how they are copied, and an interpreter's instructions tell nothing.
    fn is_for(&self, mode: &Mode, server: &Server) -> bool {
        let is_for_mode = match mode.kind {
            Kind::Echo { connections, bytes, .. } => connections > 1 && bytes < 1_000,
            Kind::Bursts { .. } | Kind::Short { .. } | Kind::Udp { .. } | Kind::Http { .. } => true,
            Kind::Idle { .. } | Kind::Files { .. } => false,
        };
        is_for_mode && !server.is_interpreted()
    }

    fn per_request(&self, server: &Server, mode: &Mode, divisor: u64) -> io::Result<f64> {
        let files = Files::new();
        let mut process = ServerProcess::start(server, mode, &files.command())?;
        let kind = mode.kind.divided(divisor * DIVISOR);
        let mut counts = Vec::new();
        // The first warms the server up.
        for (number, kind) in [kind, kind, kind.doubled()].into_iter().enumerate() {
            let requests = load::run(kind, &mut process)?.requests;
            counts.push((files.dump(&process, number + 1)?, requests as f64));
        }
        let ((count, requests), (count_of_twice, requests_of_twice)) = (counts[1], counts[2]);
        Ok((count_of_twice - count) / (requests_of_twice - requests))
    }
}

/// The files that callgrind writes: the first at the end, and one with a number for each time it was told to. Removed when this
/// is dropped.
struct Files {
    first: PathBuf,
}

impl Files {
    fn new() -> Files {
        Files { first: env::temp_dir().join(format!("quoit-benches-{}-callgrind", process::id())) }
    }

    /// What stands before the command of the server, which may become another program.
    fn command(&self) -> Vec<String> {
        let file = format!("--callgrind-out-file={}", self.first.display());
        vec!["valgrind".to_owned(), "--tool=callgrind".to_owned(), "--trace-children=yes".to_owned(), file]
    }

    /// The instructions since the last time.
    fn dump(&self, process: &ServerProcess, number: usize) -> io::Result<f64> {
        // It reaches the server even while that waits in a system call.
        let output = Command::new("vgdb").arg(format!("--pid={}", process.process())).arg("dump").output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("vgdb: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        total(&self.numbered(number))
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = OsString::from(&self.first);
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Those that there are.
        let _ = fs::remove_file(&self.first);
        for number in 1..=LOADS {
            let _ = fs::remove_file(self.numbered(number));
        }
    }
}

/// The sum that callgrind wrote.
fn total(path: &Path) -> io::Result<f64> {
    let text = fs::read_to_string(path)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("callgrind counted nothing"))
}

/// What the loads are divided by, beside what all are.
const DIVISOR: u64 = 15;
const LOADS: usize = 3;
