//! Operations that are alone are performed at once, without the ring, and nobody can tell but by the counters.
#![allow(unsafe_code, reason = "asks a file system what it knows, by a system call")]

mod support;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::future::{Future as _, poll_fn};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;

use quoit_runtime::cancel_scope::{CancelScope, Stop};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, Lane, PollOnce, ReadAt, Send, SendVectored};
use quoit_runtime::{KernelKind, Runtime, metrics, spawn, task};
use quoit_testkit::LiveBuffers;
use support::{Buf, alone, end_idle, pipe, write};

/// A file of so many bytes, each of which tells its place; it is gone when this is dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// `None` where the file system does not know reads that don't wait, such as `tmpfs` or `overlayfs`.
    fn new(name: &str, bytes: usize) -> Option<Self> {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let scratch = Self { path };
        let mut file = File::create(&scratch.path).expect("a file");
        file.write_all(&content(0, bytes)).expect("a disk with room");
        file.sync_all().expect("a disk");
        let file = File::open(&scratch.path).expect("it is there");
        let mut byte = 0_u8;
        let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: the part is a byte of ours.
        let count = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, 0, libc::RWF_NOWAIT) };
        if count < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EOPNOTSUPP) {
            eprintln!("nothing is tested: reads may wait on this file system");
            return None;
        }
        Some(scratch)
    }

    fn open(&self) -> SharedFd {
        SharedFd::new(File::open(&self.path).expect("it is there").into())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn content(offset: usize, bytes: usize) -> Vec<u8> {
    (offset..offset + bytes).map(|place| (place % 251) as u8).collect()
}

/// Runs a test on a runtime that has nothing else to do, and is left with nothing.
fn on(kernel: KernelKind, test: impl AsyncFnOnce()) {
    let alone = alone();
    let runtime = Runtime::builder().kernel(kernel).build().expect("this machine has io_uring");
    // What a runtime asks of its kernel first has been asked.
    runtime.block_on(task::yield_now());
    runtime.block_on(test());
    end_idle(runtime);
    alone.end();
}

fn on_the_ring(test: impl AsyncFnOnce()) {
    on(KernelKind::IoUring, test);
}

/// Also on the emulated one.
fn on_both(test: impl AsyncFn(KernelKind)) {
    for kernel in [KernelKind::IoUring, KernelKind::Epoll] {
        on(kernel, async || test(kernel).await);
    }
}

/// Entries, calls that did instead, and calls in vain.
fn counted() -> (u64, u64, u64) {
    let metrics = metrics();
    (metrics.sqes, metrics.attempts, metrics.vain_attempts)
}

async fn read(file: &SharedFd, offset: usize, bytes: usize) -> Vec<u8> {
    let (result, buf) = op::submit(ReadAt::new(file.clone(), Vec::with_capacity(bytes), offset as u64)).await;
    assert_eq!(result.expect("a file can be read"), buf.len());
    buf
}

#[test]
fn a_read_of_what_lies_in_memory_needs_no_entry() {
    on_both(async |kernel| {
        let Some(scratch) = Scratch::new("memory", 8192) else { return };
        let file = scratch.open();
        let (sqes, ..) = counted();
        for offset in [0, 4096, 1] {
            assert_eq!(read(&file, offset, 4096).await, content(offset, 4096));
        }
        assert_eq!(counted(), (sqes, 3, 0), "{kernel:?}");
    });
}

#[test]
fn the_end_of_a_file_is_told_as_the_ring_tells_it() {
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("end", 5000) else { return };
        let file = scratch.open();
        let (sqes, ..) = counted();
        for (offset, bytes) in [(0, 5000), (4096, 904), (4999, 1), (5000, 0), (9000, 0)] {
            let at = |offset| op::submit(ReadAt::new(file.clone(), Vec::<u8>::with_capacity(8192), offset as u64));
            // The first is alone, the second rides on the ring.
            let (one, other) = (at(offset), at(offset));
            for (result, buf) in [one.await, other.await] {
                assert_eq!((result.expect("readable"), buf), (bytes, content(offset, bytes)));
            }
        }
        assert_eq!(counted(), (sqes + 5, 5, 0));
    });
}

