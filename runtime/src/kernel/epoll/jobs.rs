//! What the threads do: the calls that may block, as their entries describe them.
//!
//! # Safety
//!
//! Each call is given the addresses of an entry that has had no final completion: its pusher has vouched for that memory
//! until then (I1), whichever thread touches it, and the completion comes after the call. Paths end with a zero, and
//! structures are those of the system call, as io_uring asks for them, too.
#![allow(unsafe_code, reason = "system calls that take pointers")]

use std::ptr;

use io_uring::opcode;

use crate::kernel::epoll::calls::{self, Vectors, answer};
use crate::sys::sqe::RawSqe;

/// Makes the call. The answer is the result of the completion.
pub(super) fn perform(sqe: &RawSqe) -> i32 {
    loop {
        // No thread of ours handles signals; but a debugger may interrupt a call.
        match call(sqe) {
            Err(libc::EINTR) => {}
            Ok(result) => return result,
            Err(errno) => return -errno,
        }
    }
}

/// Whether a thread can do that at all.
pub(super) fn knows(code: u8) -> bool {
    matches!(
        code,
        opcode::Fsync::CODE
            | opcode::SyncFileRange::CODE
            | opcode::Fallocate::CODE
            | opcode::OpenAt::CODE
            | opcode::OpenAt2::CODE
            | opcode::Statx::CODE
            | opcode::Fadvise::CODE
            | opcode::Madvise::CODE
            | opcode::Splice::CODE
            | opcode::Tee::CODE
            | opcode::RenameAt::CODE
            | opcode::UnlinkAt::CODE
            | opcode::MkDirAt::CODE
            | opcode::SymlinkAt::CODE
            | opcode::LinkAt::CODE
            | opcode::Ftruncate::CODE
            | opcode::FGetXattr::CODE
            | opcode::FSetXattr::CODE
            | opcode::GetXattr::CODE
            | opcode::SetXattr::CODE
    )
}

/// Whether the call waits for nobody but a disk.
pub(super) fn ends_by_itself(sqe: &RawSqe) -> bool {
    // An open may wait for the other end of a FIFO, a splice for a pipe; reads come here for terminals, too.
    !matches!(sqe.opcode, opcode::OpenAt::CODE | opcode::OpenAt2::CODE | opcode::Splice::CODE | opcode::Tee::CODE)
}

fn call(sqe: &RawSqe) -> Result<i32, i32> {
    match sqe.opcode {
        opcode::Read::CODE | opcode::Readv::CODE => calls::read(sqe, &Vectors::of(sqe), 0),
        opcode::Write::CODE | opcode::Writev::CODE => calls::write(sqe, &Vectors::of(sqe), 0),
        opcode::Accept::CODE => calls::accept(sqe),
        opcode::Close::CODE => calls::close(sqe.fd),
        opcode::OpenAt::CODE | opcode::OpenAt2::CODE => open(sqe),
        opcode::Splice::CODE | opcode::Tee::CODE => splice(sqe),
        code if is_of_names(code) => on_names(sqe),
        code if is_of_attributes(code) => on_attributes(sqe),
        _ => on_file(sqe),
    }
}

fn open(sqe: &RawSqe) -> Result<i32, i32> {
    if sqe.opcode == opcode::OpenAt::CODE {
        // SAFETY: the entry names a path (I1).
        return answer(unsafe { libc::openat(sqe.fd, pointer(sqe.addr), sqe.op_flags as i32, sqe.len) });
    }
    // SAFETY: the entry names a path, and a structure of the size that it tells (I1).
    let result = unsafe {
        libc::syscall(libc::SYS_openat2, sqe.fd, pointer::<u8>(sqe.addr), pointer::<u8>(sqe.off), sqe.len as usize)
    };
    answer(result as i32)
}

fn splice(sqe: &RawSqe) -> Result<i32, i32> {
    if sqe.op_flags & SPLICE_FD_IN_FIXED != 0 {
        return Err(libc::EBADF);
    }
    let (from, bytes) = (sqe.file_index as i32, sqe.len as usize);
    if sqe.opcode == opcode::Tee::CODE {
        // SAFETY: takes numbers.
        return answer(unsafe { libc::tee(from, sqe.fd, bytes, sqe.op_flags) } as i32);
    }
    let (mut from_offset, mut to_offset) = (sqe.addr as i64, sqe.off as i64);
    let place = |offset: &mut i64| if *offset == -1 { ptr::null_mut() } else { ptr::from_mut(offset) };
    let (from_place, to_place) = (place(&mut from_offset), place(&mut to_offset));
    // SAFETY: the offsets are ours and outlive the call.
    answer(unsafe { libc::splice(from, from_place, sqe.fd, to_place, bytes, sqe.op_flags) } as i32)
}

fn is_of_names(code: u8) -> bool {
    let names = [opcode::RenameAt::CODE, opcode::UnlinkAt::CODE, opcode::MkDirAt::CODE];
    names.contains(&code) || matches!(code, opcode::SymlinkAt::CODE | opcode::LinkAt::CODE | opcode::Statx::CODE)
}

