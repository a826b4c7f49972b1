//! The process of a server, as seen from the load.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::modes::Mode;
use crate::servers::Server;

/// A server that listens. It ends when this is dropped.
pub(crate) struct ServerProcess {
    /// The server, or the tool that runs it.
    child: Child,
    /// The server itself.
    process: Pid,
    pub(crate) address: SocketAddr,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl ServerProcess {
    /// Starts a server, under a tool if `tool` is not empty.
    pub(crate) fn start(server: &Server, mode: &Mode, tool: &[String]) -> io::Result<ServerProcess> {
        let own = env::current_exe()?;
        let mut command = match tool {
            [] => Command::new(own),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                // Some tell how the server has ended.
                command.args(arguments).arg(own).stderr(Stdio::null());
                command
            }
        };
        let mut child = command
            .args(["serve", mode.service().name(), server.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut answers = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        match announced(&mut answers) {
            Ok((address, process)) => Ok(ServerProcess { child, process, address, orders, answers }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub(crate) fn process(&self) -> Pid {
        self.process
    }

    /// Gives a server that has no clients a line, and awaits its answer.
    pub(crate) fn ask(&mut self, order: &str) -> io::Result<String> {
        writeln!(self.orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim() {
            "" => Err(io::Error::other("the server ended")),
            answer => Ok(answer.to_owned()),
        }
    }

    /// The CPU time that its threads have used, in user space and in the kernel.
    pub(crate) fn cpu_us(&self) -> io::Result<f64> {
        let mut nanoseconds = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        }
        Ok(nanoseconds / 1e3)
    }

    /// Its memory that is in RAM.
    pub(crate) fn rss_bytes(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        kib.map(|kib: f64| kib * 1024.0).ok_or_else(|| io::Error::other("no VmRSS: the server is gone"))
    }

    /// Asks the server to end, so that its tool reports, and waits for that.
    pub(crate) fn terminate(mut self) -> io::Result<()> {
        kill(self.process, Signal::SIGTERM)?;
        for _ in 0..TERMINATE_TRIES {
            thread::sleep(TERMINATE_PAUSE);
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not end"))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // A tool may outlive its server for a moment, but not for long.
            let _ = kill(self.process, Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The line that a server prints when it listens.
fn announced(answers: &mut impl BufRead) -> io::Result<(SocketAddr, Pid)> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let (address, process) = line.trim().split_once(' ').ok_or_else(|| io::Error::other("the server did not start"))?;
    Ok((address.parse().map_err(io::Error::other)?, Pid::from_raw(process.parse().map_err(io::Error::other)?)))
}

/// How often, and how long, a server is waited for.
const TERMINATE_TRIES: usize = 200;
const TERMINATE_PAUSE: Duration = Duration::from_millis(20);
