//! `cargo run --release -p quoit-benches -- compare`: quoit beside its peers, on this machine, in one run.
//!
//! `options` is the command line, `modes` the kinds of load, `servers` who is compared, `compare` the run. Each server is a
//! process of its own (`child`) on one core, and the load (`load`) has another. `figures` keeps what was measured,
//! `report`, `losses` and `chart` write it down. docs/benchmarks.md tells what is measured, and how.

mod chart;
mod child;
mod compare;
mod counting;
mod figures;
mod load;
mod losses;
mod machine;
mod modes;
mod options;
mod report;
mod servers;

use std::env;
use std::error::Error;
use std::io;
use std::process::ExitCode;

use options::{Options, usage};
use servers::Service;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["compare", ref rest @ ..] => Options::parse(rest).and_then(|_| machine::run_in_own_session(rest)),
        // What `compare` starts.
        ["session", ref rest @ ..] => Options::parse(rest).and_then(|options| compare::run(&options)),
        ["serve", service, name] => serve(service, name).map_err(Into::into),
        _ => Err(usage().into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: Box<dyn Error> = error;
            eprintln!("quoit-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The process of a server.
fn serve(service: &str, name: &str) -> io::Result<()> {
    machine::become_server()?;
    let service = Service::ALL.into_iter().find(|one| one.name() == service);
    let server = servers::SERVERS.iter().find(|server| server.name == name);
    let main = server.zip(service).and_then(|(server, service)| server.main(service));
    main.ok_or(io::ErrorKind::NotFound)?()
}
