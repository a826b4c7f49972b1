//! Virtual disks, by entries of one's own: what is synced survives a crash, the rest may be lost or torn.
#![allow(unsafe_code, reason = "operations answer for the memory that they name")]

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};
use quoit::driver::{Completion, Driver, Op, SharedFd, Step, submit};
use quoit::sim::{self, Faults};

/// Sees writes into freed memory, the simulated kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// An entry, and what it names.
struct Raw<K: 'static> {
    entry: Entry,
    kept: K,
}

// SAFETY: `kept` owns on the heap what the entry names; only `run` makes these.
unsafe impl<K: 'static> Op for Raw<K> {
    type Output = (io::Result<u32>, K);

    const NAME: &'static str = "raw";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        Step::Submit(self.entry.clone().into())
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        (answer.value(), self.kept)
    }
}

async fn run<K: 'static>(entry: Entry, kept: K) -> (io::Result<u32>, K) {
    submit(Raw { entry, kept }).await
}

async fn open(path: &str, flags: i32) -> io::Result<SharedFd> {
    let path = CString::new(path).expect("no zero in it");
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).flags(flags | libc::O_CLOEXEC).build();
    let fd = run(entry, path).await.0?;
    // SAFETY: the simulated kernel has just made this descriptor for us.
    Ok(SharedFd::new(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
}

fn target(fd: &SharedFd) -> types::Fd {
    types::Fd(fd.as_raw_fd())
}

/// Writes all, however short the single writes fall.
async fn write(fd: &SharedFd, mut offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes.to_vec();
    while !rest.is_empty() {
        let entry = opcode::Write::new(target(fd), rest.as_ptr(), rest.len() as u32).offset(offset).build();
        let (count, mut back) = run(entry, rest).await;
        let count = count?;
        offset += u64::from(count);
        rest = back.split_off(count as usize);
    }
    Ok(())
}

async fn read_all(fd: &SharedFd) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let mut buf = vec![0; 4096];
        let entry = opcode::Read::new(target(fd), buf.as_mut_ptr(), 4096).offset(all.len() as u64).build();
        let (count, buf) = run(entry, buf).await;
        match count? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count as usize]),
        }
    }
}

async fn sync(fd: &SharedFd) -> io::Result<()> {
    run(opcode::Fsync::new(target(fd)).build(), ()).await.0.map(drop)
}

#[test]
fn what_was_written_is_read_back_and_other_machines_do_not_see_it() {
    sim::check(0..50, || async {
        let bytes: Vec<u8> = (0..20_000_u32).map(|number| number as u8).collect();
        let file = open("/data", libc::O_CREAT | libc::O_RDWR).await.expect("a new file");
        write(&file, 0, &bytes).await.expect("a write");
        assert_eq!(read_all(&file).await.expect("a read"), bytes);
        let error = open("/data", libc::O_CREAT | libc::O_EXCL | libc::O_RDWR).await.expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let reader = open("/data", libc::O_RDONLY).await.expect("it is there");
        let error = write(&reader, 0, b"no").await.expect_err("opened for reading");
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        let other = sim::host("other", || async {
            let error = open("/data", libc::O_RDONLY).await.expect_err("another disk");
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        });
        other.join().await;
        assert_eq!(sim::open_files(), 2);
        file.close().await.expect("a file");
        reader.close().await.expect("a file");
        assert_eq!(sim::open_files(), 0);
    });
}

#[test]
fn a_crash_keeps_what_was_synced_and_any_part_of_the_rest() {
    let (lost, kept, torn) = (Cell::new(0), Cell::new(0), Cell::new(0));
    sim::check(0..200, || async {
        let has_crashed = Rc::new(Cell::new(false));
        let seen = Rc::new(Cell::new(0));
        let host = sim::host("disk", {
            let (has_crashed, seen) = (Rc::clone(&has_crashed), Rc::clone(&seen));
            move || {
                let (has_crashed, seen) = (Rc::clone(&has_crashed), Rc::clone(&seen));
                async move {
                    let file = open("/log", libc::O_CREAT | libc::O_RDWR).await.expect("a file");
                    if has_crashed.get() {
                        let all = read_all(&file).await.expect("a read");
                        assert_eq!(all[..100], [1; 100], "what was synced is there");
                        assert!(all[100..].iter().all(|byte| [0, 2].contains(byte)));
                        return seen.set(all[100..].iter().filter(|byte| **byte == 2).count());
                    }
                    write(&file, 0, &[1; 100]).await.expect("a write");
                    sync(&file).await.expect("a sync");
                    write(&file, 100, &[2; 2048]).await.expect("a write");
                    has_crashed.set(true);
                }
            }
        });
        host.join().await;
        host.restart();
        host.join().await;
        let count = match seen.get() {
            0 => &lost,
            2048 => &kept,
            _ => &torn,
        };
        count.set(count.get() + 1);
    });
    let (lost, kept, torn) = (lost.get(), kept.get(), torn.get());
    assert!(lost > 0 && kept > 0 && torn > 0, "lost {lost}, kept {kept}, torn {torn}");
}

#[test]
fn disks_fail_when_they_are_told_to() {
    sim::check(0..20, || async {
        let file = open("/data", libc::O_CREAT | libc::O_RDWR).await.expect("a new file");
        sim::set_faults(Faults::new().disk_error(1.0));
        for error in [write(&file, 0, b"no").await, sync(&file).await, read_all(&file).await.map(drop)] {
            assert_eq!(error.expect_err("a broken disk").raw_os_error(), Some(libc::EIO));
        }
        sim::heal();
        write(&file, 0, b"yes").await.expect("a write");
        assert_eq!(read_all(&file).await.expect("a read"), b"yes");
    });
}

#[test]
fn an_operation_that_no_kernel_knows_is_invalid() {
    sim::run(7, async {
        let (answer, ()) = run(opcode::MkDirAt::new(types::Fd(libc::AT_FDCWD), c"/no".as_ptr()).build(), ()).await;
        assert_eq!(answer.expect_err("unknown").raw_os_error(), Some(libc::EINVAL));
        let (answer, ()) = run(opcode::Fsync::new(types::Fd(-1)).build(), ()).await;
        assert_eq!(answer.expect_err("no descriptor").raw_os_error(), Some(libc::EBADF));
    });
}

#[test]
fn a_timeout_of_the_ring_follows_the_clock_of_the_world() {
    sim::check(0..20, || async {
        let start = quoit::time::Instant::now();
        let time = Box::new(types::Timespec::new().sec(3600).nsec(5));
        let (answer, _) = run(opcode::Timeout::new(&raw const *time).build(), time).await;
        assert_eq!(answer.expect_err("its time is up").raw_os_error(), Some(libc::ETIME));
        assert!(start.elapsed() >= std::time::Duration::new(3600, 5));
    });
}
