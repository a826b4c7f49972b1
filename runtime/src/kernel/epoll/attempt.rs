//! One try of one entry: what it asks for, and how far it came.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::opcode;

use crate::kernel::epoll::calls::{self, Answer};
use crate::kernel::epoll::requests::{Direction, Place, Request};
use crate::kernel::epoll::{Epoll, abi, jobs};
use crate::sys::sqe::RawSqe;

/// How a request goes on.
#[derive(Debug)]
pub(super) enum Progress {
    /// It has ended.
    Done(Ended),
    /// It was tried, but not now: when its descriptor becomes ready.
    Wait(Direction),
    /// It was not tried: when its descriptor is ready, also if it has been for long.
    Ready(Direction),
    /// It has had its share of this turn, and goes on in the next.
    Again(Direction),
    /// At that time.
    At(Instant),
    /// It could block: a thread does it.
    Work { ends_by_itself: bool },
    /// When epoll tells what it polls for.
    Poll,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) result: i32,
    pub(super) flags: u32,
    /// It counts as a failure: its completion is posted, and what is linked to it cancelled.
    pub(super) failed: bool,
    /// It made no sense, and has not begun.
    pub(super) refused: bool,
}

impl Ended {
    pub(super) fn with(result: i32) -> Self {
        Self { result, flags: 0, failed: result < 0, refused: false }
    }

    pub(super) fn error(errno: i32) -> Self {
        Self::with(-errno)
    }
}

impl Progress {
    pub(super) fn of(answer: Answer) -> Self {
        match answer {
            Ok(result) => Self::Done(Ended::with(result)),
            Err(errno) => Self::failed(errno),
        }
    }

    pub(super) fn failed(errno: i32) -> Self {
        Self::Done(Ended::error(errno))
    }

    /// The entry makes no sense.
    pub(super) fn refused(errno: i32) -> Self {
        Self::Done(Ended { refused: true, ..Ended::error(errno) })
    }

    pub(super) fn after(time: Duration) -> Self {
        Self::At(Instant::now() + time)
    }
}

impl Epoll {
    /// The first try of an entry, which may make no sense.
    pub(super) fn attempt_first(&mut self, request: &mut Request) -> Progress {
        let sqe = &request.sqe;
        let errno = match sqe.flags {
            flags if flags & !abi::sqe::KNOWN != 0 || sqe.personality != 0 => libc::EINVAL,
            flags if flags & abi::sqe::BUFFER_SELECT != 0 && !picks_buffers(sqe.opcode) => libc::EOPNOTSUPP,
            flags if flags & abi::sqe::FIXED_FILE != 0 => libc::EBADF,
            _ => return self.attempt(request),
        };
        Progress::refused(errno)
    }

    /// Tries to perform what the entry describes, without blocking.
    pub(super) fn attempt(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        let progress = match sqe.opcode {
            opcode::Nop::CODE => nop(&sqe),
            opcode::Send::CODE | opcode::SendMsg::CODE => self.attempt_send(request),
            opcode::SendZc::CODE | opcode::SendMsgZc::CODE => self.attempt_send(request),
            opcode::Recv::CODE | opcode::RecvMsg::CODE => self.attempt_receive(request),
            opcode::Accept::CODE => self.attempt_accept(request),
            opcode::Connect::CODE => self.attempt_connect(request),
            opcode::Read::CODE | opcode::Readv::CODE => self.attempt_read(request),
            opcode::Write::CODE | opcode::Writev::CODE => self.attempt_write(request),
            opcode::PollAdd::CODE => poll(&sqe),
            opcode::PollRemove::CODE => self.attempt_poll_remove(&sqe),
            opcode::AsyncCancel::CODE => self.attempt_cancel(&sqe),
            opcode::Timeout::CODE | opcode::LinkTimeout::CODE => self.attempt_timeout(request),
            opcode::TimeoutRemove::CODE => self.attempt_timeout_remove(&sqe),
            opcode::Close::CODE => self.attempt_close(&sqe),
            opcode::WaitId::CODE => self.attempt_wait_for_child(request),
            code if jobs::knows(code) => Progress::Work { ends_by_itself: jobs::ends_by_itself(&sqe) },
            _ => at_once(&sqe),
        };
        request.tries = request.tries.saturating_add(1);
        progress
    }

