//! The end of a runtime with everything in flight: the kernel has given back every buffer before one is freed (I4).
#![allow(unsafe_code, reason = "buffers of the tests' own, and a ring without a driver")]

mod support;

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quoit_runtime::buf::{IoBuf, IoBufMut, RecvBuf};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, ReadAt, Rearm, Recv, RecvEnd, RecvMulti, RecvSink};
use quoit_runtime::{KernelKind, Runtime, spawn};
use quoit_testkit::{CountedBuf, LiveBuffers};
use support::{ALLOC, Buf, LONG, alone, end, pipe, runtime};

#[repr(align(4096))]
struct Block([u8; BLOCK]);

const BLOCK: usize = 32 << 10;

/// A buffer for direct reads, aligned to a page.
struct Direct {
    block: Box<Block>,
    len: usize,
    _count: CountedBuf,
}

impl Direct {
    fn new(live: &LiveBuffers) -> Self {
        Self { block: Box::new(Block([0; BLOCK])), len: 0, _count: live.buffer(Vec::new()) }
    }
}

// SAFETY: the bytes lie in a box, which stays where it is while the value moves.
unsafe impl IoBuf for Direct {
    fn as_ptr(&self) -> *const u8 {
        self.block.0.as_ptr()
    }

    fn len(&self) -> usize {
        self.len
    }
}

// SAFETY: as above; all bytes are initialised.
unsafe impl IoBufMut for Direct {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.block.0.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        BLOCK
    }

    unsafe fn set_len(&mut self, len: usize) {
        self.len = len;
    }
}

/// A file of 64 blocks, open for direct reads; removed when it is dropped.
struct DirectFile {
    path: PathBuf,
    file: File,
}

impl DirectFile {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut plain = File::create(&path).expect("the directory for tests is there");
        plain.write_all(&vec![b'd'; 64 * BLOCK]).expect("the disk has room");
        plain.sync_all().expect("a disk");
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path);
        Self { path, file: file.expect("the file system of the target directory knows O_DIRECT") }
    }
}

impl Drop for DirectFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[derive(Default)]
struct Sink {
    bytes: Cell<usize>,
    ends: Cell<usize>,
}

impl RecvSink for Sink {
    fn received(&self, bytes: RecvBuf) {
        assert!(bytes.iter().all(|byte| *byte == b'r'));
        self.bytes.set(self.bytes.get() + bytes.len());
    }

    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm {
        assert!(!matches!(end, RecvEnd::Failed(_) | RecvEnd::EndOfStream), "{end:?}");
        self.ends.set(self.ends.get() + 1);
        Rearm::No
    }
}

/// Writes to all sockets, again and again, while it holds the turn; until it is told to stop.
fn write_all_the_time(peers: &[UnixStream], turn: &Mutex<()>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let held = turn.lock().expect("no panic");
        for mut peer in peers {
            // A full socket is as good as one that has just been written to.
            let _ = peer.write(&[b'r'; 100]);
        }
        drop(held);
        std::thread::yield_now();
    }
}

/// Reads what the last round has left.
fn drain(mut socket: &UnixStream) {
    socket.set_nonblocking(true).expect("a socket");
    while socket.read(&mut [0; 4096]).is_ok() {}
    socket.set_nonblocking(false).expect("a socket");
}

#[test]
fn a_runtime_dropped_with_direct_reads_and_receives_in_flight_leaves_no_trace() {
    const ROUNDS: usize = 50;
    const READS: usize = 64;
    const RECEIVES: usize = 1000;
    let alone = alone();
    let live = LiveBuffers::new();
    let file = DirectFile::new("direct-reads-in-flight");
    let (ours, peers): (Vec<_>, Vec<_>) = (0..RECEIVES).map(|_| UnixStream::pair().expect("descriptors")).unzip();
    peers.iter().for_each(|peer| peer.set_nonblocking(true).expect("a socket"));
    let (turn, stop) = (Mutex::new(()), AtomicBool::new(false));
    let in_flight: usize = std::thread::scope(|scope| {
        scope.spawn(|| write_all_the_time(&peers, &turn, &stop));
        let rounds = (0..ROUNDS).map(|round| drop_in_flight(round, &file.file, &ours, &turn, &live));
        let in_flight = rounds.sum();
        stop.store(true, Ordering::Relaxed);
        in_flight
    });
    // Nobody writes before the shutdown begins, so each of the receives is there, and most of the reads are.
    assert!(in_flight > ROUNDS * RECEIVES, "only {in_flight} operations were in flight");
    assert_eq!((live.live(), live.made()), (0, ROUNDS * READS));
    drop((ours, peers, file));
    alone.end();
}

