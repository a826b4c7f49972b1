//! Accepting and connecting.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::kernel::epoll::attempt::{Ended, Progress};
use crate::kernel::epoll::requests::{Direction, Request};
use crate::kernel::epoll::{Epoll, MOST_SHOTS, abi, calls};
use crate::sys::sqe::RawSqe;

impl Epoll {
    /// `ACCEPT`, single and multishot.
    ///
    /// The listener is a blocking one, and no flag makes the call itself not wait. So it is made only when a connection is
    /// there; all kernels of this process take turns with look and call. A listener that other programs may have as well
    /// (it is not closed on exec) could be emptied in between: a thread accepts from it.
    pub(super) fn attempt_accept(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        let is_multi = sqe.ioprio & abi::ACCEPT_MULTISHOT != 0;
        if request.tries == 0 {
            let known = abi::ACCEPT_MULTISHOT | abi::ACCEPT_DONTWAIT | abi::ACCEPT_POLL_FIRST;
            if sqe.ioprio & !known != 0 || sqe.len != 0 || sqe.file_index != 0 {
                return Progress::refused(libc::EINVAL);
            }
            // What is no listener answers with an error, and at once.
            match calls::socket_option(sqe.fd, libc::SO_ACCEPTCONN) {
                Ok(0) => return Progress::of(calls::accept(&sqe)),
                Ok(_) => {}
                Err(errno) => return Progress::failed(errno),
            }
            request.is_shared = !calls::is_private(sqe.fd);
            if sqe.ioprio & abi::ACCEPT_POLL_FIRST != 0 {
                return Progress::Ready(Direction::Read);
            }
        }
        for _shot in 0..MOST_SHOTS {
            let accepted = if request.is_shared {
                match calls::poll(sqe.fd, libc::POLLIN) {
                    Ok(0) => Err(libc::EAGAIN),
                    Ok(_) => return Progress::Work { ends_by_itself: false },
                    Err(errno) => Err(errno),
                }
            } else {
                accept_in_turn(&sqe)
            };
            let connection = match accepted {
                Ok(connection) => connection,
                Err(libc::EAGAIN) if sqe.ioprio & abi::ACCEPT_DONTWAIT == 0 => {
                    return Progress::Wait(Direction::Read);
                }
                Err(libc::EINTR) => continue,
                Err(errno) => return Progress::failed(errno),
            };
            let more = calls::poll(sqe.fd, libc::POLLIN).is_ok_and(|found| found != 0);
            let flags = if more { abi::cqe::SOCK_NONEMPTY } else { 0 };
            if !is_multi {
                return Progress::Done(Ended { flags, ..Ended::with(connection) });
            }
            self.post(sqe.user_data, connection, flags | abi::cqe::MORE);
            if !more {
                return Progress::Wait(Direction::Read);
            }
        }
        Progress::Again(Direction::Read)
    }

    /// `CONNECT`.
    pub(super) fn attempt_connect(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        if sqe.len != 0 || sqe.buf_group != 0 || sqe.op_flags != 0 || sqe.file_index != 0 {
            return Progress::refused(libc::EINVAL);
        }
        if request.is_connecting {
            return still_connecting(request);
        }
        match calls::connect(&sqe) {
            Err(libc::EINPROGRESS | libc::EINTR) => {
                request.is_connecting = true;
                Progress::Wait(Direction::Write)
            }
            // The backlog of a Unix listener is full. No descriptor tells when it has room again.
            Err(libc::EAGAIN) => Progress::after(BACKLOG_LOOKS),
            answer => Progress::of(answer),
        }
    }
}

/// The answer of a connect that goes on in the system, if there is one by now.
fn still_connecting(request: &Request) -> Progress {
    match calls::poll(request.fd, libc::POLLOUT) {
        Ok(0) => return Progress::Wait(Direction::Write),
        Ok(found) if found & libc::POLLERR == 0 => {}
        Ok(_) => {
            return Progress::of(match calls::socket_option(request.fd, libc::SO_ERROR) {
                Ok(errno @ 1..) => Err(errno),
                Ok(_) => Err(libc::ECONNREFUSED),
                Err(errno) => Err(errno),
            });
        }
        Err(errno) => return Progress::failed(errno),
    }
    // Once more: it is the call that makes the socket a connected one.
    match calls::connect(&request.sqe) {
        Err(libc::EALREADY | libc::EINPROGRESS | libc::EINTR) => Progress::Wait(Direction::Write),
        Err(libc::EISCONN) => Progress::of(Ok(0)),
        answer => Progress::of(answer),
    }
}

/// Accepts a connection if there is one, else `EAGAIN`.
fn accept_in_turn(sqe: &RawSqe) -> calls::Answer {
    let turn = ACCEPTING.lock().unwrap_or_else(PoisonError::into_inner);
    let accepted = match calls::poll(sqe.fd, libc::POLLIN) {
        Ok(0) => Err(libc::EAGAIN),
        Ok(_) => calls::accept(sqe),
        Err(errno) => Err(errno),
    };
    drop(turn);
    accepted
}

/// Held between the look at a listener and the accept.
static ACCEPTING: Mutex<()> = Mutex::new(());

/// How often a full backlog is looked at.
const BACKLOG_LOOKS: Duration = Duration::from_millis(5);
