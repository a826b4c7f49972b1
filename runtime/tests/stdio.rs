//! Standard streams of child processes: pipes, files and terminals.
#![allow(unsafe_code, reason = "a pseudo-terminal, and the action of a signal of the child's own")]

mod support;

use std::env;
use std::fs::File;
use std::future::poll_fn;
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::task::Poll;

use quoit_runtime::io::{AsyncReadExt as _, BufReader, pipe, stderr, stdin, stdout};
use quoit_runtime::{block_on, spawn, task};
use socket2::SockRef;
use support::{end, runtime};

/// Runs the test of this name in a child with these streams; `None` in the child itself.
fn child_of(name: &str, input: Stdio, output: Stdio) -> Option<Child> {
    if env::var_os("QUOIT_TEST_CHILD").is_some() {
        return None;
    }
    let mut command = Command::new(env::current_exe().expect("a test has a file"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env("QUOIT_TEST_CHILD", "1");
    Some(command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().expect("the test can run itself"))
}

/// What the child wrote to standard error, where the harness writes nothing.
#[track_caller]
fn finished(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}

/// Numbers the lines of standard input.
async fn number_lines() {
    let mut lines = BufReader::with_capacity(16, stdin()).lines();
    let mut number = 0;
    while let Some(line) = lines.next_line().await.unwrap() {
        number += 1;
        stderr().write_all(format!("{number} {line}\n")).await.0.unwrap();
    }
}

#[test]
fn a_pipe_as_standard_input_is_read_to_its_end() {
    let Some(mut child) = child_of("a_pipe_as_standard_input_is_read_to_its_end", Stdio::piped(), Stdio::null()) else {
        return block_on(number_lines());
    };
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\ntw").unwrap();
    input.write_all(b"o\nthree").unwrap();
    drop(input);
    assert_eq!(finished(child), "1 one\n2 two\n3 three\n");
}

#[test]
fn a_file_as_standard_input_is_read_from_its_position() {
    let name = "a_file_as_standard_input_is_read_from_its_position";
    let file = env::temp_dir().join(format!("quoit-stdio-{}", std::process::id()));
    if env::var_os("QUOIT_TEST_CHILD").is_none() {
        std::fs::write(&file, "skipped\none\ntwo\n").unwrap();
    }
    let input = || {
        let mut input = File::open(&file).unwrap();
        input.seek(std::io::SeekFrom::Start(8)).unwrap();
        std::fs::remove_file(&file).unwrap();
        input
    };
    let child = match env::var_os("QUOIT_TEST_CHILD") {
        Some(_) => None,
        None => child_of(name, input().into(), Stdio::null()),
    };
    let Some(child) = child else { return block_on(number_lines()) };
    assert_eq!(finished(child), "1 one\n2 two\n");
}

/// The two ends of a pseudo-terminal: ours, and the child's.
fn terminal() -> (File, OwnedFd) {
    // SAFETY: takes numbers.
    let ours = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(ours >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just made it, and nobody else knows it.
    let ours = unsafe { File::from_raw_fd(ours) };
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::grantpt(ours.as_raw_fd()) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::unlockpt(ours.as_raw_fd()) }, 0);
    let mut name = [0; 64];
    // SAFETY: the array has room for as many characters as it says.
    assert_eq!(unsafe { libc::ptsname_r(ours.as_raw_fd(), name.as_mut_ptr(), name.len()) }, 0);
    // SAFETY: the call has ended the name with a zero.
    let name = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) };
    let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (ours, theirs.into())
}

