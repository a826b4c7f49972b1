//! The system calls behind the entries, in the forms that do not block.
//!
//! # Safety
//!
//! Each call is given the addresses of an entry that has had no final completion: its pusher has vouched for that memory
//! until then (I1). Whatever else a call reads or writes is ours and outlives it.
#![allow(unsafe_code, reason = "system calls that take pointers")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use io_uring::opcode;

use crate::sys::sqe::RawSqe;

/// A result, or an errno.
pub(in crate::kernel) type Answer = Result<i32, i32>;

#[inline]
pub(in crate::kernel) fn answer(result: i32) -> Answer {
    if result < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { Ok(result) }
}

fn count(result: isize) -> Result<usize, i32> {
    answer(result.min(i32::MAX as isize) as i32).map(|count| count as usize)
}

/// The memory that an entry names by its address.
#[inline]
pub(in crate::kernel) fn pointer<T>(address: u64) -> *mut T {
    ptr::with_exposed_provenance_mut(address as usize)
}

/// Memory that a call reads from or writes to, as it names it: an entry's own bytes, its list of parts, or what is left of
/// them.
#[derive(Debug)]
pub(super) enum Vectors {
    One(libc::iovec),
    Listed { address: u64, count: usize },
    Rest(Vec<libc::iovec>),
}

impl Vectors {
    pub(super) fn one(address: u64, bytes: usize) -> Self {
        Self::One(libc::iovec { iov_base: pointer(address), iov_len: bytes })
    }

    /// What a read or write names.
    pub(super) fn of(sqe: &RawSqe) -> Self {
        match sqe.opcode {
            opcode::Readv::CODE | opcode::Writev::CODE => Self::Listed { address: sqe.addr, count: sqe.len as usize },
            _ => Self::one(sqe.addr, sqe.len as usize),
        }
    }

    /// The same without its first `done` bytes.
    pub(super) fn after(self, done: usize) -> Self {
        if done == 0 {
            return self;
        }
        let mut left = done;
        let parts = self.parts().iter().filter_map(|part| {
            let taken = left.min(part.iov_len);
            left -= taken;
            let iov_base = part.iov_base.cast::<u8>().wrapping_add(taken).cast();
            (taken < part.iov_len).then_some(libc::iovec { iov_base, iov_len: part.iov_len - taken })
        });
        Self::Rest(parts.collect())
    }

