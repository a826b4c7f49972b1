//! Child processes: how they run, how they end, and that none is left as a zombie.

mod support;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::task::Poll;
use std::thread;

use quoit_runtime::io::{AsyncReadExt as _, pipe};
use quoit_runtime::process::{Child, Command};
use quoit_runtime::{metrics, spawn, task};
use support::{alone, end, end_idle, runtime, turns_until};

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// Whether a process of this number is there, be it a zombie.
fn is_there(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

/// A child that runs until its standard input ends.
fn patient() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn status_and_output_tell_how_it_went() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        assert!(Command::new("true").status().await.unwrap().success());
        assert_eq!(Command::new("false").status().await.unwrap().code(), Some(1));
        assert_eq!(sh("kill -TERM $$").status().await.unwrap().signal(), Some(15));
        let mut command = sh("echo out; echo err >&2; pwd; echo $A$B; exit 3");
        command.env("A", "1").envs([("B", "2")]).current_dir("/");
        // As often as one likes, whatever the streams were.
        for _ in 0..2 {
            let output = command.stdout(Stdio::null()).output().await.unwrap();
            let text = (output.stdout.as_slice(), output.stderr.as_slice());
            assert_eq!((output.status.code(), text), (Some(3), (&b"out\n/\n12\n"[..], &b"err\n"[..])));
        }
        assert_eq!(Command::new("/no/such/program").status().await.unwrap_err().kind(), ErrorKind::NotFound);
        turns_until(|| metrics().operations == 0 && metrics().tasks == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn much_output_on_both_streams_and_much_input_do_not_get_stuck() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut command = sh("cat; head -c 300000 /dev/zero >&2");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let feeding = spawn(async move { stdin.write_all(vec![7; 1_000_000]).await.0 });
        let output = child.wait_with_output().await.unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_000, 300_000));
        assert!(output.stdout.iter().all(|byte| *byte == 7) && output.status.success());
        feeding.await.unwrap().unwrap();
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn waiting_closes_standard_input_and_may_be_dropped_and_repeated() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut child = patient();
        let id = child.id().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        let stdin = child.stdin.take();
        for _ in 0..3 {
            let mut wait = pin!(child.wait());
            assert!(poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await);
            task::yield_now().await;
        }
        child.stdin = stdin;
        let status = child.wait().await.unwrap();
        assert!(status.success() && !is_there(id));
        assert_eq!((child.wait().await.unwrap(), child.try_wait().unwrap()), (status, Some(status)));
        assert_eq!(child.id(), None);
        // The number may be another's by now: nobody is killed.
        child.start_kill().unwrap();
        child.kill().await.unwrap();
        drop(child);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_killed_child_is_waited_for() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut child = patient();
        let id = child.id().unwrap();
        child.kill().await.unwrap();
        assert_eq!(child.try_wait().unwrap().unwrap().signal(), Some(9));
        assert!(!is_there(id));
        drop(child);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_dropped_child_goes_on_and_is_reaped_by_the_runtime() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let mut command = Command::new("cat");
        let output = Stdio::try_from(writer).unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(output).spawn().unwrap();
        drop(command);
        let (id, stdin) = (child.id().unwrap(), child.stdin.take().unwrap());
        drop(child);
        stdin.write_all("still there").await.0.unwrap();
        drop(stdin);
        assert_eq!(reader.read_to_string(String::new()).await.1, "still there");
        turns_until(|| !is_there(id)).await;
        drop(reader);
        turns_until(|| metrics().operations == 0 && metrics().tasks == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn kill_on_drop_kills_and_reaps() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut command = Command::new("cat");
        let child = command.stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let id = child.id().unwrap();
        drop(child);
        turns_until(|| !is_there(id)).await;
        // So does a future that owns the child.
        let mut waiting = spawn(async move { sh("read line").stdin(Stdio::piped()).kill_on_drop(true).status().await });
        let _ = poll_fn(|cx| Poll::Ready(pin!(&mut waiting).poll(cx).is_pending())).await;
        drop(waiting.abort_on_drop());
        turns_until(|| metrics().operations == 0 && metrics().tasks == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn children_that_outlive_the_runtime_or_never_had_one_are_reaped_by_threads() {
    let alone = alone();
    let runtime = runtime();
    let mut child = runtime.block_on(async { patient() });
    let (first, first_stdin) = (child.id().unwrap(), child.stdin.take().unwrap());
    runtime.block_on(async { drop(child) });
    assert_eq!(runtime.metrics().tasks, 1);
    let report = end(runtime);
    assert_eq!(report.tasks_dropped, 1);
    let mut child = patient();
    let (second, second_stdin) = (child.id().unwrap(), child.stdin.take().unwrap());
    drop(child);
    assert!(is_there(first) && is_there(second));
    drop((first_stdin, second_stdin));
    while is_there(first) || is_there(second) {
        thread::yield_now();
    }
    alone.end();
}

#[test]
fn children_get_none_of_our_descriptors() {
    let alone = alone();
    // What this process has inherited itself, and left open, is its own affair.
    let mut list = Command::new("ls");
    list.arg("/proc/self/fd").stdin(Stdio::null());
    let before = String::from_utf8(list.as_std_mut().output().unwrap().stdout).unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let _pool = reader.read(Vec::new()).await;
        let _random = quoit_runtime::io::AsyncFd::new(std::fs::File::open("/dev/urandom").unwrap()).unwrap();
        let output = list.output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), before);
        drop((reader, writer));
    });
    runtime.block_on(turns_until(|| metrics().operations == 0));
    end_idle(runtime);
    alone.end();
}

#[test]
fn many_waits_at_once_each_get_their_own_answer() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let waits: Vec<_> = (0..40)
            .map(|code| spawn(async move { (code, sh(&format!("exit {code}")).status().await.unwrap().code()) }))
            .collect();
        for wait in waits {
            let (expected, code) = wait.await.unwrap();
            assert_eq!(code, Some(expected));
        }
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}
