//! A table that is full, small, refused, or out of reach.

use std::time::Duration;

use quoit_runtime::{KernelKind, Runtime};

use crate::support::{alone, assert_idle, end, end_idle, in_a_process_of_its_own};
use crate::{Scratch, begin, counted, freed, lock, read_often, with_places};

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
fn a_thread_of_the_kernels_that_submits_knows_places_too() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("sqpoll", 11);
    let mut builder = Runtime::builder();
    let runtime = builder.kernel(KernelKind::IoUring).sqpoll(Duration::from_millis(1)).build().expect("a ring");
    runtime.block_on(async {
        for _ in 0..2 {
            let file = scratch.open();
            read_often(&scratch, &file).await;
            read_often(&scratch, &file).await;
            assert_eq!(counted(), (1, 0));
            // That thread closes it, and lets go of it when it likes.
            drop(file);
            assert_eq!(counted(), (0, 0));
        }
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_table_is_as_large_as_descriptors_may_be_many() {
    let Some(alone) = begin() else { return };
    in_a_process_of_its_own("bounds::a_table_is_as_large_as_descriptors_may_be_many", || {
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
fn a_kernel_that_refuses_a_table_is_asked_once() {
    let alone = alone();
    in_a_process_of_its_own("bounds::a_kernel_that_refuses_a_table_is_asked_once", || {
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
    in_a_process_of_its_own("bounds::a_file_leaves_the_table_also_where_the_call_for_it_has_been_forbidden", || {
        let scratch = Scratch::new("forbidden", 9);
        let runtime = with_places(1024);
        runtime.block_on(async {
            let file = scratch.open();
            read_often(&scratch, &file).await;
            assert_eq!(counted(), (1, 0));
            lock(&file);
            forbid(REGISTER_FILES_UPDATE);
            drop(file);
            freed(&scratch).await;
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

const REGISTER_FILES_UPDATE: u32 = 6;
const REGISTER_FILES2: u32 = 13;