    pub(super) fn parts(&self) -> &[libc::iovec] {
        match self {
            Self::One(part) => std::slice::from_ref(part),
            Self::Listed { count: 0, .. } => &[],
            // SAFETY: the entry names a list of that many parts, which nobody writes to until its completion (I1).
            Self::Listed { address, count } => unsafe { std::slice::from_raw_parts(pointer(*address), *count) },
            Self::Rest(parts) => parts,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.parts().iter().map(|part| part.iov_len).sum()
    }
}

/// `preadv2`, or `readv` where the descriptor has no place.
pub(super) fn read(sqe: &RawSqe, into: &Vectors, flags: i32) -> Answer {
    let (parts, flags) = (into.parts(), sqe.op_flags as i32 | flags);
    let call = |offset| {
        // SAFETY: the parts are the entry's own memory (I1).
        answer(unsafe { libc::preadv2(sqe.fd, parts.as_ptr(), parts.len() as i32, offset, flags) } as i32)
    };
    at_place(sqe.off as i64, call)
}

/// `pwritev2`, or `writev` where the descriptor has no place.
pub(super) fn write(sqe: &RawSqe, from: &Vectors, flags: i32) -> Answer {
    let (parts, flags) = (from.parts(), sqe.op_flags as i32 | flags);
    let call = |offset| {
        // SAFETY: the parts are the entry's own memory (I1).
        answer(unsafe { libc::pwritev2(sqe.fd, parts.as_ptr(), parts.len() as i32, offset, flags) } as i32)
    };
    at_place(sqe.off as i64, call)
}

/// io_uring lets an offset pass where the file has none, such as a pipe.
fn at_place(offset: i64, call: impl Fn(i64) -> Answer) -> Answer {
    match call(offset) {
        Err(libc::ESPIPE) if offset != -1 => call(-1),
        result => result,
    }
}

/// `send`, or `sendto` where the entry names an address.
pub(in crate::kernel) fn send(sqe: &RawSqe, done: usize, flags: i32) -> Result<usize, i32> {
    let (start, bytes) = (pointer::<u8>(sqe.addr).wrapping_add(done), sqe.len as usize - done);
    let (address, address_bytes) = (pointer(sqe.off), sqe.file_index & 0xffff);
    let address: *const libc::sockaddr = if sqe.off == 0 { ptr::null() } else { address };
    // SAFETY: the entry names the bytes, and the address if there is one (I1).
    count(unsafe { libc::sendto(sqe.fd, start.cast(), bytes, flags, address, address_bytes) })
}

/// `sendmsg` of what is behind the first `done` bytes.
pub(in crate::kernel) fn send_message(sqe: &RawSqe, done: usize, flags: i32) -> Result<usize, i32> {
    let mut message = message(sqe);
    let rest = message_parts(&message).after(done);
    if done > 0 {
        name_parts(&mut message, &rest);
        // What goes along with a message went with its first byte.
        (message.msg_control, message.msg_controllen) = (ptr::null_mut(), 0);
    }
    // SAFETY: the message names the entry's own memory (I1), and a list of parts that outlives the call.
    count(unsafe { libc::sendmsg(sqe.fd, &raw const message, flags) })
}

pub(super) fn receive(fd: RawFd, address: u64, bytes: usize, flags: i32) -> Result<usize, i32> {
    // SAFETY: the bytes are the entry's, or a provided buffer's that nobody else has (I1, I6).
    count(unsafe { libc::recv(fd, pointer(address), bytes, flags) })
}

/// `recvmsg` into what is behind the first `done` bytes, or into the part given; tells the rest of the message in the
/// entry's header.
pub(super) fn receive_message(sqe: &RawSqe, part: Option<(u64, usize)>, done: usize, flags: i32) -> Result<usize, i32> {
    let mut message = message(sqe);
    let rest = match part {
        Some((address, bytes)) => Vectors::one(address, bytes),
        None => message_parts(&message).after(done),
    };
    name_parts(&mut message, &rest);
    if done > 0 {
        // What goes along with a message came with its first byte.
        (message.msg_name, message.msg_namelen) = (ptr::null_mut(), 0);
        (message.msg_control, message.msg_controllen) = (ptr::null_mut(), 0);
    }
    // SAFETY: the message names the entry's own memory (I1), and a list of parts that outlives the call.
    let received = count(unsafe { libc::recvmsg(sqe.fd, &raw mut message, flags) })?;
    if done == 0 {
        let header: *mut libc::msghdr = pointer(sqe.addr);
        // SAFETY: the header is the entry's own, and the kernel would write to it now (I1).
        let header = unsafe { &mut *header };
        header.msg_namelen = message.msg_namelen;
        header.msg_controllen = message.msg_controllen;
        header.msg_flags = message.msg_flags;
    }
    Ok(received)
}

/// What a `recvmsg` into a provided buffer told.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: usize,
    pub(super) name_bytes: u32,
    pub(super) control_bytes: usize,
    pub(super) flags: i32,
}

/// `recvmsg` with name, control messages and payload behind one another, from `address` on.
pub(super) fn receive_laid_out(sqe: &RawSqe, address: u64, payload_bytes: usize, flags: i32) -> Result<Received, i32> {
    let (name_bytes, control_bytes) = message_room(sqe);
    let (control, payload) = (address + u64::from(name_bytes), address + u64::from(name_bytes) + control_bytes as u64);
    let rest = Vectors::one(payload, payload_bytes);
    let mut message = message(sqe);
    (message.msg_name, message.msg_namelen) = (pointer(address), name_bytes);
    (message.msg_control, message.msg_controllen) = (pointer(control), control_bytes);
    if name_bytes == 0 {
        message.msg_name = ptr::null_mut();
    }
    name_parts(&mut message, &rest);
    // SAFETY: the message names places in a provided buffer that nobody else has (I6), one behind the other.
    let bytes = count(unsafe { libc::recvmsg(sqe.fd, &raw mut message, flags) })?;
    Ok(Received {
        bytes,
        name_bytes: message.msg_namelen,
        control_bytes: message.msg_controllen,
        flags: message.msg_flags,
    })
}

