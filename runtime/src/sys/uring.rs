//! The two system calls a running ring needs, `io_uring_enter` and `io_uring_register`, and typed forms of the registrations
//! we use. The io-uring crate maps the ring; its own calls can neither keep a registered ring descriptor nor pass
//! `NO_IOWAIT`.
//!
//! # Safety
//!
//! * The structures below are the kernel's, field by field; the tests assert their sizes.
//! * All but the buffer ring are read, or written, during the call only and then forgotten by the kernel.
//! * Entering makes the kernel act on the entries staged in the ring. That their memory stays valid until completion was
//!   promised where each entry was pushed (`SubmissionQueue::push` is unsafe), so that entering needs no promise of its own.
#![allow(unsafe_code, reason = "the system calls of io_uring take raw pointers")]

use std::ffi::c_void;
use std::io;
use std::mem::size_of;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

/// `enter`: reap completions, and wait for `min_complete` of them.
pub(crate) const ENTER_GETEVENTS: u32 = 1 << 0;
/// `enter`: wake the kernel's polling thread (SQPOLL).
pub(crate) const ENTER_SQ_WAKEUP: u32 = 1 << 1;
/// `enter`: wait until the polling thread has made room in the submission queue.
pub(crate) const ENTER_SQ_WAIT: u32 = 1 << 2;
/// `enter`: the argument is an `io_uring_getevents_arg`, not a signal mask. Since 5.11.
pub(crate) const ENTER_EXT_ARG: u32 = 1 << 3;
/// `enter`: `fd` is an index from [`register_ring_fd`], of this thread. Since 5.18.
pub(crate) const ENTER_REGISTERED_RING: u32 = 1 << 4;
/// `enter`: a wait doesn't count as waiting for a disk. Since 6.15; refused with EINVAL before.
pub(crate) const ENTER_NO_IOWAIT: u32 = 1 << 7;

/// The longest wait asked of the kernel, 30 years: far from overflow when it adds the time of its clock.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// What a call of [`enter_wait`] came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// The kernel took this many entries. It says nothing about completions, nor about whether the wait was satisfied:
    /// a count above zero hides that the time was up, or that a signal came.
    Submitted(u32),
    /// The time was up, and no entry was taken.
    TimedOut,
}

/// `io_uring_enter`, see io_uring_enter(2). Answers how many entries the kernel took.
///
/// # Safety
///
/// `arg` is null, or points to `arg_bytes` bytes of what `flags` says it is, valid during the call along with all that it
/// points to.
pub(crate) unsafe fn enter(
    fd: i32,
    to_submit: u32,
    min_complete: u32,
    flags: u32,
    arg: *const c_void,
    arg_bytes: usize,
) -> io::Result<u32> {
    // SAFETY: the caller vouches for `arg`; the entries' memory was vouched for when they were pushed.
    let answer = unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, to_submit, min_complete, flags, arg, arg_bytes) };
    // What isn't negative is a count of entries, at most 32768.
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as u32) }
}

/// Enters the ring and, with `ENTER_GETEVENTS`, waits until `min_complete` completions are there or `timeout` is over; `None`
/// waits without end. The timeout is relative, and longer than 30 years is 30 years.
///
/// # Errors
///
/// Those of io_uring_enter(2), EINTR, EAGAIN and EBUSY among them; the entries then stay staged.
pub(crate) fn enter_wait(
    fd: i32,
    to_submit: u32,
    min_complete: u32,
    flags: u32,
    timeout: Option<Duration>,
) -> io::Result<Entered> {
    gather_wait(fd, to_submit, min_complete, flags, timeout, 0)
}

