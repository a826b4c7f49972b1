//! `cargo run --release -p quoit-benches -- compare`: the echo of quoit beside that of tokio, on this machine, in one run.
//!
//! Each server is a process of its own on one thread, the same program but for the runtime. The load is a thread of plain
//! epoll that verifies every byte. The servers take turns for several rounds, since the machine may be busy with other things:
//! what counts is the ratio inside a round.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use quoit_testkit::EchoLoad;

/// The runtimes compared; the first is what the others are divided by.
const SERVERS: [&str; 2] = ["tokio", "quoit"];
const ROUNDS: usize = 5;

/// One kind of load.
struct Mode {
    connections: usize,
    messages: u64,
    bytes: u64,
}

const MODES: [Mode; 4] = [
    Mode { connections: 1, messages: 20_000, bytes: 106 },
    Mode { connections: 64, messages: 1_500, bytes: 106 },
    Mode { connections: 1_000, messages: 100, bytes: 106 },
    Mode { connections: 64, messages: 150, bytes: 64 << 10 },
];

/// What a server took for one message.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU time of the server, in microseconds.
    cpu_us: f64,
    /// Wall-clock time of the whole load, in microseconds.
    wall_us: f64,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["compare"] => compare(),
        ["serve", "quoit"] => serve::quoit(),
        ["serve", "tokio"] => serve::tokio(),
        _ => {
            eprintln!("usage: quoit-benches compare");
            std::process::exit(2)
        }
    }
}

fn compare() -> io::Result<()> {
    println!("| connections | bytes | server | CPU us/message | ratio | messages/s | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for mode in &MODES {
        let mut rounds: Vec<Vec<Cost>> = Vec::new();
        for round in 1..=ROUNDS {
            eprintln!("{} connections, {} bytes: round {round} of {ROUNDS}", mode.connections, mode.bytes);
            rounds.push(SERVERS.iter().map(|server| measure(server, mode)).collect::<io::Result<_>>()?);
        }
        for (index, server) in SERVERS.iter().enumerate() {
            let over_rounds =
                |value: &dyn Fn(&[Cost]) -> f64| median(rounds.iter().map(|round| value(round)).collect());
            println!(
                "| {} | {} | {server} | {:.2} | {:.2} | {:.0} | {:.2} |",
                mode.connections,
                mode.bytes,
                over_rounds(&|round| round[index].cpu_us),
                over_rounds(&|round| round[index].cpu_us / round[0].cpu_us),
                1e6 / over_rounds(&|round| round[index].wall_us),
                over_rounds(&|round| round[0].wall_us / round[index].wall_us),
            );
        }
    }
    Ok(())
}

fn measure(server: &str, mode: &Mode) -> io::Result<Cost> {
    let mut child = Command::new(env::current_exe()?).args(["serve", server]).stdout(Stdio::piped()).spawn()?;
    let result = load(&mut child, mode);
    child.kill()?;
    child.wait()?;
    result
}

fn load(child: &mut Child, mode: &Mode) -> io::Result<Cost> {
    let address = address_of(child.stdout.take())?;
    let mut load = EchoLoad::new(address);
    (load.connections, load.min_bytes, load.max_bytes) = (mode.connections, mode.bytes, mode.bytes);
    // Warm, then measured.
    load.messages_per_connection = mode.messages / 10;
    load.run()?;
    load.messages_per_connection = mode.messages;
    let before = cpu_us(child.id())?;
    let report = load.run()?;
    let messages = report.messages as f64;
    Ok(Cost {
        cpu_us: (cpu_us(child.id())? - before) / messages,
        wall_us: report.elapsed.as_secs_f64() * 1e6 / messages,
    })
}

/// The line that a server prints when it listens.
fn address_of(stdout: Option<ChildStdout>) -> io::Result<SocketAddr> {
    let mut line = String::new();
    BufReader::new(stdout.ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
    line.trim().parse().map_err(io::Error::other)
}

/// The CPU time that a process has used, in user space and in the kernel.
fn cpu_us(process: u32) -> io::Result<f64> {
    let nanoseconds = fs::read_to_string(format!("/proc/{process}/schedstat"))?;
    let nanoseconds: f64 = nanoseconds.split_whitespace().next().unwrap_or("0").parse().map_err(io::Error::other)?;
    Ok(nanoseconds / 1e3)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn listening_on(address: SocketAddr) -> io::Result<()> {
    println!("{address}");
    io::stdout().flush()
}

/// The same server, twice.
mod serve {
    use super::{io, listening_on};

    pub(super) fn quoit() -> io::Result<()> {
        quoit::block_on(async {
            let listener = quoit::net::TcpListener::bind("127.0.0.1:0").await?;
            listening_on(listener.local_addr()?)?;
            loop {
                let (stream, _) = listener.accept().await?;
                drop(quoit::spawn(async move {
                    while let Some(received) = stream.recv().await? {
                        stream.write_all(received).await.0?;
                    }
                    io::Result::Ok(())
                }));
            }
        })
    }

    pub(super) fn tokio() -> io::Result<()> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            listening_on(listener.local_addr()?)?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                tokio::spawn(async move {
                    let mut buf = vec![0; 8 << 10];
                    loop {
                        let bytes = stream.read(&mut buf).await?;
                        if bytes == 0 {
                            return io::Result::Ok(());
                        }
                        stream.write_all(&buf[..bytes]).await?;
                    }
                });
            }
        })
    }
}