/// One runtime, ended while it reads and receives. How many entries were in flight.
fn drop_in_flight(round: usize, file: &File, sockets: &[UnixStream], turn: &Mutex<()>, live: &LiveBuffers) -> usize {
    const READS: u64 = 64;
    let quiet = turn.lock().expect("no panic");
    sockets.iter().for_each(drain);
    let runtime = runtime();
    let sink = Rc::new(Sink::default());
    let mut outside = Vec::new();
    runtime.block_on(async {
        let file = SharedFd::new(OwnedFd::from(file.try_clone().expect("a descriptor")));
        let mut receives = Vec::new();
        let mut singles = Vec::new();
        for (number, socket) in sockets.iter().enumerate() {
            let fd = SharedFd::new(OwnedFd::from(socket.try_clone().expect("a descriptor")));
            let sink = Rc::clone(&sink);
            if number % 2 == 0 {
                receives.push(op::submit(RecvMulti::new(fd, sink)));
            } else {
                singles.push(op::submit(Recv::new(fd, 256, sink)));
            }
        }
        let reads =
            (0..READS).map(|block| op::submit(ReadAt::new(file.clone(), Direct::new(live), block * BLOCK as u64)));
        let reads: Vec<_> = reads.collect();
        // Dropped by the shutdown, in a task; or alive behind it; or forgotten by nobody's fault.
        if round.is_multiple_of(2) {
            drop(spawn(async move {
                let _all = (reads, receives, singles);
                std::future::pending::<()>().await;
            }));
        } else {
            outside.push((reads, receives, singles));
        }
    });
    let before = runtime.metrics();
    assert_eq!(before.stale_completions, 0);
    assert!(before.in_flight >= sockets.len() && before.in_flight <= before.operations, "{before:?}");
    // From here on, the peers write.
    drop(quiet);
    let report = runtime.shutdown(LONG);
    assert!(report.is_clean(), "{report}");
    assert!(report.elapsed < LONG, "{report}");
    assert_eq!(report.operations_cancelled, before.in_flight);
    assert_eq!(report.tasks_dropped, usize::from(round.is_multiple_of(2)));
    drop(outside);
    assert_eq!(live.live(), 0);
    ALLOC.assert_clean();
    report.operations_cancelled
}

/// The instrument of the test above sees what that test is there to catch: the kernel writes into the buffers of a ring that
/// has been closed. In an allocation of its own, so that nothing else is hit.
#[test]
fn the_quarantine_sees_the_reads_of_a_ring_that_was_closed_without_a_drain() {
    let alone = alone();
    let file = DirectFile::new("direct-reads-of-a-closed-ring");
    let found = (0..100).any(|_| {
        close_with_reads_in_flight(&file.file);
        quiet_after_faults()
    });
    assert!(found, "no read was late in 100 rounds: the test of the drain proves nothing on this machine");
    drop(file);
    alone.end();
}

fn close_with_reads_in_flight(file: &File) {
    use std::os::fd::AsRawFd as _;
    let mut ring = io_uring::IoUring::new(64).expect("this machine has io_uring");
    let mut blocks: Vec<Box<Block>> = (0..64).map(|_| Box::new(Block([0; BLOCK]))).collect();
    for (number, block) in blocks.iter_mut().enumerate() {
        let fd = io_uring::types::Fd(file.as_raw_fd());
        let entry = io_uring::opcode::Read::new(fd, block.0.as_mut_ptr(), BLOCK as u32);
        let entry = entry.offset((number * BLOCK) as u64).build();
        // SAFETY: that the memory is freed too early is the point; the quarantine keeps it.
        unsafe { ring.submission().push(&entry) }.expect("room for 64");
    }
    ring.submit().expect("64 entries");
    drop(ring);
    drop(blocks);
}

/// Whether anything was written into freed memory, from now until nothing has been for a while.
fn quiet_after_faults() -> bool {
    let mut found = false;
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(150) {
        if ALLOC.check().is_err() {
            found = true;
            last = Instant::now();
        }
        std::thread::yield_now();
    }
    found
}

#[test]
fn a_runtime_that_lives_in_a_thread_local_ends_with_its_thread() {
    let alone = alone();
    let live = LiveBuffers::new();
    let (read, feed) = pipe();
    let read = read.try_unwrap().expect("nobody else has it");
    let counted = live.clone();
    std::thread::spawn(move || {
        thread_local! {
            static RUNTIME: Runtime = runtime();
        }
        let read = SharedFd::new(read);
        RUNTIME.with(|runtime| {
            runtime.block_on(async {
                drop(spawn(async move {
                    let reading = op::submit(ReadAt::new(read, Buf::new(&counted), u64::MAX));
                    let _ = reading.await;
                }));
                quoit_runtime::task::yield_now().await;
            });
            assert_eq!(runtime.metrics().in_flight, 1);
        });
    })
    .join()
    .expect("the thread ends without a panic");
    assert_eq!(live.live(), 0);
    drop(feed);
    alone.end();
}

