//! Children of a plain fork, which share all descriptors and execute nothing: the parent is not disturbed.
#![allow(unsafe_code, reason = "forks, and ends the child without running anything of the parent's")]

mod support;

use std::fs;
use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::pin::pin;
use std::task::Poll;

use quoit_runtime::io::pipe;
use quoit_runtime::signal::{SignalKind, signal};
use quoit_runtime::{KernelKind, Runtime, metrics, spawn, task};
use support::{alone, end, end_idle, in_a_process_of_its_own, runtime, turns_until};

/// A child of a plain fork. It runs `code`, which may do no more than the handler of a signal, and ends at once.
struct Forked(libc::pid_t);

impl Forked {
    fn new(code: impl FnOnce()) -> Self {
        // SAFETY: the child makes system calls only, and none of the parent's destructors run in it.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            code();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        Self(pid)
    }

    fn kill(&self, signal: i32) {
        // SAFETY: takes numbers; the child has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    /// The exit code.
    fn wait(self) -> i32 {
        let mut status = 0;
        // SAFETY: the status has its place for the time of the call.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        assert!(libc::WIFEXITED(status), "the child was killed: {status:#x}");
        libc::WEXITSTATUS(status)
    }
}

#[test]
fn a_fork_that_exits_leaves_operations_in_flight_alone() {
    in_a_process_of_its_own("a_fork_that_exits_leaves_operations_in_flight_alone", || {
        let alone = alone();
        let runtime = runtime();
        runtime.block_on(async {
            let (reader, writer) = pipe().unwrap();
            for round in 0..10_u8 {
                // A read in flight, a write in flight, a task that is ready.
                let mut read = pin!(reader.read(Vec::with_capacity(1)));
                assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
                let (full, filling) = pipe().unwrap();
                let writing = spawn(async move { filling.write_all(vec![round; 100_000]).await.0 });
                task::yield_now().await;
                assert_eq!(Forked::new(|| ()).wait(), 0);
                writer.write_all(vec![round]).await.0.unwrap();
                assert_eq!(read.await.1, [round]);
                let (result, bytes) = full.read_exact(Vec::with_capacity(100_000)).await;
                assert_eq!((result.unwrap(), bytes.iter().all(|byte| *byte == round)), (100_000, true));
                writing.await.unwrap().unwrap();
            }
            drop((reader, writer));
            turns_until(|| metrics().operations == 0).await;
        });
        end_idle(runtime);
        alone.end();
    });
}

#[test]
fn a_runtime_ends_cleanly_while_a_fork_still_holds_its_descriptors() {
    in_a_process_of_its_own("a_runtime_ends_cleanly_while_a_fork_still_holds_its_descriptors", || {
        let (mut gate, mut opener) = std::io::pipe().unwrap();
        let runtime = runtime();
        let (reader, writer) = pipe().unwrap();
        runtime.block_on(async {
            let mut read = pin!(reader.read(Vec::with_capacity(64)));
            assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
            task::yield_now().await;
        });
        let child = Forked::new(|| _ = gate.read(&mut [0]));
        // Its copy of the ring keeps nothing in flight, and its copy of the pipe wakes nobody.
        let report = end(runtime);
        assert_eq!(report.operations_leaked, 0);
        drop((reader, writer));
        opener.write_all(b"x").unwrap();
        assert_eq!(child.wait(), 0);
    });
}

#[test]
fn a_ring_is_closed_on_exec_and_its_memory_is_not_copied_to_a_fork() {
    // Other tests have rings that are being set up.
    in_a_process_of_its_own("a_ring_is_closed_on_exec_and_its_memory_is_not_copied_to_a_fork", || {
        let runtime = Runtime::builder().kernel(KernelKind::IoUring).build().expect("this machine has io_uring");
        let mut rings = 0;
        for entry in fs::read_dir("/proc/self/fd").unwrap() {
            let path = entry.unwrap().path();
            if !fs::read_link(&path).is_ok_and(|target| target.as_os_str() == "anon_inode:[io_uring]") {
                continue;
            }
            rings += 1;
            let number = path.file_name().unwrap().to_str().unwrap();
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            assert_ne!(i32::from_str_radix(flags, 8).unwrap() & libc::O_CLOEXEC, 0, "{flags}");
        }
        assert_eq!(rings, 1);

        // Each mapping is followed by its flags, of which `dc` says "not copied to a child".
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut in_ring, mut mappings) = (false, 0);
        for line in maps.lines() {
            if line.contains('-') && !line.contains("kB") && !line.starts_with("VmFlags") {
                in_ring = line.contains("[io_uring]");
            } else if in_ring && line.starts_with("VmFlags:") {
                mappings += 1;
                assert!(line.split_whitespace().any(|flag| flag == "dc"), "{line}");
            }
        }
        assert!(mappings >= 2, "the ring's mappings weren't found");
        end_idle(runtime);
    });
}

#[test]
fn a_signal_to_a_fork_is_not_heard_by_the_parent() {
    in_a_process_of_its_own("a_signal_to_a_fork_is_not_heard_by_the_parent", || {
        let runtime = runtime();
        runtime.block_on(async {
            let mut usr1 = signal(SignalKind::user_defined1()).unwrap();
            let (mut gate, mut opener) = std::io::pipe().unwrap();
            let child = Forked::new(|| {
                // A signal interrupts it, and it goes on.
                while gate.read(&mut [0]).is_err() {}
            });
            (0..10).for_each(|_| child.kill(libc::SIGUSR1));
            opener.write_all(b"x").unwrap();
            assert_eq!(child.wait(), 0);
            let mut heard = pin!(usr1.recv());
            for _ in 0..10 {
                assert!(poll_fn(|cx| Poll::Ready(heard.as_mut().poll(cx).is_pending())).await);
                task::yield_now().await;
            }
            // SAFETY: takes a number; a handler is installed.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
            assert_eq!(heard.await, Some(()));
        });
    });
}