/// Writes the front of a buffer: see [`receive_laid_out`].
pub(super) fn lay_out<T: Copy>(address: u64, front: T) {
    // SAFETY: the buffer begins there, is large enough, and nobody else has it (I6); alignment is not asked for.
    unsafe { pointer::<T>(address).write_unaligned(front) };
}

/// How much room the header of a multishot `recvmsg` asks for: for a name, and for control messages.
pub(super) fn message_room(sqe: &RawSqe) -> (u32, usize) {
    let message = message(sqe);
    (message.msg_namelen, message.msg_controllen)
}

/// How many bytes a message has.
pub(super) fn message_bytes(sqe: &RawSqe) -> usize {
    message_parts(&message(sqe)).bytes()
}

/// How many bytes the one part of a message has that is to be received into a provided buffer; 0: as many as that has.
pub(super) fn message_limit(sqe: &RawSqe) -> Result<usize, i32> {
    let message = message(sqe);
    match message_parts(&message).parts() {
        [] => Ok(0),
        [part] => Ok(part.iov_len),
        _ => Err(libc::EINVAL),
    }
}

fn message(sqe: &RawSqe) -> libc::msghdr {
    // SAFETY: the entry names a header (I1).
    unsafe { pointer::<libc::msghdr>(sqe.addr).read() }
}

fn message_parts(message: &libc::msghdr) -> Vectors {
    Vectors::Listed { address: message.msg_iov.expose_provenance() as u64, count: message.msg_iovlen }
}

fn name_parts(message: &mut libc::msghdr, parts: &Vectors) {
    message.msg_iov = parts.parts().as_ptr().cast_mut();
    message.msg_iovlen = parts.parts().len();
}

/// `accept4`, which blocks where no connection is there, unless the listener is a non-blocking one.
pub(super) fn accept(sqe: &RawSqe) -> Answer {
    // SAFETY: the entry names room for an address and its length, or neither (I1).
    answer(unsafe { libc::accept4(sqe.fd, pointer(sqe.addr), pointer(sqe.off), sqe.op_flags as i32) })
}

