//! Files that are read often have a place in a table of the ring's, and nobody can tell but by the counters: above all, the
//! table keeps no file open that has been closed here.
#![allow(unsafe_code, reason = "locks, limits and filters are set by system calls")]

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod owners;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, InFlight, ReadAt};
use quoit_runtime::{KernelKind, Runtime, metrics};

use support::{Alone, alone, turns_until};

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

/// Takes a lock on the whole file that is the process's, whatever descriptors it has of it.
fn lock_for_process(file: &File) -> bool {
    let wanted = whole_file(libc::F_WRLCK);
    // SAFETY: reads the structure, which outlives the call.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const wanted) == 0 }
}

/// Whether such a lock keeps this open file from having one of its own.
fn is_locked_by_process(file: &File) -> bool {
    let mut found = whole_file(libc::F_RDLCK);
    // SAFETY: reads and writes the structure, which outlives the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut found) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    i32::from(found.l_type) != libc::F_UNLCK
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Waits until the last owner of the open file is gone. The kernel may close it on a thread of its own: some file systems have
/// something to flush then.
async fn freed(scratch: &Scratch) {
    turns_until(|| scratch.is_free()).await;
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

const BYTES: usize = 16 << 10;
/// More reads than it takes, by one that may do without the ring.
const OFTEN: usize = 194;
