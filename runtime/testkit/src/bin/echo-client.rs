//! `echo-client`: puts a load on an echo server and compares each byte. Exit code 1 on any difference or error, 2 on
//! wrong usage.

use std::env;
use std::error::Error;
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use quoit_testkit::EchoLoad;

const USAGE: &str = "\
usage: echo-client ADDRESS [OPTION VALUE]..

  ADDRESS                  the server, for example 127.0.0.1:7000 or localhost:7000
  --connections N          connections, all at once (1000)
  --messages N             messages on each connection (1000)
  --min BYTES              size of the smallest message (1)
  --max BYTES              size of the largest message (262144)
  --seed N                 what sizes and bytes are made of (1)
  --threads N              threads that share the connections (1)
  --idle-timeout SECONDS   a connection on which nothing moves for so long is an error (30)";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let load = match parse(&arguments) {
        Ok(load) => load,
        Err(error) => {
            eprintln!("echo-client: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match load.run() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("echo-client: {error} (seed {})", load.seed);
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<EchoLoad, Box<dyn Error>> {
    let (address, options) = arguments.split_first().ok_or("the address is missing")?;
    if address.starts_with('-') {
        return Err("the address comes first".into());
    }
    let resolved = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?;
    let mut load = EchoLoad::new(resolved.into_iter().next().ok_or_else(|| format!("{address}: no such host"))?);
    for option in options.chunks(2) {
        let [name, value] = option else {
            return Err(format!("{} needs a value", option[0]).into());
        };
        match name.as_str() {
            "--connections" => load.connections = number(name, value)?,
            "--messages" => load.messages_per_connection = number(name, value)?,
            "--min" => load.min_bytes = number(name, value)?,
            "--max" => load.max_bytes = number(name, value)?,
            "--seed" => load.seed = number(name, value)?,
            "--threads" => load.threads = number(name, value)?,
            "--idle-timeout" => load.idle_timeout = Duration::from_secs(number(name, value)?),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(load)
}

fn number<N: FromStr<Err: Error>>(name: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|error| format!("{name} {value}: {error}"))
}
