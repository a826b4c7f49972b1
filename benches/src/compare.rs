//! The run: every server is checked, then in each mode all of them take their turns, for several rounds.
//!
//! Each measurement has a fresh process, warmed by a tenth of the load. What fails is told and left out, so that one server
//! does not spoil the rest of a long run; but then the run as a whole has failed.

use std::error::Error;
use std::io;
use std::time::Instant;

use crate::child::ServerProcess;
use crate::counting::{self, Counter};
use crate::figures::{Figure, Figures};
use crate::load::{self, IdleConnections};
use crate::machine;
use crate::modes::{Kind, Mode};
use crate::options::Options;
use crate::report;
use crate::servers::{NotReady, Server, Service, blocks};

/// A run in progress.
struct Run<'a> {
    options: &'a Options,
    counters: Vec<&'static dyn Counter>,
    begun: Instant,
    figures: Figures,
    failures: Vec<String>,
    /// Servers that are not installed, and why.
    absent: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    machine::become_load()?;
    let description = machine::description(&options.command);
    eprintln!("{description}");
    let counters = counting::counters();
    let counted: Vec<_> =
        counters.iter().map(|counter| format!("{} by {}", counter.figure().title(), counter.name())).collect();
    let counted = if counted.is_empty() { "nothing".to_owned() } else { counted.join(", ") };
    eprintln!("counted: {counted}");
    blocks::write()?;
    let begun = Instant::now();
    let mut run =
        Run { options, counters, begun, figures: Figures::default(), failures: Vec::new(), absent: Vec::new() };
    let correct = run.check();
    for (index, mode) in options.modes.iter().enumerate() {
        let servers: Vec<_> = correct.iter().copied().filter(|server| mode.is_served_by(server)).collect();
        let (minutes, seconds) = (run.begun.elapsed().as_secs() / 60, run.begun.elapsed().as_secs() % 60);
        let number = index + 1;
        eprintln!("[{minutes}:{seconds:02}] {number}/{} {}: {}", options.modes.len(), mode.name, mode.title);
        for round in 0..options.rounds {
            for server in &servers {
                run.take_turn(mode, server, round);
            }
        }
        run.count(mode, &servers);
    }
    let minutes = run.begun.elapsed().as_secs_f64() / 60.0;
    let absent = if run.absent.is_empty() { "none".to_owned() } else { run.absent.join("; ") };
    let guests: Vec<_> = correct.iter().filter_map(|server| server.program?.version()).collect();
    let guests = if guests.is_empty() { String::new() } else { format!("\n- {}", guests.join(", ")) };
    let description = format!(
        "{description}{guests}\n- counted: {counted}\n- not there: {absent}\n- it took {minutes:.0} minutes, in {} rounds",
        options.rounds,
    );
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
        correct.retain(|server| match server.program.map_or(Ok(()), |program| program.prepare()) {
            Err(NotReady::Absent(what)) => {
                eprintln!("left out {}: {what}", server.name);
                self.absent.push(format!("{} ({what})", server.name));
                false
            }
            Err(NotReady::Failed(error)) => {
                eprintln!("left out {}: {error}", server.name);
                self.failures.push(format!("{}: {error}", server.name));
                false
            }
            Ok(()) => true,
        });
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

    /// What the tools count, which is the same each time: once is enough.
    fn count(&mut self, mode: &Mode, servers: &[&Server]) {
        for counter in self.counters.clone() {
            for server in servers.iter().filter(|server| counter.is_for(mode, server)) {
                let (name, figure) = (counter.name(), counter.figure());
                match counter.per_request(server, mode, self.options.divisor) {
                    Ok(value) => {
                        eprintln!("  {name} {:<12} {} {}", server.name, figure.text(value), figure.title());
                        self.figures.add(mode.name, server.name, 0, figure, value);
                    }
                    Err(error) => self.fail(mode, server, &format!("under {name}: {error}")),
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

/// Whether a server is correct in the services that will be measured.
fn check(server: &Server, options: &Options) -> io::Result<()> {
    for service in Service::ALL {
        let mut modes = options.modes.iter().filter(|mode| mode.service() == service && mode.is_served_by(server));
        if let Some(mode) = modes.next() {
            let mut process = ServerProcess::start(server, mode, &[])?;
            load::check(service, &mut process)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", service.name())))?;
        }
    }
    Ok(())
}

fn measure(server: &Server, mode: &Mode, divisor: u64) -> io::Result<Vec<(Figure, f64)>> {
    let mut process = ServerProcess::start(server, mode, &[])?;
    let kind = mode.kind.divided(divisor);
    if let Kind::Idle { connections, bytes } = kind {
        return measure_idle(&process, connections, bytes);
    }
    load::run(kind.divided(10), &mut process)?;
    let before = (process.cpu_us()?, machine::own_cpu_us()?);
    let done = load::run(kind, &mut process)?;
    let (server, load) = (process.cpu_us()? - before.0, machine::own_cpu_us()? - before.1);
    let percent = |us: f64| us / done.elapsed.as_micros() as f64 * 100.0;
    let requests = done.requests as f64;
    let latencies = [(Figure::P50Us, 500), (Figure::P99Us, 990), (Figure::P999Us, 999)];
    let latencies = latencies.into_iter().filter_map(|(figure, part)| Some((figure, done.latency_us(part)?)));
    let mut values = vec![(Figure::CpuUs, server / requests), (Figure::Rate, requests / done.elapsed.as_secs_f64())];
    values.extend(latencies);
    values.push((Figure::ServerBusy, percent(server)));
    if kind.has_clients() {
        values.push((Figure::LoadBusy, percent(load)));
    }
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