fn on_names(sqe: &RawSqe) -> Result<i32, i32> {
    let (path, second) = (pointer(sqe.addr), pointer(sqe.off));
    let directory = sqe.len as i32;
    answer(match sqe.opcode {
        // SAFETY: the entry names two paths (I1).
        opcode::RenameAt::CODE => unsafe { libc::renameat2(sqe.fd, path, directory, second, sqe.op_flags) },
        // SAFETY: the entry names a path (I1).
        opcode::UnlinkAt::CODE => unsafe { libc::unlinkat(sqe.fd, path, sqe.op_flags as i32) },
        // SAFETY: as above.
        opcode::MkDirAt::CODE => unsafe { libc::mkdirat(sqe.fd, path, sqe.len) },
        // SAFETY: the entry names two paths (I1).
        opcode::SymlinkAt::CODE => unsafe { libc::symlinkat(path, sqe.fd, second) },
        // SAFETY: as above.
        opcode::LinkAt::CODE => unsafe { libc::linkat(sqe.fd, path, directory, second, sqe.op_flags as i32) },
        // SAFETY: the entry names a path and a `statx` (I1).
        opcode::Statx::CODE => unsafe {
            libc::statx(sqe.fd, path, sqe.op_flags as i32, sqe.len, second.cast_mut().cast())
        },
        _ => return Err(libc::EINVAL),
    })
}

fn is_of_attributes(code: u8) -> bool {
    let of_files = matches!(code, opcode::FGetXattr::CODE | opcode::FSetXattr::CODE);
    of_files || matches!(code, opcode::GetXattr::CODE | opcode::SetXattr::CODE)
}

fn on_attributes(sqe: &RawSqe) -> Result<i32, i32> {
    let (name, value, bytes) = (pointer(sqe.addr), pointer::<u8>(sqe.off).cast_mut(), sqe.len as usize);
    let (path, flags) = (pointer(sqe.addr3), sqe.op_flags as i32);
    let result = match sqe.opcode {
        // SAFETY: the entry names an attribute, and as many bytes as it tells (I1).
        opcode::FGetXattr::CODE => unsafe { libc::fgetxattr(sqe.fd, name, value.cast(), bytes) },
        // SAFETY: as above, and a path.
        opcode::GetXattr::CODE => unsafe { libc::getxattr(path, name, value.cast(), bytes) },
        // SAFETY: as for `fgetxattr`.
        opcode::FSetXattr::CODE => unsafe { libc::fsetxattr(sqe.fd, name, value.cast(), bytes, flags) as isize },
        // SAFETY: as for `getxattr`.
        opcode::SetXattr::CODE => unsafe { libc::setxattr(path, name, value.cast(), bytes, flags) as isize },
        _ => return Err(libc::EINVAL),
    };
    answer(result as i32)
}

fn on_file(sqe: &RawSqe) -> Result<i32, i32> {
    let (fd, offset, bytes) = (sqe.fd, sqe.off as i64, sqe.len);
    let result = match sqe.opcode {
        opcode::Fsync::CODE if sqe.op_flags & !FSYNC_DATASYNC != 0 => return Err(libc::EINVAL),
        // SAFETY: takes numbers.
        opcode::Fsync::CODE if sqe.op_flags != 0 => unsafe { libc::fdatasync(fd) },
        // SAFETY: takes numbers.
        opcode::Fsync::CODE => unsafe { libc::fsync(fd) },
        // SAFETY: takes numbers.
        opcode::SyncFileRange::CODE => unsafe { libc::sync_file_range(fd, offset, bytes.into(), sqe.op_flags) },
        // SAFETY: takes numbers.
        opcode::Fallocate::CODE => unsafe { libc::fallocate(fd, bytes as i32, offset, sqe.addr as i64) },
        // SAFETY: takes numbers.
        opcode::Ftruncate::CODE => unsafe { libc::ftruncate(fd, offset) },
        opcode::Fadvise::CODE => {
            // SAFETY: takes numbers.
            let errno = unsafe { libc::posix_fadvise(fd, offset, bytes.into(), sqe.op_flags as i32) };
            return if errno == 0 { Ok(0) } else { Err(errno) };
        }
        // SAFETY: the advice is about memory of the pusher's, who has vouched for what it does to it (I1).
        opcode::Madvise::CODE => unsafe {
            libc::madvise(pointer::<u8>(sqe.addr).cast_mut().cast(), bytes as usize, sqe.op_flags as i32)
        },
        _ => return Err(libc::EINVAL),
    };
    answer(result)
}

/// The memory that an entry names by its address.
fn pointer<T>(address: u64) -> *const T {
    ptr::with_exposed_provenance(address as usize)
}

/// Keeps signals from this thread: whoever handles them, or waits for them, does so elsewhere.
pub(super) fn block_signals() {
    // SAFETY: zeroes are a set of signals, and it is filled in the next line.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: fills a set of ours.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: changes the mask of this thread, which is ours.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut()) };
}

const FSYNC_DATASYNC: u32 = 1;
const SPLICE_FD_IN_FIXED: u32 = 1 << 31;
