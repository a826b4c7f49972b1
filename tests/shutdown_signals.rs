//! The token for an orderly end: the first signal cancels it, the second ends the process.
#![allow(unsafe_code, reason = "the test sends signals to its child")]

use std::env;
use std::io::{BufRead as _, BufReader, Lines};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;

use quoit_testkit::QuarantineAlloc;

#[global_allocator]
static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

/// Runs the test of this name in a child, of which the parent reads standard error; `None` in the child itself.
fn child_of(name: &str) -> Option<(Child, Lines<BufReader<ChildStderr>>)> {
    if env::var_os("QUOIT_TEST_CHILD").is_some() {
        return None;
    }
    let mut command = Command::new(env::current_exe().expect("a test has a file"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env("QUOIT_TEST_CHILD", "1");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the test can run itself");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    Some((child, lines))
}

fn kill(child: &Child, signal: i32) {
    // SAFETY: takes numbers; the child has not been waited for, so the number is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn the_first_signal_cancels_the_token_in_every_runtime_and_the_program_ends_well() {
    let name = "the_first_signal_cancels_the_token_in_every_runtime_and_the_program_ends_well";
    let Some((mut child, mut lines)) = child_of(name) else {
        let token = quoit::signal::shutdown();
        assert!(!token.is_cancelled());
        let threads: Vec<_> = (0..3)
            .map(|_| thread::spawn(|| quoit::block_on(async { quoit::signal::shutdown().cancelled().await })))
            .collect();
        eprintln!("ready");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(token.is_cancelled() && quoit::signal::shutdown().is_cancelled());
        eprintln!("ended");
        return;
    };
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill(&child, libc::SIGTERM);
    assert_eq!(lines.next().unwrap().unwrap(), "ended");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_second_signal_ends_a_program_that_is_stuck() {
    let name = "the_second_signal_ends_a_program_that_is_stuck";
    let Some((mut child, mut lines)) = child_of(name) else {
        return quoit::block_on(async {
            let token = quoit::signal::shutdown();
            eprintln!("ready");
            token.cancelled().await;
            eprintln!("stuck");
            loop {
                thread::park();
            }
        });
    };
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill(&child, libc::SIGINT);
    assert_eq!(lines.next().unwrap().unwrap(), "stuck");
    kill(&child, libc::SIGTERM);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
}
