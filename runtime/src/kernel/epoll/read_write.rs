//! Reading and writing what need not be a socket.
//!
//! `RWF_NOWAIT` is the form that does not block. Files on disks take it for reads of what is in memory; all else of theirs
//! is for threads. Pipes and their kind wait for their readiness; what knows no such form (some terminals and devices) is
//! ready first, and then goes to a thread, as the readiness may be gone by the time of the call.

use crate::kernel::epoll::attempt::{Ended, Progress};
use crate::kernel::epoll::calls::{self, Vectors};
use crate::kernel::epoll::requests::{Direction, Request};
use crate::kernel::epoll::{Epoll, abi};
use crate::sys::sqe::RawSqe;

impl Epoll {
    /// `READ` and `READV`.
    pub(super) fn attempt_read(&mut self, request: &mut Request) -> Progress {
        if request.has_flag(abi::sqe::BUFFER_SELECT) {
            return self.attempt_read_picked(request);
        }
        let sqe = request.sqe;
        let into = Vectors::of(&sqe);
        if request.tries == 0 {
            match is_on_disk(&sqe) {
                Ok(false) => {}
                Ok(true) => return read_file(&sqe, &into),
                Err(errno) => return Progress::failed(errno),
            }
        }
        not_blocking(request, Direction::Read, |flags| calls::read(&sqe, &into, flags))
    }

    /// `WRITE` and `WRITEV`.
    pub(super) fn attempt_write(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        if request.tries == 0 {
            match is_on_disk(&sqe) {
                Ok(false) => {}
                // Only a part might be written without waiting: one call does all.
                Ok(true) => return Progress::Work { ends_by_itself: true },
                Err(errno) => return Progress::failed(errno),
            }
        }
        let from = Vectors::of(&sqe);
        not_blocking(request, Direction::Write, |flags| calls::write(&sqe, &from, flags))
    }

    /// A read into a provided buffer.
    fn attempt_read_picked(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        match is_on_disk(&sqe) {
            Ok(false) => {}
            // The buffer would have to be picked before there is anything in it.
            Ok(true) => return Progress::refused(libc::EOPNOTSUPP),
            Err(errno) => return Progress::failed(errno),
        }
        let provided = match self.groups.next(sqe.buf_group) {
            Ok(provided) => provided,
            Err(errno) => return Progress::failed(errno),
        };
        let most = if sqe.len == 0 { provided.bytes } else { provided.bytes.min(sqe.len) };
        let into = Vectors::one(provided.address, most as usize);
        match not_blocking(request, Direction::Read, |flags| calls::read(&sqe, &into, flags)) {
            Progress::Done(ended) if ended.result > 0 => {
                self.groups.pick(sqe.buf_group);
                let flags = abi::cqe::BUFFER | u32::from(provided.bid) << abi::cqe::BUFFER_SHIFT;
                Progress::Done(Ended { flags, ..ended })
            }
            Progress::Work { .. } => Progress::refused(libc::EOPNOTSUPP),
            progress => progress,
        }
    }
}

/// A call on what may become ready.
fn not_blocking(request: &Request, direction: Direction, call: impl FnOnce(i32) -> calls::Answer) -> Progress {
    let sqe = &request.sqe;
    match call(libc::RWF_NOWAIT) {
        Err(libc::EAGAIN) if sqe.op_flags as i32 & libc::RWF_NOWAIT == 0 => Progress::Wait(direction),
        Err(libc::EINTR) => Progress::Again(direction),
        Err(libc::EOPNOTSUPP) => {
            let events = if direction == Direction::Read { libc::POLLIN } else { libc::POLLOUT };
            match calls::poll(sqe.fd, events) {
                Ok(0) => Progress::Wait(direction),
                Ok(_) => Progress::Work { ends_by_itself: false },
                Err(errno) => Progress::failed(errno),
            }
        }
        answer => Progress::of(answer),
    }
}

/// Reads what the system has in memory; the rest is for a thread.
fn read_file(sqe: &RawSqe, into: &Vectors) -> Progress {
    if !calls::is_direct(sqe.fd) {
        match calls::read(sqe, into, libc::RWF_NOWAIT) {
            Ok(count) if count == 0 || count as usize == into.bytes() => return Progress::Done(Ended::with(count)),
            // A read at the file's own place has moved that by now.
            Ok(count) if sqe.off as i64 == -1 => return Progress::Done(Ended::with(count)),
            // A part, or nothing yet.
            Ok(_) | Err(libc::EAGAIN | libc::EOPNOTSUPP | libc::EINTR) => {}
            Err(errno) => return Progress::failed(errno),
        }
    }
    Progress::Work { ends_by_itself: true }
}

/// Whether the descriptor is a file that is always ready, however long its calls take.
fn is_on_disk(sqe: &RawSqe) -> Result<bool, i32> {
    Ok(matches!(calls::file_type(sqe.fd)?, libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR))
}