#[test]
fn reads_that_are_submitted_together_share_an_entry() {
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("together", 64 << 10) else { return };
        let file = scratch.open();
        let ((sqes, ..), enters) = (counted(), metrics().enters);
        let at =
            |number: usize| op::submit(ReadAt::new(file.clone(), Vec::<u8>::with_capacity(1024), number as u64 * 1024));
        let reads: Vec<_> = (0..64).map(at).collect();
        for (number, read) in reads.into_iter().enumerate() {
            let (result, buf) = read.await;
            assert_eq!((result.expect("readable"), buf), (1024, content(number * 1024, 1024)));
        }
        assert_eq!(counted(), (sqes + 63, 1, 0));
        assert_eq!(metrics().enters, enters + 1);
    });
}

#[test]
fn tasks_that_are_ready_together_share_an_entry() {
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("tasks", 4096) else { return };
        let file = scratch.open();
        let (sqes, ..) = counted();
        let reader = || {
            let file = file.clone();
            spawn(async move { assert_eq!(read(&file, 7, 100).await, content(7, 100)) })
        };
        let readers: Vec<_> = (0..8).map(|_| reader()).collect();
        for reader in readers {
            reader.await.expect("no panic");
        }
        // Also the last one, behind which nobody is ready: seven others wait for the entry.
        assert_eq!(counted(), (sqes + 8, 0, 0));
    });
}

#[test]
fn who_always_finds_something_lets_the_kernel_and_others_have_their_turn() {
    on_both(async |_| {
        let Some(scratch) = Scratch::new("turns", 4096) else { return };
        let file = scratch.open();
        let (pipe, feed) = pipe();
        let told = Rc::new(Cell::new(false));
        let other = spawn({
            let told = Rc::clone(&told);
            async move {
                op::submit(PollOnce::readable(pipe)).await.expect("a pipe can be polled");
                told.set(true);
            }
        });
        task::yield_now().await;
        // From here on only the kernel can tell, and only who enters it hears of it.
        write(&feed, b"x");
        let mut reads = 0;
        while !told.get() {
            reads += 1;
            assert!(reads <= 300, "{:?}", metrics());
            assert_eq!(read(&file, 0, 10).await.len(), 10);
        }
        assert!(metrics().attempts >= 60, "{:?}", metrics());
        other.await.expect("no panic");
    });
}

#[test]
fn many_bytes_are_much_work() {
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("much", 1 << 20) else { return };
        let file = scratch.open();
        let (sqes, ..) = counted();
        for round in 1..=3 {
            assert_eq!(read(&file, 0, 1 << 20).await.len(), 1 << 20);
            assert_eq!(counted(), (sqes + round - 1, round, 0));
            // The work of this look at the kernel is done.
            assert_eq!(read(&file, 0, 1).await, [0]);
            assert_eq!(counted(), (sqes + round, round, 0));
        }
    });
}

#[test]
fn files_that_know_no_calls_without_waiting_are_asked_once() {
    on_the_ring(async || {
        let file = SharedFd::new(File::open("/proc/self/stat").expect("a process").into());
        let (sqes, ..) = counted();
        for round in 1..=3 {
            assert!(!read(&file, 0, 4096).await.is_empty());
            assert_eq!(counted(), (sqes + round, 0, 1));
        }
    });
}

#[test]
fn reads_without_a_cache_go_to_the_ring() {
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("direct", 4096) else { return };
        let Ok(direct) = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&scratch.path) else {
            return eprintln!("the file system of this machine has a cache for everything");
        };
        let direct = SharedFd::new(direct.into());
        let (sqes, ..) = counted();
        // Where the buffer is not aligned the answer is an error, by the ring as well.
        let _ = op::submit(ReadAt::new(direct.clone(), Vec::<u8>::with_capacity(4096), 0)).await;
        assert_eq!(counted(), (sqes + 1, 0, 0));
    });
}

