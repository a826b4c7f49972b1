//! The machine: cores, the scheduler's groups, limits; and the lines that describe it.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::process::Command;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::time::TimeValLike as _;
use nix::unistd::{Pid, setsid};

/// Runs `compare` as a child in a session of its own: the scheduler weighs sessions against each other, and a leader of a
/// process group cannot leave its own.
pub(crate) fn run_in_own_session(words: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new(env::current_exe()?).arg("session").args(words).status()?;
    if status.success() { Ok(()) } else { Err(format!("the comparison ended with {status}").into()) }
}

/// Begins the comparison: a session of its own, above other sessions if that is allowed; all descriptors; the load's core.
pub(crate) fn become_load() -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    setsid()?;
    if let Err(error) = fs::write("/proc/self/autogroup", "-15") {
        eprintln!("not raised above the rest of the machine: /proc/self/autogroup: {error}");
    }
    raise_open_files_limit()?;
    if !pin(LOAD_CORE)? {
        eprintln!("servers and load share one core");
    }
    Ok(())
}

/// Begins a server: it ends with the load, and has a core of its own.
pub(crate) fn become_server() -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    raise_open_files_limit()?;
    pin(SERVER_CORE).map(drop)
}

/// What was compared where: lines of Markdown.
pub(crate) fn description(command: &str) -> String {
    let first_line = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or("unknown").to_owned()
    };
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = file("/proc/cpuinfo");
    let models: Vec<&str> =
        cpu.lines().filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).collect();
    let load = file("/proc/loadavg");
    let peers = ["tokio", "monoio", "compio", "glommio", "hyper", "io-uring"];
    let versions: Vec<String> = peers.iter().map(|name| format!("{name} {}", version(name))).collect();
    [
        format!("- command: `cargo run --release -p quoit-benches -- {command}`"),
        format!(
            "- machine: {} x {}, Linux {}",
            models.len(),
            models.first().unwrap_or(&"CPU"),
            file("/proc/sys/kernel/osrelease").trim()
        ),
        format!("- load average when it began: {}", load.split_whitespace().next().unwrap_or("unknown")),
        format!(
            "- quoit {} ({}), {}",
            env!("CARGO_PKG_VERSION"),
            first_line("git", &["describe", "--always", "--dirty"]),
            first_line("rustc", &["--version"])
        ),
        format!("- {}", versions.join(", ")),
    ]
    .join("\n")
}

/// The CPU time that this process has used.
pub(crate) fn own_cpu_us() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64)
}

/// The version of a package that this program was built with.
fn version(name: &str) -> &'static str {
    let mut lines = include_str!("../../Cargo.lock").lines();
    let header = format!("name = \"{name}\"");
    let mut found = None;
    // Of several versions ours is the last: they are in order.
    while lines.by_ref().any(|line| line == header) {
        found = lines.next();
    }
    found.and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).unwrap_or("unknown")
}

/// Leaves this process one of the first two cores, if there are two. Whether it was pinned.
fn pin(core: usize) -> io::Result<bool> {
    let only = |cores: &[usize]| -> io::Result<()> {
        let mut set = CpuSet::new();
        cores.iter().try_for_each(|core| set.set(*core))?;
        Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
    };
    // A server inherits the core of the load, so it asks for both first.
    let both = [SERVER_CORE, LOAD_CORE];
    if only(&both).is_err() {
        return Ok(false);
    }
    let set = sched_getaffinity(Pid::from_raw(0))?;
    let is_pair = both.iter().all(|core| set.is_set(*core).unwrap_or(false));
    if is_pair {
        only(&[core])?;
    }
    Ok(is_pair)
}

fn raise_open_files_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
