//! Timeouts: by themselves, linked to another request, counting completions.

use std::time::{Duration, Instant};

use io_uring::opcode;

use crate::kernel::epoll::attempt::{Ended, Progress};
use crate::kernel::epoll::requests::Request;
use crate::kernel::epoll::{Epoll, abi, calls};
use crate::sys::sqe::RawSqe;

impl Epoll {
    /// A timeout begins, or its time is up.
    pub(super) fn attempt_timeout(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        if request.tries > 0 {
            return Progress::Done(self.time_is_up(request));
        }
        if sqe.len != 1 || sqe.buf_group != 0 || sqe.file_index != 0 {
            return Progress::refused(libc::EINVAL);
        }
        if sqe.opcode == opcode::LinkTimeout::CODE {
            // Those that are linked never come here.
            return Progress::refused(libc::EINVAL);
        }
        match self.deadline_of(&sqe) {
            Ok(deadline) => {
                request.counts = sqe.off;
                Progress::At(deadline)
            }
            Err(errno) => Progress::refused(errno),
        }
    }

    fn time_is_up(&mut self, request: &Request) -> Ended {
        let is_success = request.sqe.op_flags & abi::timeout::ETIME_SUCCESS != 0;
        let mut ended = Ended { failed: !is_success, ..Ended::with(-libc::ETIME) };
        if let Some(id) = request.guarded {
            if let Some(guarded) = self.requests.get_mut(id) {
                guarded.guard = None;
            }
            // Too late for one that a thread has: it goes on.
            if let Err(errno) = self.cancel(id) {
                ended.result = -errno;
            }
        }
        ended
    }

    /// A completion was posted: timeouts that wait for that many end.
    pub(super) fn count_down(&mut self) {
        for id in std::mem::take(&mut self.counting) {
            let Some(request) = self.requests.get_mut(id) else { continue };
            request.counts = request.counts.saturating_sub(1);
            if request.counts > 0 {
                self.counting.push(id);
                continue;
            }
            let Some(request) = self.requests.take(id) else { continue };
            if let Some(deadline) = request.deadline {
                self.timers.remove(&(deadline, id));
            }
            self.settle(Some(id), request, Progress::Done(Ended::with(0)));
        }
    }

    /// Ends a timeout early, or gives it another time.
    pub(super) fn attempt_timeout_remove(&mut self, sqe: &RawSqe) -> Progress {
        let is_timeout = |request: &Request| {
            request.sqe.user_data == sqe.addr
                && matches!(request.sqe.opcode, opcode::Timeout::CODE | opcode::LinkTimeout::CODE)
        };
        let found = self.requests.with_user_data(sqe.addr);
        let found = found.into_iter().find(|id| self.requests.get(*id).is_some_and(is_timeout));
        let Some(id) = found else { return Progress::failed(libc::ENOENT) };
        if sqe.op_flags & abi::timeout::UPDATE == 0 {
            return Progress::of(self.cancel(id).map(|()| 0));
        }
        let another = RawSqe { addr: sqe.off, op_flags: sqe.op_flags & !abi::timeout::UPDATE, ..*sqe };
        let deadline = match self.deadline_of(&another) {
            Ok(deadline) => deadline,
            Err(errno) => return Progress::failed(errno),
        };
        if let Some(request) = self.requests.get_mut(id) {
            let before = request.deadline.replace(deadline);
            self.timers.remove(&(before.unwrap_or(deadline), id));
            self.timers.insert((deadline, id));
        }
        Progress::Done(Ended::with(0))
    }

    /// When the time of a timeout is up, by the clock that std knows.
    pub(super) fn deadline_of(&self, sqe: &RawSqe) -> Result<Instant, i32> {
        use abi::timeout::{ABS, BOOTTIME, ETIME_SUCCESS, REALTIME};
        if sqe.op_flags & !(ABS | BOOTTIME | REALTIME | ETIME_SUCCESS) != 0 {
            return Err(libc::EINVAL);
        }
        let [seconds, nanoseconds] = calls::time(sqe.addr);
        let seconds = u64::try_from(seconds).map_err(|_| libc::EINVAL)?;
        let nanoseconds = u32::try_from(nanoseconds).ok().filter(|count| *count < 1_000_000_000).ok_or(libc::EINVAL)?;
        let mut time = Duration::new(seconds, nanoseconds);
        if sqe.op_flags & ABS != 0 {
            let clock = match sqe.op_flags & (BOOTTIME | REALTIME) {
                0 => libc::CLOCK_MONOTONIC,
                BOOTTIME => libc::CLOCK_BOOTTIME,
                REALTIME => libc::CLOCK_REALTIME,
                _ => return Err(libc::EINVAL),
            };
            time = time.saturating_sub(calls::clock(clock));
        }
        Ok(Instant::now() + time.min(LONGEST))
    }
}

/// 30 years, which any clock can show.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