#[test]
fn a_forgotten_runtime_frees_nothing_that_the_kernel_has() {
    let alone = alone();
    let live = LiveBuffers::new();
    let (ours, mut peer) = UnixStream::pair().expect("descriptors");
    let ours = OwnedFd::from(ours);
    let counted = live.clone();
    let kernel = std::thread::spawn(move || {
        let runtime = runtime();
        let read = SharedFd::new(ours);
        runtime.block_on(async {
            let reading = op::submit(ReadAt::new(read, Buf::new(&counted), u64::MAX));
            drop(spawn(async move { drop(reading.await) }));
        });
        let kernel = runtime.kernel();
        std::mem::forget(runtime);
        kernel
    })
    .join()
    .expect("the thread ends without a panic");
    assert_eq!(live.live(), 1);
    peer.write_all(b"too late, or not").expect("the socket is still open");
    peer.set_nonblocking(true).expect("a socket");
    assert!(peer.read(&mut [0; 8]).is_err());
    drop(peer);
    // Its ring (on epoll, that and the bell of its threads), its doorbell and the socket.
    alone.end_with_lost_fds(if kernel == KernelKind::Epoll { 4 } else { 3 });
}

#[test]
fn a_shutdown_without_any_time_leaks_what_is_in_flight_and_says_so() {
    let alone = alone();
    let live = LiveBuffers::new();
    let (read, feed) = pipe();
    let runtime = runtime();
    runtime.block_on(async {
        drop(spawn({
            let (read, live) = (read.clone(), live.clone());
            async move {
                let _ = op::submit(ReadAt::new(read, Buf::new(&live), u64::MAX)).await;
            }
        }));
        quoit_runtime::task::yield_now().await;
    });
    let report = runtime.shutdown(Duration::ZERO);
    assert_eq!((report.tasks_dropped, report.operations_cancelled), (1, 1), "{report}");
    if !report.is_clean() {
        assert_eq!((report.operations_leaked, report.leaked.as_slice()), (1, &["read"][..]), "{report}");
        assert_eq!((report.bytes_leaked, live.live()), (128, 1), "{report}");
    }
    drop((feed, read));
    ALLOC.assert_clean();
    drop(alone);
}

/// Opens a message queue: a file whose close the ring hands to a worker thread, as it does on overlay and network file
/// systems, because their files have something to flush.
fn queue(name: &CStr) -> OwnedFd {
    let attributes = std::ptr::null_mut::<libc::mq_attr>();
    // SAFETY: the name is a string of C, and without attributes the queue has those of the system.
    let fd = unsafe { libc::mq_open(name.as_ptr(), libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC, 0o600, attributes) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just made it, and on Linux it is a descriptor like any other.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[test]
fn descriptors_whose_close_goes_to_a_worker_thread_are_closed_when_the_runtime_has_ended() {
    let alone = alone();
    let name = CString::new(format!("/quoit-{}", std::process::id())).expect("no zero in it");
    for dropped_in_shutdown in [false, true] {
        let runtime = runtime();
        runtime.block_on(async {
            let queues: Vec<_> = (0..100).map(|_| SharedFd::new(queue(&name))).collect();
            // Bound to the runtime, as those of all sockets and files are.
            assert!(queues.iter().all(|queue| queue.driver().is_running()));
            if dropped_in_shutdown {
                drop(spawn(async move {
                    let _queues = queues;
                    std::future::pending::<()>().await;
                }));
            }
        });
        end(runtime);
    }
    // SAFETY: the name is a string of C.
    let removed = unsafe { libc::mq_unlink(name.as_ptr()) };
    assert_eq!(removed, 0);
    alone.end();
}

#[test]
fn a_driver_that_is_gone_makes_no_pool_and_leaks_none() {
    let alone = alone();
    let (read, feed) = pipe();
    let runtime = runtime();
    let driver = runtime.block_on(async { Rc::clone(read.driver()) });
    end(runtime);
    let mapped = || {
        let status = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
        status.split(' ').next().and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages")
    };
    let before = mapped();
    for _ in 0..100 {
        assert!(driver.pool().is_err());
    }
    // Each would be more than a hundred pages. (A sanitizer maps some of its own meanwhile.)
    assert!(mapped() < before + 8000, "{before} pages became {}", mapped());
    drop((read, feed, driver));
    alone.end();
}

#[test]
fn a_shutdown_without_any_time_closes_what_was_dropped_however_small_the_ring_is() {
    let alone = alone();
    let program = std::env::current_exe().expect("a test has a file");
    for _round in 0..20 {
        let runtime = Runtime::builder().entries(8).build().expect("a small ring");
        let files: Vec<_> =
            (0..100).map(|_| SharedFd::new(OwnedFd::from(std::fs::File::open(&program).expect("a file")))).collect();
        let sockets: Vec<_> =
            (0..100).map(|_| SharedFd::of_socket(OwnedFd::from(UnixStream::pair().expect("descriptors").0))).collect();
        runtime.block_on(async move {
            drop(spawn(async move {
                let _ = (files, sockets);
                std::future::pending::<()>().await;
            }));
            quoit_runtime::task::yield_now().await;
        });
        let report = runtime.shutdown(Duration::ZERO);
        assert!(report.is_clean(), "{report}");
    }
    // The kernel closes files on threads of its own.
    let start = std::time::Instant::now();
    while alone.lost_fds() > 0 && start.elapsed() < LONG {
        std::thread::yield_now();
    }
    alone.end();
}