/// As [`enter_wait`], but after `min_wait_us` microseconds, if that isn't 0, one completion will do. Since 6.12. The timeout must
/// be longer: it is looked at afterwards.
pub(crate) fn gather_wait(
    fd: i32,
    to_submit: u32,
    min_complete: u32,
    flags: u32,
    timeout: Option<Duration>,
    min_wait_us: u32,
) -> io::Result<Entered> {
    let entered = match timeout {
        // SAFETY: without EXT_ARG a null argument is "keep the signal mask".
        None if min_wait_us == 0 => unsafe { enter(fd, to_submit, min_complete, flags, ptr::null(), 0) },
        timeout => {
            let time = timeout.map(|timeout| Timespec::from(timeout.min(LONGEST_WAIT)));
            let arg = GeteventsArg {
                sigmask: 0,
                sigmask_bytes: 0,
                min_wait_us,
                time: time.as_ref().map_or(0, |time| ptr::from_ref(time).expose_provenance() as u64),
            };
            let (arg, arg_bytes) = (ptr::from_ref(&arg).cast(), size_of::<GeteventsArg>());
            // SAFETY: `arg` is the structure that EXT_ARG announces; it and the time it points to outlive the call.
            unsafe { enter(fd, to_submit, min_complete, flags | ENTER_EXT_ARG, arg, arg_bytes) }
        }
    };
    match entered {
        Ok(count) => Ok(Entered::Submitted(count)),
        // The wait ended by its time. The kernel answers so only if it took no entry.
        Err(error) if error.raw_os_error() == Some(libc::ETIME) => Ok(Entered::TimedOut),
        Err(error) => Err(error),
    }
}

/// `io_uring_register`, see io_uring_register(2). With the top bit of `opcode` set (since 6.3) `fd` is
/// an index from [`register_ring_fd`].
///
/// # Safety
///
/// `arg` and `count` are what the opcode demands, valid during the call, and for as long as the registration lasts where the
/// kernel keeps the memory.
pub(crate) unsafe fn register(fd: i32, opcode: u32, arg: *const c_void, count: u32) -> io::Result<i32> {
    // SAFETY: the caller vouches for `arg` and `count`.
    let answer = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, opcode, arg, count) };
    // The system call answers with an `int`, which libc widened.
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as i32) }
}

/// Registers the ring's own descriptor with the calling thread and answers the index to enter with, along with
/// `ENTER_REGISTERED_RING`. Since 5.18.
///
/// The index is of this thread alone, and keeps the ring open until [`unregister_ring_fd`], or the thread's end.
///
/// # Errors
///
/// EBUSY: the thread has 16 rings registered already. EINVAL: the kernel is older.
pub(crate) fn register_ring_fd(fd: i32) -> io::Result<u32> {
    let mut update = RsrcUpdate { offset: ANY_INDEX, reserved: 0, data: fd as u64 };
    // SAFETY: `update` is one whole entry; the kernel writes its `offset` during the call.
    unsafe { register(fd, REGISTER_RING_FDS, ptr::from_mut(&mut update).cast(), 1)? };
    Ok(update.offset)
}

/// Undoes [`register_ring_fd`]; only on the thread that registered, since `index` means another ring elsewhere.
pub(crate) fn unregister_ring_fd(fd: i32, index: u32) -> io::Result<()> {
    let mut update = RsrcUpdate { offset: index, reserved: 0, data: 0 };
    // SAFETY: `update` is one whole entry that outlives the call.
    unsafe { register(fd, UNREGISTER_RING_FDS, ptr::from_mut(&mut update).cast(), 1)? };
    Ok(())
}

/// Registers a ring of provided buffers as `group`. Since 5.19.
///
/// # Errors
///
/// EINVAL: `entries` isn't a power of two up to 32768, or `addr` isn't aligned to a page. EEXIST: the group is taken.
///
/// # Safety
///
/// `addr` points to `entries` times 16 bytes, aligned to a page, zeroed or holding buffers. They stay mapped, and are written
/// only as the buffer ring's protocol allows, until [`unregister_buf_ring`] has returned or the ring is gone for certain.
pub(crate) unsafe fn register_buf_ring(fd: i32, addr: *mut c_void, entries: u32, group: u16) -> io::Result<()> {
    let addr = addr.expose_provenance() as u64;
    let registration = BufReg { addr, entries, group, flags: 0, reserved: [0; 3] };
    // SAFETY: `registration` is whole; the caller vouches for the memory it names.
    unsafe { register(fd, REGISTER_PBUF_RING, ptr::from_ref(&registration).cast(), 1)? };
    Ok(())
}

