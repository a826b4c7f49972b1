//! Completions, and what follows from them.

use io_uring::opcode;

use crate::kernel::Cqe;
use crate::kernel::epoll::attempt::Ended;
use crate::kernel::epoll::requests::{Id, Place, Request};
use crate::kernel::epoll::{Epoll, abi};
use crate::sys::sqe::RawSqe;

impl Epoll {
    /// Posts a completion.
    pub(super) fn post(&mut self, user_data: u64, result: i32, flags: u32) {
        self.completions.push(Cqe { user_data, result, flags });
        if !self.counting.is_empty() {
            self.count_down();
        }
    }

    /// A request has ended: its last completion, and the next of its chain.
    pub(super) fn finish(&mut self, mut request: Request, ended: Ended) {
        let (sqe, guard) = (request.sqe, request.guard.take());
        if is_zero_copy(sqe.opcode) && !ended.refused {
            self.post(sqe.user_data, ended.result, ended.flags | abi::cqe::MORE);
            // The bytes were copied, so the memory is the user's again at once.
            let usage = if sqe.ioprio & abi::ZC_REPORT_USAGE != 0 { abi::ZC_COPIED } else { 0 };
            self.post(sqe.user_data, usage, abi::cqe::NOTIF);
        } else if ended.failed || !request.has_flag(abi::sqe::CQE_SKIP_SUCCESS) {
            self.post(sqe.user_data, ended.result, ended.flags);
        }
        if let Some(guard) = guard {
            self.end_guard(guard);
        }
        self.follow(request, ended.failed);
    }

    /// Begins what waits for a request that has ended, or cancels it.
    fn follow(&mut self, request: Request, failed: bool) {
        let is_hard = request.has_flag(abi::sqe::IO_HARDLINK);
        let mut linked = request.linked.into_iter();
        let Some(mut next) = linked.next() else { return };
        // A timeout of what had no need of one, as it ended at once.
        if next.opcode == opcode::LinkTimeout::CODE {
            self.end_unused(&next);
            match linked.next() {
                Some(behind) => next = behind,
                None => return,
            }
        }
        if failed && !is_hard {
            for sqe in std::iter::once(next).chain(linked) {
                self.post(sqe.user_data, -libc::ECANCELED, 0);
            }
        } else {
            self.followers.push_back((next, linked.collect()));
        }
    }

    /// A request has come to wait. If a timeout is linked to it, that begins now.
    pub(super) fn guard(&mut self, id: Id) {
        let Some(request) = self.requests.get_mut(id) else { return };
        if request.linked.first().is_none_or(|next| next.opcode != opcode::LinkTimeout::CODE) {
            return;
        }
        let sqe = request.linked.remove(0);
        let mut timeout = Request::new(sqe, self.next_order());
        timeout.guarded = Some(id);
        // It runs from now on: the next that is heard of it is that its time is up.
        timeout.tries = 1;
        timeout.place = Place::Timed;
        match self.deadline_of(&timeout.sqe) {
            Ok(deadline) => {
                timeout.deadline = Some(deadline);
                let guard = self.requests.insert(timeout);
                self.timers.insert((deadline, guard));
                if let Some(request) = self.requests.get_mut(id) {
                    request.guard = Some(guard);
                }
            }
            Err(errno) => self.post(timeout.sqe.user_data, -errno, 0),
        }
    }

    /// What a linked timeout watched over has ended by itself.
    fn end_guard(&mut self, guard: Id) {
        let Some(timeout) = self.requests.take(guard) else { return };
        if let Some(deadline) = timeout.deadline {
            self.timers.remove(&(deadline, guard));
        }
        self.requests.release(guard, timeout.sqe.user_data);
        self.end_unused(&timeout.sqe);
    }

    fn end_unused(&mut self, timeout: &RawSqe) {
        self.post(timeout.user_data, -libc::ECANCELED, 0);
    }
}

pub(super) fn is_zero_copy(code: u8) -> bool {
    matches!(code, opcode::SendZc::CODE | opcode::SendMsgZc::CODE)
}
