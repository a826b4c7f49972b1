//! What the tests of this folder share: the allocator that watches freed memory, and the way a test begins and ends.
#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(unsafe_code, reason = "buffers of the tests' own, and descriptors from system calls")]

use std::future::poll_fn;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::Duration;

use quoit_runtime::buf::{IoBuf, IoBufMut};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{Runtime, ShutdownReport};
use quoit_testkit::{CountedBuf, FdCount, LiveBuffers, QuarantineAlloc};

#[global_allocator]
pub(crate) static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

/// Longer than any shutdown may take on the slowest of machines.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// One test at a time: descriptors, threads and freed memory are counted for the whole process.
pub(crate) struct Alone {
    fds: FdCount,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) fn alone() -> Alone {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // What another test has left is not ours.
    let _ = ALLOC.check();
    Alone { fds: FdCount::now(), _turn: turn }
}

impl Alone {
    /// Nobody wrote into freed memory, and the descriptors are those of the beginning.
    #[track_caller]
    pub(crate) fn end(self) {
        ALLOC.assert_clean();
        self.fds.assert_same();
    }

    /// How many descriptors are open that were not at the beginning.
    pub(crate) fn lost_fds(&self) -> usize {
        FdCount::now().count().saturating_sub(self.fds.count())
    }

    /// As `end`, for a test that has lost this many descriptors on purpose.
    #[track_caller]
    pub(crate) fn end_with_lost_fds(self, lost: usize) {
        ALLOC.assert_clean();
        assert_eq!(FdCount::now().count(), self.fds.count() + lost);
    }
}

pub(crate) fn runtime() -> Runtime {
    Runtime::new().expect("this machine has io_uring")
}

/// Sleeps by a timer of the runtime.
pub(crate) async fn sleep(time: Duration) {
    let mut timer = Timer::new(Instant::now() + time);
    poll_fn(|cx| timer.poll_elapsed(cx)).await;
}

/// Has another thread wake this one at some time.
pub(crate) async fn woken_from_elsewhere() {
    let (ask, asked) = mpsc::channel::<Waker>();
    let waking = thread::spawn(move || asked.recv().expect("it is asked").wake());
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            ask.send(cx.waker().clone()).expect("the thread waits for it");
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
    waking.join().expect("no panic");
}

/// Nothing runs and nothing is held.
#[track_caller]
pub(crate) fn assert_idle(runtime: &Runtime) {
    let metrics = runtime.metrics();
    let held = (metrics.in_flight, metrics.operations, metrics.tasks, metrics.timers, metrics.stale_completions);
    assert_eq!(held, (0, 0, 0, 0, 0), "{metrics:?}");
}

/// Shuts an idle runtime down: there is nothing to cancel and nothing to drop.
#[track_caller]
pub(crate) fn end_idle(runtime: Runtime) {
    assert_idle(&runtime);
    let report = end(runtime);
    assert_eq!((report.tasks_dropped, report.operations_cancelled), (0, 0), "{report}");
}

/// Shuts a runtime down, whatever it still does.
#[track_caller]
pub(crate) fn end(runtime: Runtime) -> ShutdownReport {
    assert_eq!(runtime.metrics().stale_completions, 0);
    let report = runtime.shutdown(LONG);
    assert!(report.is_clean(), "{report}");
    assert!(report.elapsed < LONG, "{report}");
    report
}

/// Runs turns until `done`.
pub(crate) async fn turns_until(mut done: impl FnMut() -> bool) {
    while !done() {
        quoit_runtime::task::yield_now().await;
    }
}

/// The two ends of a pipe: what is read, what is written.
pub(crate) fn pipe() -> (SharedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just made it, and nobody else knows it.
    let read = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let write = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    (SharedFd::new(read), write)
}

/// Writes to a descriptor as any other process would.
pub(crate) fn write(fd: &OwnedFd, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = std::fs::File::from(fd.try_clone().expect("a descriptor is left"));
    file.write_all(bytes).expect("the pipe has room");
}

/// A counted buffer on the heap, large enough for the quarantine to watch.
#[derive(Debug)]
pub(crate) struct Buf(pub(crate) CountedBuf);

impl Buf {
    pub(crate) fn new(live: &LiveBuffers) -> Self {
        Self(live.buffer(Vec::with_capacity(128)))
    }
}

// SAFETY: the bytes are those of a `Vec`, which stay where they are while it moves.
unsafe impl IoBuf for Buf {
    fn as_ptr(&self) -> *const u8 {
        self.0.as_vec().as_ptr()
    }

    fn len(&self) -> usize {
        self.0.as_vec().len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Buf {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_vec().as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.0.as_vec().capacity()
    }

    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the caller's promise is the one that `Vec` asks for.
        unsafe { self.0.as_mut_vec().set_len(len) }
    }
}

/// Runs the test of this name by itself in a child process: what it breaks where it fails would break others.
pub(crate) fn in_a_process_of_its_own(name: &str, code: impl FnOnce()) {
    if std::env::var_os("QUOIT_TEST_CHILD").is_some() {
        return code();
    }
    let own = std::env::current_exe().expect("a test has a file");
    let child = std::process::Command::new(own)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("QUOIT_TEST_CHILD", "1")
        .output()
        .expect("the test can run itself");
    assert!(child.status.success(), "{}\n{}", child.status, String::from_utf8_lossy(&child.stderr));
}

/// Runs code when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What a waker is doing when its code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Clone,
    Wake,
    Drop,
}

/// A waker whose every step is code of the test's. It stays on its thread, and its code lives as long as the process.
pub(crate) fn hostile_waker(code: impl Fn(Event) + 'static) -> Waker {
    type Code = Box<dyn Fn(Event)>;
    fn run(data: *const (), event: Event) {
        // SAFETY: the data of these wakers is a leaked `Code`.
        let code = unsafe { &*data.cast::<Code>() };
        code(event);
    }
    fn clone(data: *const ()) -> RawWaker {
        run(data, Event::Clone);
        RawWaker::new(data, &VTABLE)
    }
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        clone,
        |data| run(data, Event::Wake),
        |data| run(data, Event::Wake),
        |data| run(data, Event::Drop),
    );
    let code: &'static Code = Box::leak(Box::new(Box::new(code) as Code));
    // SAFETY: the functions do nothing but call the code, which is there for ever; the tests keep it on one thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(code).cast(), &VTABLE)) }
}