#[test]
fn errors_are_those_of_the_ring() {
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("errors", 1) else { return };
        let directory = SharedFd::new(File::open(std::env::temp_dir()).expect("it is there").into());
        let write_only = OpenOptions::new().write(true).open(&scratch.path).expect("it is there");
        for (fd, errno) in [(directory, libc::EISDIR), (SharedFd::new(write_only.into()), libc::EBADF)] {
            let (result, buf) = op::submit(ReadAt::new(fd, Vec::<u8>::with_capacity(16), 0)).await;
            assert_eq!((result.expect_err("unreadable").raw_os_error(), buf.len()), (Some(errno), 0));
        }
        assert_eq!(metrics().attempts, 0);
    });
}

#[test]
fn an_answer_that_is_dropped_or_forgotten_holds_up_nobody() {
    let live = LiveBuffers::new();
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("drop", 128) else { return };
        let file = scratch.open();
        let at = || op::submit(ReadAt::new(file.clone(), Buf::new(&live), 0));
        drop(at());
        assert_eq!((live.live(), metrics().operations), (0, 0));
        // Dropped, it is as good as taken.
        drop(at());
        assert_eq!(metrics().attempts, 2);
        // Forgotten, it is until the next look at the kernel.
        std::mem::forget(at());
        assert_eq!((metrics().attempts, live.live(), metrics().operations), (3, 1, 0));
        assert_eq!(at().await.0.expect("readable"), 128);
        assert_eq!(metrics().attempts, 3);
        assert_eq!(at().await.0.expect("readable"), 128);
        assert_eq!(metrics().attempts, 4);
    });
    assert_eq!(live.live(), 1);
}

#[test]
fn nothing_is_overtaken_that_was_staged_before() {
    on_the_ring(async || {
        let Some(scratch) = Scratch::new("order", 16) else { return };
        let file = scratch.open();
        let (sqes, ..) = counted();
        let nop = op::submit(op::Nop::new());
        assert_eq!(read(&file, 0, 16).await.len(), 16);
        nop.await.expect("a nop");
        assert_eq!(counted(), (sqes + 2, 0, 0));
    });
}

#[test]
fn what_has_a_position_of_its_own_is_waited_for_in_the_ring() {
    on_the_ring(async || {
        let (pipe, feed) = pipe();
        write(&feed, b"x");
        let (result, _) = op::submit(ReadAt::new(pipe, Vec::<u8>::with_capacity(16), u64::MAX)).await;
        assert_eq!(result.expect("a byte"), 1);
        assert_eq!((metrics().attempts, metrics().vain_attempts), (0, 0));
    });
}

/// A stream of ours, and its peer, which belongs to nobody.
fn stream() -> (SharedFd, UnixStream) {
    let (ours, peer) = UnixStream::pair().expect("descriptors are left");
    (SharedFd::of_socket(ours.into()), peer)
}

fn received(peer: &mut UnixStream, bytes: usize) -> Vec<u8> {
    let mut received = vec![0; bytes];
    peer.read_exact(&mut received).expect("it was sent");
    received
}

#[test]
fn a_send_that_is_alone_needs_no_entry() {
    on_both(async |kernel| {
        let (ours, mut peer) = stream();
        let (lane, (sqes, ..)) = (Lane::new(), counted());
        let driver = Rc::clone(ours.driver());
        assert_eq!(op::submit_to(&driver, Some(&lane), Send::all(ours.clone(), "one ")).await.0.expect("room"), 4);
        let parts = SendVectored::all(ours.clone(), ["two ", "three"]);
        assert_eq!(op::submit_to(&driver, Some(&lane), parts).await.0.expect("room"), 9);
        assert!(lane.is_idle());
        assert_eq!(received(&mut peer, 13), b"one two three");
        assert_eq!(counted(), (sqes, 2, 0), "{kernel:?}");
    });
}

