//! Cancels: the requests that are meant, and what becomes of each.

use io_uring::opcode;

use crate::kernel::epoll::abi::cancel;
use crate::kernel::epoll::attempt::{Ended, Progress};
use crate::kernel::epoll::requests::{Id, Place, Request};
use crate::kernel::epoll::{Epoll, calls};
use crate::sys::sqe::RawSqe;

impl Epoll {
    /// `IORING_OP_ASYNC_CANCEL`: by `user_data`, descriptor or opcode, or all there are.
    pub(super) fn attempt_cancel(&mut self, sqe: &RawSqe) -> Progress {
        let flags = sqe.op_flags;
        let is_any = flags & cancel::ANY != 0;
        if flags & !cancel::KNOWN != 0 || sqe.off != 0 || sqe.file_index != 0 {
            return Progress::refused(libc::EINVAL);
        }
        if is_any && flags & (cancel::FD | cancel::OP) != 0 {
            return Progress::refused(libc::EINVAL);
        }
        if flags & cancel::FD != 0 && calls::poll(sqe.fd, 0) == Err(libc::EBADF) {
            return Progress::failed(libc::EBADF);
        }
        let by_key = flags & (cancel::FD | cancel::OP | cancel::ANY) == 0;
        let found = if by_key {
            self.requests.with_user_data(sqe.addr)
        } else {
            self.requests.all(|request| is_any || is_meant(request, sqe))
        };
        if flags & (cancel::ALL | cancel::ANY) == 0 {
            let Some(id) = found.first() else { return Progress::failed(libc::ENOENT) };
            return Progress::of(self.cancel(*id).map(|()| 0));
        }
        // A request may go along with another one, as a timeout does that was linked to it.
        let there = found.into_iter().filter(|id| self.requests.get(*id).is_some()).collect::<Vec<_>>();
        let count = there.len();
        for id in there {
            let _ = self.cancel(id);
        }
        Progress::Done(Ended::with(count as i32))
    }

    /// `IORING_OP_POLL_REMOVE`.
    pub(super) fn attempt_poll_remove(&mut self, sqe: &RawSqe) -> Progress {
        if sqe.len != 0 || sqe.off != 0 || sqe.op_flags != 0 {
            // Changing a poll is not known here.
            return Progress::refused(libc::EINVAL);
        }
        let found = self.requests.with_user_data(sqe.addr);
        let is_poll = |id: &Id| self.requests.get(*id).is_some_and(|poll| poll.sqe.opcode == opcode::PollAdd::CODE);
        let Some(id) = found.into_iter().find(is_poll) else { return Progress::failed(libc::ENOENT) };
        Progress::of(self.cancel(id).map(|()| 0))
    }

    /// Ends one request.
    ///
    /// # Errors
    ///
    /// `EALREADY` where a thread is at it: its own completion will tell. `ENOENT` where it is gone.
    pub(super) fn cancel(&mut self, id: Id) -> Result<(), i32> {
        let request = self.requests.get_mut(id).ok_or(libc::ENOENT)?;
        let fd = request.fd;
        match &request.place {
            Place::Working(job) if !job.cancel() => {
                request.stopping = true;
                return Err(libc::EALREADY);
            }
            Place::Waiting | Place::Polling => self.files.leave(request),
            Place::Timed => {
                if let Some(deadline) = request.deadline {
                    self.timers.remove(&(deadline, id));
                }
            }
            Place::Working(_) | Place::Orphaned | Place::Running => {}
        }
        self.files.rest(fd);
        let request = self.requests.take(id).ok_or(libc::ENOENT)?;
        // What was done before stays done, and is told.
        let result = if request.done > 0 { request.done as i32 } else { -libc::ECANCELED };
        self.settle(Some(id), request, Progress::Done(Ended { failed: true, ..Ended::with(result) }));
        Ok(())
    }
}

fn is_meant(request: &Request, sqe: &RawSqe) -> bool {
    let flags = sqe.op_flags;
    let by_fd = flags & cancel::FD == 0 || request.sqe.fd == sqe.fd && acts_on_descriptor(request.sqe.opcode);
    let by_code = flags & cancel::OP == 0 || u32::from(request.sqe.opcode) == sqe.len;
    let by_key = flags & cancel::USERDATA == 0 || request.sqe.user_data == sqe.addr;
    by_fd && by_code && by_key
}

/// Whether the number in the entry's place for a descriptor is that of the file which it acts on: it may be a directory to
/// start from, a process, or nothing.
fn acts_on_descriptor(code: u8) -> bool {
    use opcode::{GetXattr, LinkTimeout, Madvise, Nop, SetXattr, Statx, Timeout, WaitId};
    use opcode::{LinkAt, MkDirAt, OpenAt, OpenAt2, RenameAt, SymlinkAt, UnlinkAt};
    let by_name =
        [LinkAt::CODE, MkDirAt::CODE, OpenAt::CODE, OpenAt2::CODE, RenameAt::CODE, SymlinkAt::CODE, UnlinkAt::CODE];
    let by_other = [
        GetXattr::CODE,
        LinkTimeout::CODE,
        Madvise::CODE,
        Nop::CODE,
        SetXattr::CODE,
        Statx::CODE,
        Timeout::CODE,
        WaitId::CODE,
    ];
    !by_name.contains(&code) && !by_other.contains(&code)
}