    /// Closes a descriptor: here if that cannot take long.
    fn attempt_close(&mut self, sqe: &RawSqe) -> Progress {
        if sqe.off != 0 || sqe.addr != 0 || sqe.len != 0 || sqe.op_flags != 0 || sqe.buf_group != 0 {
            return Progress::refused(libc::EINVAL);
        }
        if sqe.file_index != 0 {
            // There are no registered descriptors.
            return Progress::refused(libc::ENXIO);
        }
        for id in self.files.forget(&self.poller, sqe.fd) {
            if let Some(request) = self.requests.get_mut(id) {
                request.place = Place::Orphaned;
            }
        }
        match calls::file_type(sqe.fd) {
            Ok(libc::S_IFSOCK | libc::S_IFIFO | libc::S_IFCHR | 0) => Progress::of(calls::close(sqe.fd)),
            Ok(_) => Progress::Work { ends_by_itself: true },
            Err(errno) => Progress::failed(errno),
        }
    }

    /// `waitid`: a process has a descriptor that tells of its end. For all else there are looks from time to time.
    fn attempt_wait_for_child(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        match calls::wait_for_child(&sqe) {
            Ok(true) => return Progress::Done(Ended::with(0)),
            Ok(false) if sqe.file_index & libc::WNOHANG as u32 != 0 => return Progress::Done(Ended::with(0)),
            Ok(false) => {}
            Err(errno) => return Progress::failed(errno),
        }
        let ends_only = sqe.file_index & (libc::WSTOPPED | libc::WCONTINUED) as u32 == 0;
        if ends_only && sqe.len == libc::P_PIDFD {
            return Progress::Ready(Direction::Read);
        }
        if ends_only
            && sqe.len == libc::P_PID
            && request.owned.is_none()
            && let Ok(process) = calls::process(sqe.fd)
        {
            request.fd = process.as_raw_fd();
            request.owned = Some(process);
        }
        if request.owned.is_some() { Progress::Ready(Direction::Read) } else { Progress::after(CHILD_LOOKS) }
    }
}

fn nop(sqe: &RawSqe) -> Progress {
    match sqe.op_flags {
        0 => Progress::Done(Ended::with(0)),
        abi::NOP_INJECT_RESULT => Progress::Done(Ended::with(sqe.len as i32)),
        _ => Progress::refused(libc::EINVAL),
    }
}

fn poll(sqe: &RawSqe) -> Progress {
    let skips = sqe.flags & abi::sqe::CQE_SKIP_SUCCESS != 0;
    let is_multi = sqe.len & abi::POLL_MULTI != 0;
    if sqe.len & !abi::POLL_MULTI != 0 || sqe.off != 0 || sqe.addr != 0 || is_multi && skips {
        return Progress::refused(libc::EINVAL);
    }
    Progress::Poll
}

/// What never waits.
fn at_once(sqe: &RawSqe) -> Progress {
    Progress::of(match sqe.opcode {
        opcode::Shutdown::CODE => calls::shutdown(sqe),
        opcode::Socket::CODE if sqe.file_index != 0 || sqe.op_flags != 0 => Err(libc::EINVAL),
        opcode::Socket::CODE => calls::socket(sqe),
        opcode::Bind::CODE => calls::bind(sqe),
        opcode::Listen::CODE => calls::listen(sqe),
        opcode::Pipe::CODE if sqe.file_index != 0 => Err(libc::EINVAL),
        opcode::Pipe::CODE => calls::pipe(sqe),
        // No ring here has a descriptor, and one of the kernel's own does not take messages from outside.
        opcode::MsgRingData::CODE => Err(libc::EBADFD),
        // No buffers are registered.
        opcode::ReadFixed::CODE | opcode::WriteFixed::CODE => Err(libc::EFAULT),
        _ => Err(libc::EINVAL),
    })
}

/// Whether the operation may have its buffer picked for it.
fn picks_buffers(code: u8) -> bool {
    matches!(code, opcode::Recv::CODE | opcode::RecvMsg::CODE | opcode::Read::CODE | opcode::ReadMulti::CODE)
}

/// How often a child is looked for that no descriptor tells of.
const CHILD_LOOKS: Duration = Duration::from_millis(10);
