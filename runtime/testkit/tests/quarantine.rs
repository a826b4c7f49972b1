//! The quarantine as the global allocator of a whole test binary, with the kernel as the one who writes late.
//!
//! The tests plant faults, and a fault is reported to whoever asks first: they run one at a time.
#![allow(unsafe_code, reason = "plants writes into freed memory")]

use std::hint::black_box;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quoit_testkit::{QuarantineAlloc, allocations_of_this_thread};

#[global_allocator]
static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn kernel_that_reads_into_a_freed_buffer_is_caught() {
    let _alone = alone();
    ALLOC.assert_clean();
    let (reader, mut writer) = std::io::pipe().expect("there are descriptors for a pipe");
    std::io::Write::write_all(&mut writer, b"late completion").expect("the pipe is open and empty");
    // The bug that a driver must not have: the buffer is freed while the kernel still has its address.
    let mut buffer = black_box(vec![0_u8; 16 * 1024]);
    let address = buffer.as_mut_ptr();
    drop(buffer);
    // SAFETY: none; this is the planted fault. The quarantine still owns the memory, so nobody else's is written to.
    let late = unsafe { address.add(1000) };
    // SAFETY: as above.
    let count = unsafe { libc::read(reader.as_raw_fd(), late.cast(), 1000) };
    assert_eq!(count, 15);
    let report = ALLOC.check().expect_err("the kernel's write is found");
    assert_eq!(report.count, 1);
    assert_eq!((report.first.address, report.first.size), (address.addr(), 16 * 1024));
    assert_eq!((report.first.offset, report.first.written), (1000, 15));
    assert_eq!(&report.first.found[..15], b"late completion");
    ALLOC.assert_clean();
}

#[test]
fn buffer_left_behind_by_a_growing_vector_is_watched() {
    let _alone = alone();
    let mut buffer = black_box(vec![0_u8; 1024]);
    let before = buffer.as_mut_ptr();
    buffer.reserve_exact(1024 * 1024);
    assert_ne!(buffer.as_mut_ptr(), before);
    // SAFETY: none; this is the planted fault, into memory that the quarantine owns.
    let late = unsafe { before.add(1023) };
    // SAFETY: as above.
    unsafe { late.write(0) };
    let report = ALLOC.check().expect_err("the write is found");
    assert_eq!((report.count, report.first.size, report.first.offset), (1, 1024, 1023));
}

#[test]
fn sound_program_is_clean() {
    let _alone = alone();
    let work = |seed: u64| {
        let mut map = std::collections::BTreeMap::new();
        for number in 0..2_000 {
            map.insert(number, format!("{number:0>200}"));
            if number % 3 == seed % 3 {
                map.remove(&(number / 2));
            }
        }
        map.len()
    };
    std::thread::scope(|scope| {
        for seed in 0..3 {
            scope.spawn(move || assert!(work(seed) > 1_000));
        }
    });
    ALLOC.assert_clean();
    ALLOC.flush();
    ALLOC.assert_clean();
}

#[test]
fn every_call_that_allocates_is_counted_for_its_thread() {
    let _alone = alone();
    let before = allocations_of_this_thread();
    let mut bytes = black_box(Vec::<u8>::with_capacity(10));
    assert_eq!(allocations_of_this_thread() - before, 1);
    bytes.reserve_exact(1000);
    assert_eq!(allocations_of_this_thread() - before, 2);
    bytes.extend([0; 1000]);
    drop(bytes);
    assert_eq!(allocations_of_this_thread() - before, 2);
    let zeroed = black_box(vec![0_u64; 10]);
    assert_eq!(allocations_of_this_thread() - before, 3);
    drop(zeroed);
    let (of_this_thread, of_all) = (allocations_of_this_thread(), ALLOC.allocations());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let before = allocations_of_this_thread();
            let boxes: Vec<Box<u8>> = (0..100).map(|number| black_box(Box::new(number))).collect();
            assert_eq!(allocations_of_this_thread() - before, 101);
            drop(boxes);
        });
    });
    // Starting a thread allocates here a few times, but not those 101.
    assert!(allocations_of_this_thread() - of_this_thread < 50);
    assert!(ALLOC.allocations() - of_all >= 101);
}

#[test]
fn leak_shows_in_the_live_counts() {
    let _alone = alone();
    // The harness allocates on its own thread, too, but nothing of this size.
    const LEAK: usize = 64 * 1024 * 1024;
    let (bytes, blocks) = (ALLOC.live_bytes(), ALLOC.live_blocks());
    let leaked = black_box(vec![0_u8; LEAK]).leak();
    let difference = ALLOC.live_bytes() - bytes;
    assert!((LEAK - LEAK / 8..LEAK + LEAK / 8).contains(&difference), "{difference}");
    let leaked: *mut [u8] = black_box(leaked);
    // SAFETY: the slice is a whole vector that was leaked, and is not used again.
    drop(unsafe { Box::from_raw(leaked) });
    assert!(ALLOC.live_bytes() < bytes + LEAK / 8);
    // So many blocks are not the harness's, either.
    let leaked: Vec<_> = (0..10_000).map(|number| Box::leak(Box::new(black_box(number)))).collect();
    assert!((9_000..11_000).contains(&(ALLOC.live_blocks() - blocks)));
    for leaked in leaked {
        // SAFETY: the number was a box that was leaked, and is not used again.
        drop(unsafe { Box::from_raw(leaked) });
    }
    assert!(ALLOC.live_blocks() < blocks + 1_000);
}

/// A fault that no test asks for makes the process fail when it exits. The process is this test, started once more.
#[test]
fn fault_that_nobody_asks_for_fails_the_process() {
    let _alone = alone();
    const PLANT: &str = "QUOIT_PLANT_A_FAULT";
    let name = "fault_that_nobody_asks_for_fails_the_process";
    if std::env::var_os(PLANT).is_some() {
        let mut buffer = black_box(vec![0_u8; 4096]);
        let address = buffer.as_mut_ptr();
        drop(buffer);
        // SAFETY: none; this is the planted fault. The quarantine still owns the memory, so nobody else's is written to.
        unsafe { address.write_volatile(1) };
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().expect("the path of this test"))
        .args(["--exact", name, "--nocapture"])
        .env(PLANT, "1")
        .output()
        .expect("this test can be started");
    let errors = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(101), "{errors}");
    assert!(errors.contains("at the end of the process:"), "{errors}");
}