/// Begins to connect, without waiting.
pub(super) fn connect(sqe: &RawSqe) -> Answer {
    let (address, bytes) = (pointer(sqe.addr), sqe.off as libc::socklen_t);
    // SAFETY: the entry names an address of that length (I1).
    let call = || answer(unsafe { libc::connect(sqe.fd, address, bytes) });
    // Sockets without connections don't wait.
    if !matches!(socket_option(sqe.fd, libc::SO_TYPE)?, libc::SOCK_STREAM | libc::SOCK_SEQPACKET) {
        return call();
    }
    // SAFETY: takes numbers.
    let flags = answer(unsafe { libc::fcntl(sqe.fd, libc::F_GETFL) })?;
    if flags & libc::O_NONBLOCK != 0 {
        return call();
    }
    // No call but this one has another way not to wait. For its time the flag makes no difference to others who use the
    // socket: it has no connection yet, so that their calls fail at once either way.
    // SAFETY: takes numbers.
    answer(unsafe { libc::fcntl(sqe.fd, libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    let result = call();
    // SAFETY: takes numbers.
    unsafe { libc::fcntl(sqe.fd, libc::F_SETFL, flags) };
    result
}

pub(super) fn bind(sqe: &RawSqe) -> Answer {
    // SAFETY: the entry names an address of that length (I1).
    answer(unsafe { libc::bind(sqe.fd, pointer(sqe.addr), sqe.off as libc::socklen_t) })
}

pub(super) fn listen(sqe: &RawSqe) -> Answer {
    // SAFETY: takes numbers.
    answer(unsafe { libc::listen(sqe.fd, sqe.len as i32) })
}

pub(super) fn socket(sqe: &RawSqe) -> Answer {
    // SAFETY: takes numbers.
    answer(unsafe { libc::socket(sqe.fd, sqe.off as i32, sqe.len as i32) })
}

pub(super) fn shutdown(sqe: &RawSqe) -> Answer {
    // SAFETY: takes numbers.
    answer(unsafe { libc::shutdown(sqe.fd, sqe.len as i32) })
}

pub(super) fn pipe(sqe: &RawSqe) -> Answer {
    // SAFETY: the entry names room for two descriptors (I1).
    answer(unsafe { libc::pipe2(pointer(sqe.addr), sqe.op_flags as i32) })
}

pub(super) fn close(fd: RawFd) -> Answer {
    // SAFETY: the entry was pushed by who owns the descriptor, to have it closed.
    answer(unsafe { libc::close(fd) })
}

/// Which of `events` hold now, and errors and ends.
pub(super) fn poll(fd: RawFd, events: i16) -> Result<i16, i32> {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry of ours.
    answer(unsafe { libc::poll(&raw mut entry, 1, 0) })?;
    if entry.revents & libc::POLLNVAL != 0 { Err(libc::EBADF) } else { Ok(entry.revents) }
}

/// An option of a socket that is a number, such as `SO_TYPE`.
pub(super) fn socket_option(fd: RawFd, option: i32) -> Answer {
    let (mut value, mut bytes) = (0_i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel writes at most `bytes` bytes to `value`.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, option, ptr::from_mut(&mut value).cast(), &raw mut bytes) };
    answer(result).map(|_| value)
}

/// How many bytes wait in a stream.
pub(super) fn bytes_waiting(fd: RawFd) -> i32 {
    let mut bytes = 0_i32;
    // SAFETY: the kernel writes a number to `bytes`.
    let result = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut bytes) };
    if result < 0 { 0 } else { bytes }
}

/// The type of a file, `S_IFREG` and its kind.
pub(super) fn file_type(fd: RawFd) -> Result<u32, i32> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the structure, if it succeeds.
    answer(unsafe { libc::fstat(fd, status.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded.
    Ok(unsafe { status.assume_init() }.st_mode & libc::S_IFMT)
}

/// Whether a file is read past the cache, so that no read is answered at once.
pub(super) fn is_direct(fd: RawFd) -> bool {
    // SAFETY: takes numbers.
    unsafe { libc::fcntl(fd, libc::F_GETFL) & libc::O_DIRECT != 0 }
}

/// Whether a descriptor is open and not given to programs that this one runs.
pub(super) fn is_private(fd: RawFd) -> bool {
    // SAFETY: takes numbers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC != 0
}

/// A descriptor that is ready to be read when the process has ended.
pub(super) fn process(id: i32) -> Result<OwnedFd, i32> {
    // SAFETY: takes numbers.
    let fd = answer(unsafe { libc::syscall(libc::SYS_pidfd_open, id, 0) } as i32)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `waitid` without waiting; whether a child was there.
pub(super) fn wait_for_child(sqe: &RawSqe) -> Result<bool, i32> {
    // SAFETY: zeroes are a `siginfo_t`.
    let mut told: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let (kind, id) = (sqe.len as libc::idtype_t, sqe.fd as libc::id_t);
    // SAFETY: the structure is ours.
    answer(unsafe { libc::waitid(kind, id, &raw mut told, sqe.file_index as i32 | libc::WNOHANG) })?;
    // SAFETY: for `waitid` the field is there, and 0 where there was no child.
    let found = unsafe { told.si_pid() } != 0;
    if found && sqe.off != 0 {
        // SAFETY: the entry names room for the structure (I1).
        unsafe { pointer::<libc::siginfo_t>(sqe.off).write(told) };
    }
    Ok(found)
}

/// The time that a timeout names.
pub(super) fn time(address: u64) -> [i64; 2] {
    // SAFETY: the entry names two numbers, seconds and nanoseconds (I1).
    unsafe { pointer::<[i64; 2]>(address).read() }
}

/// The time of one of the system's clocks, since whenever it began.
pub(super) fn clock(id: libc::clockid_t) -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to a structure of ours.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    std::time::Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}