#[test]
fn a_terminal_is_read_line_by_line_and_stays_in_blocking_mode() {
    let name = "a_terminal_is_read_line_by_line_and_stays_in_blocking_mode";
    if env::var_os("QUOIT_TEST_CHILD").is_some() {
        return block_on(async {
            number_lines().await;
            // A terminal goes on after an end.
            number_lines().await;
            stdout().write_all("to the terminal\n").await.0.unwrap();
        });
    }
    let (mut ours, theirs) = terminal();
    let output = Stdio::from(theirs.try_clone().unwrap());
    let child = child_of(name, theirs.try_clone().unwrap().into(), output).expect("this is the parent");
    ours.write_all(b"one\ntwo\n\x04three\n\x04").unwrap();
    assert_eq!(finished(child), "1 one\n2 two\n1 three\n");
    assert!(!SockRef::from(&theirs).nonblocking().unwrap(), "the terminal was left in non-blocking mode");
    let mut shown = Vec::new();
    // What is there is to be read, and nothing waited for.
    SockRef::from(&ours).set_nonblocking(true).unwrap();
    let _ = ours.read_to_end(&mut shown);
    assert!(String::from_utf8_lossy(&shown).contains("to the terminal"));
}

#[test]
fn what_a_dropped_read_of_standard_input_had_asked_for_goes_to_the_next_handle_and_runtime() {
    let name = "what_a_dropped_read_of_standard_input_had_asked_for_goes_to_the_next_handle_and_runtime";
    let Some(mut child) = child_of(name, Stdio::piped(), Stdio::null()) else {
        let first = runtime();
        first.block_on(async {
            let early = stdin();
            {
                let mut read = pin!(early.read(Vec::with_capacity(3)));
                assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
                eprintln!("reading");
                // The parent writes, and the read that nobody polls takes its bytes.
                let (reader, _writer) = pipe().unwrap();
                let mut never = pin!(reader.read(Vec::with_capacity(1)));
                let _ = poll_fn(|cx| Poll::Ready(never.as_mut().poll(cx).is_pending())).await;
                while quoit_runtime::metrics().operations > 1 {
                    task::yield_now().await;
                }
            }
            // Two handles, one order.
            let other = stdin();
            assert_eq!(other.read(Vec::with_capacity(1)).await.1, b"a");
            drop(other);
            assert_eq!(early.read(Vec::with_capacity(1)).await.1, b"b");
        });
        end(first);
        let second = runtime();
        second.block_on(async {
            assert_eq!(stdin().read_to_string(String::new()).await.1, "cdef");
        });
        end(second);
        return;
    };
    let mut said = [0; 8];
    child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    child.stdin.take().unwrap().write_all(b"abcdef").unwrap();
    finished(child);
}

#[test]
fn writes_of_several_handles_of_standard_output_follow_one_another_whole() {
    let name = "writes_of_several_handles_of_standard_output_follow_one_another_whole";
    let Some(mut child) = child_of(name, Stdio::null(), Stdio::piped()) else {
        return block_on(async {
            let tasks: Vec<_> = (0..4_u8)
                .map(|number| spawn(async move { stdout().write_all(vec![b'A' + number; 100_000]).await.0 }))
                .collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            stdout().flush().await.unwrap();
        });
    };
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    finished(child);
    let expected: String = ["A", "B", "C", "D"].map(|letter| letter.repeat(100_000)).concat();
    assert!(shown.contains(&expected));
}

#[test]
fn a_broken_pipe_is_an_error_where_the_signal_has_its_default_action() {
    let name = "a_broken_pipe_is_an_error_where_the_signal_has_its_default_action";
    let Some(child) = child_of(name, Stdio::null(), Stdio::null()) else {
        // SAFETY: the default action runs no code of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        return block_on(async {
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            for _ in 0..3 {
                assert_eq!(writer.write("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
            }
            let (reader, writer) = pipe().unwrap();
            let writing = spawn(async move { writer.write_all(vec![0; 200_000]).await.0 });
            task::yield_now().await;
            drop(reader);
            assert_eq!(writing.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
            eprint!("survived");
        });
    };
    assert_eq!(finished(child), "survived");
}

#[test]
fn a_process_without_standard_streams_gets_an_error() {
    let name = "a_process_without_standard_streams_gets_an_error";
    support::in_a_process_of_its_own(name, || {
        block_on(async {
            // Not before: the ring would take its number.
            // SAFETY: nobody else in this process uses standard input.
            unsafe { libc::close(0) };
            let (result, _) = stdin().read(Vec::with_capacity(1)).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        });
    });
}