/// Undoes [`register_buf_ring`]. The memory is ours again; buffers that operations in flight picked before are not.
pub(crate) fn unregister_buf_ring(fd: i32, group: u16) -> io::Result<()> {
    let registration = BufReg { addr: 0, entries: 0, group, flags: 0, reserved: [0; 3] };
    // SAFETY: `registration` is whole and outlives the call.
    unsafe { register(fd, UNREGISTER_PBUF_RING, ptr::from_ref(&registration).cast(), 1)? };
    Ok(())
}

/// Makes the table of the ring's files, with so many places and nothing in them. Since 5.19.
///
/// # Errors
///
/// EMFILE: more places than the process may have descriptors (`RLIMIT_NOFILE`). EBUSY: there is one. ENOMEM.
pub(crate) fn register_files(fd: i32, places: u32) -> io::Result<()> {
    let table = RsrcRegister { count: places, flags: RSRC_SPARSE, reserved: 0, data: 0, tags: 0 };
    // SAFETY: `table` is whole and outlives the call; nothing is read from where it points, as it is sparse.
    unsafe { register(fd, REGISTER_FILES2, ptr::from_ref(&table).cast(), size_of::<RsrcRegister>() as u32)? };
    Ok(())
}

/// Puts a file into a place of the table, or takes out what is there. The table is an owner of the open file like any
/// descriptor of it; operations in flight that have named the place keep theirs.
///
/// # Errors
///
/// ENXIO: there is no table. EINVAL: there is no such place. EBADF, ENOMEM.
pub(crate) fn update_file(fd: i32, place: u32, file: Option<RawFd>) -> io::Result<()> {
    let file = file.unwrap_or(NO_FILE);
    let update = RsrcUpdate { offset: place, reserved: 0, data: ptr::from_ref(&file).expose_provenance() as u64 };
    // SAFETY: `update` is whole, and points to one descriptor; both outlive the call.
    unsafe { register(fd, REGISTER_FILES_UPDATE, ptr::from_ref(&update).cast(), 1)? };
    Ok(())
}

/// Takes out all files, and the table with them.
///
/// # Errors
///
/// ENXIO: there is no table.
pub(crate) fn unregister_files(fd: i32) -> io::Result<()> {
    // SAFETY: takes no argument.
    unsafe { register(fd, UNREGISTER_FILES, ptr::null(), 0)? };
    Ok(())
}

/// In a place of the table: no file.
pub(crate) const NO_FILE: RawFd = -1;

const UNREGISTER_FILES: u32 = 3;
const REGISTER_FILES_UPDATE: u32 = 6;
const REGISTER_FILES2: u32 = 13;
const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;
const REGISTER_PBUF_RING: u32 = 22;
const UNREGISTER_PBUF_RING: u32 = 23;

/// In `RsrcUpdate::offset`: the kernel picks a free index.
const ANY_INDEX: u32 = u32::MAX;

/// `struct __kernel_timespec`: 64 bits wide on every architecture.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

impl From<Duration> for Timespec {
    /// The duration is at most [`LONGEST_WAIT`], whose seconds fit.
    fn from(duration: Duration) -> Timespec {
        Timespec { seconds: duration.as_secs() as i64, nanoseconds: i64::from(duration.subsec_nanos()) }
    }
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct GeteventsArg {
    /// Address of a signal mask; 0: none.
    sigmask: u64,
    sigmask_bytes: u32,
    /// Since 6.12.
    min_wait_us: u32,
    /// Address of a [`Timespec`].
    time: u64,
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct RsrcUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// `struct io_uring_rsrc_register`.
#[repr(C)]
struct RsrcRegister {
    count: u32,
    flags: u32,
    reserved: u64,
    data: u64,
    tags: u64,
}

/// In `RsrcRegister::flags`: without any resources yet.
const RSRC_SPARSE: u32 = 1 << 0;

/// `struct io_uring_buf_reg`.
#[repr(C)]
struct BufReg {
    addr: u64,
    entries: u32,
    group: u16,
    flags: u16,
    reserved: [u64; 3],
}

#[cfg(test)]
mod tests;
