//! Files that are read often have a place in a table of the ring's, and nobody can tell but by the counters: above all, the
//! table keeps no file open that has been closed here.
#![allow(unsafe_code, reason = "locks, limits and filters are set by system calls")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, InFlight, ReadAt};
use quoit_runtime::{KernelKind, Runtime, metrics, task};
use quoit_testkit::{LiveBuffers, Rng};
use support::{Alone, Buf, alone, assert_idle, end, end_idle, in_a_process_of_its_own, pipe, write};

/// A file whose bytes tell their place, and which of several files it is; gone when this is dropped.
struct Scratch {
    path: PathBuf,
    number: usize,
}

impl Scratch {
    fn new(name: &str, number: usize) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{number}-{}", std::process::id()));
        let scratch = Self { path, number };
        let mut file = File::create(&scratch.path).expect("a file");
        file.write_all(&scratch.content(0, BYTES)).expect("a disk with room");
        scratch
    }

    fn content(&self, offset: usize, bytes: usize) -> Vec<u8> {
        (offset..offset + bytes).map(|place| ((place + 31 * self.number) % 251) as u8).collect()
    }

    fn open(&self) -> SharedFd {
        SharedFd::new(self.file().into())
    }

    fn file(&self) -> File {
        File::open(&self.path).expect("it is there")
    }

    /// Whether a lock could be had that nobody can share.
    fn is_free(&self) -> bool {
        let file = self.file();
        // SAFETY: takes numbers.
        unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A lock that lives as long as the open file: until the last of its owners is gone.
fn lock(file: &SharedFd) {
    // SAFETY: takes numbers.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// `None` where this kernel has no such table, and nothing can be tested.
fn begin() -> Option<Alone> {
    let alone = alone();
    let is_there = quoit_runtime::probe().io_uring.is_ok_and(|features| features.registered_files);
    if is_there {
        return Some(alone);
    }
    eprintln!("nothing is tested: this kernel has no registered files, or lets them go too late");
    alone.end();
    None
}

fn with_places(places: u16) -> Runtime {
    Runtime::builder().kernel(KernelKind::IoUring).registered_files(places).build().expect("this machine has io_uring")
}

fn at(file: &SharedFd, offset: usize, bytes: usize) -> InFlight<ReadAt<Vec<u8>>> {
    op::submit(ReadAt::new(file.clone(), Vec::with_capacity(bytes), offset as u64))
}

/// Reads often, and each byte right. All at once, so that the ring is used.
async fn read_often(scratch: &Scratch, file: &SharedFd) {
    let reads: Vec<_> = (0..OFTEN).map(|number| (number, at(file, number, 16))).collect();
    for (number, read) in reads {
        let (result, buf) = read.await;
        assert_eq!((result.expect("readable"), buf), (16, scratch.content(number, 16)));
    }
}

/// Files with a place, and those that found none.
fn counted() -> (usize, u64) {
    let metrics = metrics();
    (metrics.registered_files, metrics.files_without_place)
}

#[test]
fn a_file_that_is_read_often_has_a_place_until_it_is_closed() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("often", 1);
    let runtime = with_places(1024);
    runtime.block_on(async {
        let file = scratch.open();
        for _ in 0..30 {
            // Alone or in company, but not often yet.
            assert_eq!(at(&file, 7, 100).await.1, scratch.content(7, 100));
        }
        assert_eq!(counted(), (0, 0));
        read_often(&scratch, &file).await;
        assert_eq!(counted(), (1, 0));
        // By its place now: the same bytes, the same end.
        read_often(&scratch, &file).await;
        for (offset, bytes) in [(BYTES - 5, 5), (BYTES, 0), (BYTES + 100, 0)] {
            let (one, other) = (at(&file, offset, 16), at(&file, offset, 16));
            for (result, buf) in [one.await, other.await] {
                assert_eq!((result.expect("readable"), buf), (bytes, scratch.content(offset, bytes)));
            }
        }
        let clone = file.clone();
        drop(file);
        assert_eq!(counted(), (1, 0));
        drop(clone);
        assert_eq!(counted(), (0, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn only_files_that_nobody_may_wait_for_have_a_place() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("others", 2);
    let runtime = with_places(1024);
    runtime.block_on(async {
        let writable = OpenOptions::new().read(true).write(true).open(&scratch.path).expect("it is there");
        let writable = SharedFd::new(writable.into());
        read_often(&scratch, &writable).await;
        let locked = scratch.open();
        lock(&locked);
        read_often(&scratch, &locked).await;
        let (pipe, feed) = pipe();
        write(&feed, &[5; OFTEN]);
        let reads: Vec<_> =
            (0..OFTEN).map(|_| op::submit(ReadAt::new(pipe.clone(), Vec::with_capacity(1), u64::MAX))).collect();
        for read in reads {
            assert_eq!(read.await.1, [5]);
        }
        assert_eq!(counted(), (0, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_lock_goes_with_the_close_of_a_registered_file() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("lock", 3);
    let runtime = with_places(1024);
    runtime.block_on(async {
        for round in 0..3 {
            let file = scratch.open();
            read_often(&scratch, &file).await;
            lock(&file);
            assert_eq!((counted(), scratch.is_free()), ((1, 0), false));
            match round {
                0 => file.close().await.expect("a file can be closed"),
                1 => {
                    drop(file);
                    // The entry that closes it is in the kernel after one look.
                    task::yield_now().await;
                }
                _ => drop(file.try_unwrap().expect("nobody else has it")),
            }
            assert_eq!((counted(), scratch.is_free()), ((0, 0), true), "round {round}");
        }
    });
    // Outside of `block_on`.
    let file = scratch.open();
    runtime.block_on(read_often(&scratch, &file));
    lock(&file);
    assert_eq!((runtime.metrics().registered_files, scratch.is_free()), (1, false));
    drop(file);
    assert_eq!((runtime.metrics().registered_files, scratch.is_free()), (0, true));
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_file_that_is_closed_while_it_is_read_has_its_place_until_the_last_answer() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("closed", 4);
    let live = LiveBuffers::new();
    let runtime = with_places(1024);
    runtime.block_on(async {
        let file = scratch.open();
        read_often(&scratch, &file).await;
        lock(&file);
        let reads: Vec<_> = (0..OFTEN).map(|number| at(&file, number, 16)).collect();
        let dropped: Vec<_> = (0..OFTEN).map(|_| op::submit(ReadAt::new(file.clone(), Buf::new(&live), 0))).collect();
        drop(file);
        drop(dropped);
        assert_eq!((counted(), scratch.is_free()), ((1, 0), false));
        for (number, read) in reads.into_iter().enumerate() {
            let (result, buf) = read.await;
            assert_eq!((result.expect("readable"), buf), (16, scratch.content(number, 16)));
        }
        task::yield_now().await;
        assert_eq!((counted(), scratch.is_free(), live.live()), ((0, 0), true, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_file_that_is_handed_out_is_its_owners_alone() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("handed-out", 5);
    let runtime = with_places(1024);
    runtime.block_on(async {
        let file = scratch.open();
        read_often(&scratch, &file).await;
        // In use, a duplicate is handed out, and the place stays.
        let read = (at(&file, 0, 16), at(&file, 0, 16));
        let duplicate = file.clone().into_owned();
        assert_eq!(counted(), (1, 0));
        assert_eq!((read.0.await.1, read.1.await.1), (scratch.content(0, 16), scratch.content(0, 16)));
        drop(duplicate);
        let mut owned = File::from(file.try_unwrap().expect("nobody else has it"));
        assert_eq!(counted(), (0, 0));
        let mut bytes = Vec::new();
        owned.rewind().expect("a file");
        owned.read_to_end(&mut bytes).expect("a file");
        assert_eq!(bytes, scratch.content(0, BYTES));
        // A new owner begins anew.
        let file = SharedFd::new(owned.into());
        read_often(&scratch, &file).await;
        assert_eq!(counted(), (1, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn who_finds_the_table_full_does_without() {
    let Some(alone) = begin() else { return };
    let scratches: Vec<_> = (0..4).map(|number| Scratch::new("full", number)).collect();
    let runtime = with_places(2);
    runtime.block_on(async {
        let mut files: Vec<_> = scratches.iter().map(Scratch::open).collect();
        for _ in 0..2 {
            for (scratch, file) in scratches.iter().zip(&files) {
                read_often(scratch, file).await;
            }
        }
        assert_eq!(counted(), (2, 2));
        // A place that was given back is another's.
        drop(files.remove(0));
        let file = scratches[3].open();
        read_often(&scratches[3], &file).await;
        assert_eq!(counted(), (2, 2));
        read_often(&scratches[3], &file).await;
        for (scratch, file) in scratches[1..].iter().zip(&files) {
            read_often(scratch, file).await;
        }
        assert_eq!(counted(), (2, 2));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn without_a_table_everything_is_as_ever() {
    let alone = alone();
    let scratch = Scratch::new("without", 6);
    let of_kernel = |kernel| Runtime::builder().kernel(kernel).build().expect("a kernel");
    for runtime in [with_places(0), of_kernel(KernelKind::Epoll)] {
        runtime.block_on(async {
            let file = scratch.open();
            read_often(&scratch, &file).await;
            read_often(&scratch, &file).await;
            assert_eq!(counted(), (0, 0));
        });
        end_idle(runtime);
    }
    alone.end();
}

#[test]
fn a_table_is_as_large_as_descriptors_may_be_many() {
    let Some(alone) = begin() else { return };
    in_a_process_of_its_own("a_table_is_as_large_as_descriptors_may_be_many", || {
        let scratch = Scratch::new("limit", 7);
        let runtime = with_places(1024);
        runtime.block_on(async {
            let first = scratch.open();
            limit_descriptors(100);
            read_often(&scratch, &first).await;
            assert_eq!(counted(), (1, 0));
            limit_descriptors(256);
            // 1024, 512, 256, 128 were too many.
            let files: Vec<_> = (1..70).map(|_| scratch.open()).collect();
            for file in &files {
                read_often(&scratch, file).await;
            }
            assert_eq!(counted(), (64, 6));
        });
        end_idle(runtime);
    });
    alone.end();
}

#[test]
fn the_end_of_a_runtime_keeps_no_file_open() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("end", 8);
    let mut others = Vec::new();
    for round in 0..4 {
        let runtime = with_places(1024);
        let file = scratch.open();
        runtime.block_on(read_often(&scratch, &file));
        lock(&file);
        assert_eq!((runtime.metrics().registered_files, scratch.is_free()), (1, false));
        if round % 2 == 0 {
            // It outlives the runtime, and is the only owner then.
            end_idle(runtime);
            assert!(!scratch.is_free());
            if round == 0 { drop(file) } else { drop(file.into_owned()) }
        } else {
            // Dropped by a task that the shutdown drops, with reads in flight.
            runtime.block_on(async {
                let read = (at(&file, 0, 16), at(&file, 0, 16));
                drop(quoit_runtime::spawn(async move {
                    std::future::pending::<()>().await;
                    drop((file, read));
                }));
            });
            let _report = end(runtime);
        }
        assert!(scratch.is_free(), "round {round}");
        // What was registered there means nothing to another runtime.
        others.push(scratch.open());
    }
    let (first, second) = (with_places(1024), with_places(1024));
    let file = others.pop().expect("four");
    first.block_on(read_often(&scratch, &file));
    second.block_on(read_often(&scratch, &file));
    second.block_on(read_often(&scratch, &file));
    assert_eq!((first.metrics().registered_files, second.metrics().registered_files), (1, 0));
    drop((file, others));
    assert_eq!(first.metrics().registered_files, 0);
    end_idle(first);
    end_idle(second);
    alone.end();
}

#[test]
fn a_kernel_that_refuses_a_table_is_asked_once() {
    let alone = alone();
    in_a_process_of_its_own("a_kernel_that_refuses_a_table_is_asked_once", || {
        let scratch = Scratch::new("refused", 10);
        let runtime = with_places(1024);
        forbid(REGISTER_FILES2);
        runtime.block_on(async {
            for _ in 0..2 {
                let file = scratch.open();
                read_often(&scratch, &file).await;
                read_often(&scratch, &file).await;
                assert_eq!(counted(), (0, 0));
            }
        });
        end_idle(runtime);
    });
    alone.end();
}

/// A program may forbid itself what it has needed to begin.
#[test]
fn a_file_leaves_the_table_also_where_the_call_for_it_has_been_forbidden() {
    let Some(alone) = begin() else { return };
    in_a_process_of_its_own("a_file_leaves_the_table_also_where_the_call_for_it_has_been_forbidden", || {
        let scratch = Scratch::new("forbidden", 9);
        let runtime = with_places(1024);
        runtime.block_on(async {
            let file = scratch.open();
            read_often(&scratch, &file).await;
            assert_eq!(counted(), (1, 0));
            lock(&file);
            forbid(REGISTER_FILES_UPDATE);
            drop(file);
            task::yield_now().await;
            assert!(scratch.is_free());
            // The place is not used again, and nobody else gets one.
            assert_eq!(counted(), (1, 0));
            let file = scratch.open();
            read_often(&scratch, &file).await;
            read_often(&scratch, &file).await;
            assert_eq!(counted(), (1, 0));
        });
        assert_idle(&runtime);
        let _report = end(runtime);
    });
    alone.end();
}

/// Opens, reads, closes, hands out and drops in any order, in a table that is too small.
#[test]
fn each_read_brings_the_bytes_of_its_own_file_whatever_becomes_of_the_others() {
    let Some(alone) = begin() else { return };
    let scratches: Vec<_> = (0..6).map(|number| Scratch::new("storm", number)).collect();
    let mut rng = Rng::new(0x5eed);
    let seed = rng.seed();
    eprintln!("QUOIT_SEED={seed}");
    let runtime = with_places(3);
    let mut most = 0;
    runtime.block_on(async {
        let mut open: Vec<(usize, SharedFd)> = Vec::new();
        let mut reads = Vec::new();
        for _ in 0..4000 {
            let which = rng.range(0..scratches.len() as u64) as usize;
            match rng.range(0..16) {
                0..3 if open.len() < 8 => open.push((which, scratches[which].open())),
                3..10 if !open.is_empty() => {
                    let (scratch, file) = &open[rng.range(0..open.len() as u64) as usize];
                    for _ in 0..rng.range(1..100) {
                        let offset = rng.range(0..(BYTES - 64) as u64) as usize;
                        reads.push((*scratch, offset, at(file, offset, 64)));
                    }
                }
                10 if open.len() > 3 => {
                    let (_, file) = open.swap_remove(rng.range(0..open.len() as u64) as usize);
                    match rng.range(0..3) {
                        0 => drop(file),
                        1 => drop(file.into_owned()),
                        _ => drop(op::submit(ReadAt::new(file, Vec::<u8>::with_capacity(8), 0))),
                    }
                }
                11 if !reads.is_empty() => drop(reads.split_off(rng.range(0..reads.len() as u64) as usize)),
                12 => task::yield_now().await,
                _ => {
                    for (scratch, offset, read) in reads.drain(..) {
                        let (result, buf) = read.await;
                        let expected = (64, scratches[scratch].content(offset, 64));
                        assert_eq!((result.expect("readable"), buf), expected, "QUOIT_SEED={seed}");
                    }
                }
            }
            most = most.max(counted().0);
            assert!(counted().0 <= 3 && counted().0 <= open.len() + reads.len() + 1, "{:?}", metrics());
        }
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.registered_files, metrics.failed_closes, most), (0, 0, 3), "{metrics:?}");
    assert!(metrics.files_without_place > 0, "{metrics:?}");
    end_idle(runtime);
    assert!(scratches.iter().all(Scratch::is_free));
    alone.end();
}

fn limit_descriptors(most: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is there for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = most;
    // SAFETY: the structure is whole.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// From here on, `io_uring_register` answers `EPERM` to this thread where it is asked for this.
fn forbid(opcode: u32) {
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let unless_equal = |value, skip| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skip, value);
    let answer = |value| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    // The number of the call, and the lower half of its second argument.
    let argument = if cfg!(target_endian = "little") { 24 } else { 28 };
    let mut program = [
        load(0),
        unless_equal(libc::SYS_io_uring_register as u32, 3),
        load(argument),
        unless_equal(opcode, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program is whole, and read during the call.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn instruction(code: u32, jump_true: u8, jump_false: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: jump_true, jf: jump_false, k: value }
}

const BYTES: usize = 16 << 10;
const REGISTER_FILES_UPDATE: u32 = 6;
const REGISTER_FILES2: u32 = 13;
/// More reads than it takes, by one that may do without the ring.
const OFTEN: usize = 194;