#[test]
fn sends_of_a_lane_stay_in_order_whichever_way_they_take() {
    on_the_ring(async || {
        let (ours, mut peer) = stream();
        let (lane, (sqes, ..)) = (Lane::new(), counted());
        let driver = Rc::clone(ours.driver());
        let send = |text: &'static str| op::submit_to(&driver, Some(&lane), Send::all(ours.clone(), text));
        // The first goes at once, the second by the ring, the third waits behind it though it came when nothing was staged.
        let (first, second) = (send("1"), send("2"));
        let third = send("3");
        for sent in [third, second, first] {
            assert_eq!(sent.await.0.expect("room"), 1);
        }
        assert_eq!(received(&mut peer, 3), b"123");
        assert_eq!(counted(), (sqes + 2, 1, 0));
    });
}

#[test]
fn what_a_socket_has_no_room_for_goes_on_by_the_ring() {
    on_the_ring(async || {
        let (ours, mut peer) = stream();
        let (lane, (sqes, ..)) = (Lane::new(), counted());
        let driver = Rc::clone(ours.driver());
        let message = content(0, 4 << 20);
        let send = op::submit_to(&driver, Some(&lane), Send::all(ours.clone(), message.clone()));
        // A part is out, and the rest is the ring's.
        assert_eq!(counted(), (sqes + 1, 1, 0));
        let reader = std::thread::spawn(move || (received(&mut peer, 4 << 20), peer));
        assert_eq!(send.await.0.expect("the peer reads"), 4 << 20);
        let (all, mut peer) = reader.join().expect("no panic");
        assert_eq!(all, message);
        // The next one, with nothing but its own way, is whole again.
        assert_eq!(op::submit_to(&driver, Some(&lane), Send::all(ours.clone(), "next")).await.0.expect("room"), 4);
        assert_eq!(received(&mut peer, 4), b"next");
        // And where there is no room at all, it waits.
        let filler = op::submit_to(&driver, Some(&lane), Send::some(ours.clone(), vec![0; 4 << 20])).await;
        let (attempts, vain, filled) = (metrics().attempts, metrics().vain_attempts, filler.0.expect("some room"));
        task::yield_now().await;
        let last = op::submit_to(&driver, Some(&lane), Send::all(ours.clone(), "last"));
        assert_eq!((metrics().attempts, metrics().vain_attempts), (attempts, vain + 1));
        let reader = std::thread::spawn(move || received(&mut peer, filled + 4));
        assert_eq!(last.await.0.expect("the peer reads"), 4);
        assert!(reader.join().expect("no panic").ends_with(b"last"));
    });
}

#[test]
fn an_error_of_a_send_is_told_and_stays_told() {
    on_the_ring(async || {
        let (ours, peer) = stream();
        drop(peer);
        let (sqes, ..) = counted();
        for _ in 0..2 {
            let (result, buf) = op::submit(Send::all(ours.clone(), "nobody")).await;
            assert_eq!((result.expect_err("no peer").raw_os_error(), buf), (Some(libc::EPIPE), "nobody"));
            // The second did not even try.
            assert_eq!(counted(), (sqes, 1, 0));
        }
    });
}

#[test]
fn in_a_scope_that_is_cancelled_nothing_begins() {
    on_the_ring(async || {
        let (ours, mut peer) = stream();
        let mut scope = CancelScope::new();
        scope.cancel(Stop::Token);
        let (sqes, ..) = counted();
        let mut send = pin!(async { op::submit(Send::all(ours.clone(), "not this")).await });
        let (result, buf) = poll_fn(|cx| scope.poll(cx, |cx| send.as_mut().poll(cx))).await;
        assert_eq!((result.expect_err("stopped").raw_os_error(), buf), (Some(libc::ECANCELED), "not this"));
        assert_eq!(counted(), (sqes, 0, 0));
        assert_eq!(op::submit(Send::all(ours.clone(), "but this")).await.0.expect("room"), 8);
        assert_eq!(received(&mut peer, 8), b"but this");
    });
}
