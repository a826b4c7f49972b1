//! The examples that end by themselves are run, and say what they should; the servers among them are asked for something.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// The folder of the examples, as they are now: `cargo test --tests` builds none. It takes a moment where they are fresh,
/// which they are under `cargo test --workspace`: another choice of packages has other features, and builds of its own.
fn examples() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = env::current_exe().expect("a test has a file");
        let profile = test.ancestors().nth(2).expect("target/debug/deps/examples-0123");
        let target = profile.parent().expect("target/debug");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--workspace", "--examples", "--target-dir"]).arg(target);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "the examples do not build: {status}");
        profile.join("examples")
    });
    &FOLDER
}

/// Runs an example to its end, which has to be a good one, and compares what it prints.
#[track_caller]
fn assert_prints(name: &str, expected: &str) {
    let output = Command::new(examples().join(name)).output().expect("it can be run");
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{printed}\n{errors}", output.status);
    assert_eq!(printed.trim_end(), expected.trim(), "{errors}");
}

#[test]
fn gather() {
    let expected = "
a: 2! = 2
b: 2! = 2
c: 2! = 2
b: 3! = 6
c: 3! = 6
c: 4! = 24
joined: 2, 6, 24
tried: Err(\"7 is odd\")
tasks: 14";
    assert_prints("gather", expected);
}

#[test]
fn wait_for() {
    let expected = "
an hour: timed out: the deadline passed first
nothing: Err(TimedOut)
something: Some(\"late, but here\")";
    assert_prints("wait_for", expected);
}

#[test]
fn schedule_and_cancel() {
    let expected = "
ticking: tick
ticking: dropped
ticking: None
aborted: is_cancelled = true
scoped: is_finished = false
scoped: dropped
callback: 42";
    assert_prints("schedule_and_cancel", expected);
}

#[test]
fn generator() {
    let expected = "
[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
3
2
1
lift-off
10 makes Some(10.0)
20 makes Some(15.0)
60 makes Some(30.0)";
    assert_prints("generator", expected);
}

#[test]
fn ping_pong() {
    let expected = "
ping 1: pong
ping 2: pong
ping 3: pong
ping 4: no answer
ping: nobody is there any more
4 strokes";
    assert_prints("ping_pong", expected);
}

#[test]
fn teardown() {
    let expected = "
success: closed after 2 requests, 3 bytes
success: Ok(3)
failure: closed after 2 requests, error: an empty request
failure: Err(\"an empty request\")
panic: closed after 1 requests, panicked
panic: is_panic = true
dropped: Err(Elapsed(()))
dropped: closed after 1 requests, nobody waits any more";
    assert_prints("teardown", expected);
}

#[test]
fn wait_group() {
    let expected = "
quick: done
joined quick, 2 left
middle: done
joined middle, 1 left
slow: done
joined slow, 0 left
one: done
two: done
three: done
joined [\"one\", \"two\", \"three\"]
first: done
endless: cancelled
joined \"first\"
timed out: true
Dropped
left behind: cancelled";
    assert_prints("wait_group", expected);
}

#[test]
fn client() {
    let expected = "
nothing asked, nothing told: true
Err(TimedOut), and a buffer for 100 bytes is back
5 bytes: hello
stopped midway: true
cancelled: true
the server has ended";
    assert_prints("client", expected);
}

/// An example that serves until it is killed.
struct Server {
    process: Child,
    /// Where it goes on to say things.
    _stdout: BufReader<ChildStdout>,
    /// What it says that it listens on.
    address: String,
}

impl Server {
    fn start(name: &str, address: &str) -> Self {
        let mut command = Command::new(examples().join(name));
        let mut process = command.arg(address).stdout(Stdio::piped()).spawn().expect("it can be run");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("it says where it listens");
        let address = line.trim_end().strip_prefix("listening on ").expect("it says where it listens").to_owned();
        Self { process, _stdout: stdout, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn udp_echo() {
    let server = Server::start("udp_echo", "127.0.0.1:0");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(&server.address).unwrap();
    for datagram in [&b"hello"[..], b"", b"again"] {
        client.send(datagram).unwrap();
        let mut buf = [0; 100];
        let count = client.recv(&mut buf).unwrap();
        assert_eq!(&buf[..count], datagram);
    }
}

#[test]
fn unix_echo() {
    let path = env::temp_dir().join(format!("quoit-unix-echo-{}.sock", std::process::id()));
    let server = Server::start("unix_echo", path.to_str().unwrap());
    let mut client = UnixStream::connect(&server.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"hello");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn chat() {
    let server = Server::start("chat", "127.0.0.1:0");
    let enter = |name: &str| {
        let client = TcpStream::connect(&server.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(&client, "{name}").unwrap();
        client
    };
    let line = |reader: &mut BufReader<&TcpStream>| {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    };
    let (ann, bob) = (enter("ann"), enter("bob"));
    let (mut to_ann, mut to_bob) = (BufReader::new(&ann), BufReader::new(&bob));
    // Whoever is there first hears of the other one.
    for reader in [&mut to_ann, &mut to_bob] {
        assert_eq!(line(reader), "your name? * you are in the lobby\n");
    }
    writeln!(&ann, "hello bob").unwrap();
    let mut heard = line(&mut to_bob);
    if heard == "* ann is here\n" {
        heard = line(&mut to_bob);
    }
    assert_eq!(heard, "ann: hello bob\n");
    // Not to who said it.
    writeln!(&bob, "hello ann").unwrap();
    let mut heard = line(&mut to_ann);
    if heard == "* bob is here\n" {
        heard = line(&mut to_ann);
    }
    assert_eq!(heard, "bob: hello ann\n");
    // Other rooms hear nothing.
    writeln!(&bob, "/join den").unwrap();
    assert_eq!(line(&mut to_ann), "* bob goes to den\n");
    assert_eq!(line(&mut to_bob), "* you are in den\n");
    writeln!(&ann, "still there?").unwrap();
    writeln!(&ann, "/join den").unwrap();
    assert_eq!(line(&mut to_bob), "* ann is here\n");
}

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
