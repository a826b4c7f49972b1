//! The run: every server is checked, then in each mode all of them take their turns, for several rounds.
//!
//! Each measurement has a fresh process, warmed by a tenth of the load. What fails is told and left out, so that one server
//! does not spoil the rest of a long run; but then the run as a whole has failed.

use std::error::Error;
use std::io;

use crate::child::ServerProcess;
use crate::counting::{self, Tool};
use crate::figures::{Figure, Figures};
use crate::load::{self, IdleConnections};
use crate::machine;
use crate::modes::{Kind, MODES, Mode};
use crate::options::Options;
use crate::report;
use crate::servers::Server;

/// A run in progress.
struct Run<'a> {
    options: &'a Options,
    tools: Vec<&'static Tool>,
    figures: Figures,
    failures: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    machine::become_load()?;
    let description = machine::description(&options.command);
    eprintln!("{description}");
    let tools = counting::tools();
    eprintln!("counted by: {}", tools.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", "));
    let mut run = Run { options, tools, figures: Figures::default(), failures: Vec::new() };
    let correct = run.check();
    for (index, mode) in options.modes.iter().enumerate() {
        let servers: Vec<_> = correct.iter().copied().filter(|server| mode.is_served_by(server)).collect();
        eprintln!("{}/{} {}: {}", index + 1, options.modes.len(), mode.name, mode.title);
        for round in 0..options.rounds {
            for server in &servers {
                run.take_turn(mode, server, round);
            }
        }
        if !matches!(mode.kind, Kind::Idle { .. }) {
            run.count(mode, &servers);
        }
    }
    let report = report::Report { options, description, figures: &run.figures, failures: &run.failures };
    println!("{}", report.markdown());
    if options.write {
        report.write()?;
    }
    if run.failures.is_empty() { Ok(()) } else { Err(format!("{} failures", run.failures.len()).into()) }
}

impl Run<'_> {
    /// The servers that give back what they get.
    fn check(&mut self) -> Vec<&'static Server> {
        let mut correct = self.options.servers.clone();
        correct.retain(|server| {
            let checked = check(server, self.options);
            eprintln!("check {}: {}", server.name, if checked.is_ok() { "every byte came back" } else { "FAILED" });
            checked.map_err(|error| self.failures.push(format!("{}: {error}", server.name))).is_ok()
        });
        correct
    }

    /// One measurement.
    fn take_turn(&mut self, mode: &Mode, server: &Server, round: usize) {
        match measure(server, mode, self.options.divisor) {
            Ok(values) => {
                let texts: Vec<_> = values
                    .iter()
                    .map(|(figure, value)| format!("{} {}", figure.text(*value), figure.title()))
                    .collect();
                let rounds = self.options.rounds;
                eprintln!("  round {}/{rounds} {:<12} {}", round + 1, server.name, texts.join(", "));
                for (figure, value) in values {
                    self.figures.add(mode.name, server.name, round, figure, value);
                }
            }
            Err(error) => self.fail(mode, server, &error),
        }
    }

    /// What the tools count. Instructions depend on how the server was compiled, not on the machine: once is enough.
    fn count(&mut self, mode: &Mode, servers: &[&Server]) {
        for tool in self.tools.clone() {
            for server in servers {
                match tool.per_request(server, mode, self.options.divisor) {
                    Ok(value) => {
                        eprintln!(
                            "  {} {:<12} {} {}",
                            tool.name,
                            server.name,
                            tool.figure.text(value),
                            tool.figure.title()
                        );
                        self.figures.add(mode.name, server.name, 0, tool.figure, value);
                    }
                    Err(error) => self.fail(mode, server, &format!("under {}: {error}", tool.name)),
                }
            }
        }
    }

    fn fail(&mut self, mode: &Mode, server: &Server, error: &dyn std::fmt::Display) {
        let failure = format!("{}, {}: {error}", mode.name, server.name);
        eprintln!("  FAILED {failure}");
        self.failures.push(failure);
    }
}

/// Whether a server is correct in the transports that will be measured.
fn check(server: &Server, options: &Options) -> io::Result<()> {
    for transport in ["tcp", "udp"] {
        let Some(mode) = MODES.iter().find(|mode| mode.transport() == transport) else { continue };
        let is_measured = options.modes.iter().any(|mode| mode.transport() == transport);
        if is_measured && mode.is_served_by(server) {
            let process = ServerProcess::start(server, mode, &[])?;
            if transport == "udp" {
                load::check_datagrams(process.address)?;
            } else {
                load::check_streams(process.address)?;
            }
        }
    }
    Ok(())
}

fn measure(server: &Server, mode: &Mode, divisor: u64) -> io::Result<Vec<(Figure, f64)>> {
    let process = ServerProcess::start(server, mode, &[])?;
    let kind = mode.kind.divided(divisor);
    if let Kind::Idle { connections, bytes } = kind {
        return measure_idle(&process, connections, bytes);
    }
    load::run(kind.divided(10), process.address)?;
    let before = process.cpu_us()?;
    let done = load::run(kind, process.address)?;
    let requests = done.requests as f64;
    let latencies = [(Figure::P50Us, 500), (Figure::P99Us, 990), (Figure::P999Us, 999)];
    let latencies = latencies.into_iter().filter_map(|(figure, part)| Some((figure, done.latency_us(part)?)));
    let mut values = vec![
        (Figure::CpuUs, (process.cpu_us()? - before) / requests),
        (Figure::Rate, requests / done.elapsed.as_secs_f64()),
    ];
    values.extend(latencies);
    Ok(values)
}

/// The memory that connections take, beside what the server has for the first ones.
fn measure_idle(process: &ServerProcess, connections: u64, bytes: usize) -> io::Result<Vec<(Figure, f64)>> {
    let mut idle = IdleConnections::new(process.address, bytes);
    // So many messages that each buffer of a pool has been touched: connections that are idle share them.
    idle.open(16)?;
    idle.talk(1_024)?;
    let before = process.rss_bytes()?;
    idle.open(connections)?;
    Ok(vec![(Figure::ConnectionBytes, (process.rss_bytes()? - before) / connections as f64)])
}
