//! Sending and receiving.

use io_uring::opcode;

use crate::kernel::epoll::attempt::{Ended, Progress};
use crate::kernel::epoll::requests::{Direction, Request};
use crate::kernel::epoll::{Epoll, MOST_SHOTS, abi, calls};
use crate::sys::sqe::RawSqe;

/// What one receive call brought.
struct Piece {
    /// The result of its completion.
    result: usize,
    /// `IORING_CQE_F_BUFFER` and the like.
    flags: u32,
    /// It left room in its buffer.
    is_short: bool,
    /// It brought nothing: the end of a stream, or an empty message.
    is_empty: bool,
}

impl Epoll {
    /// `SEND`, `SENDMSG`, and both without a copy, which is made here all the same.
    pub(super) fn attempt_send(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        let is_zero_copy = super::finish::is_zero_copy(sqe.opcode);
        if request.tries == 0 {
            let known = if is_zero_copy { abi::POLL_FIRST | abi::ZC_REPORT_USAGE } else { abi::POLL_FIRST };
            if sqe.ioprio & !known != 0 || is_zero_copy && request.has_flag(abi::sqe::CQE_SKIP_SUCCESS) {
                return Progress::refused(libc::EINVAL);
            }
            if sqe.ioprio & abi::POLL_FIRST != 0 {
                return Progress::Ready(Direction::Write);
            }
        }
        let is_message = matches!(sqe.opcode, opcode::SendMsg::CODE | opcode::SendMsgZc::CODE);
        let total = if is_message { calls::message_bytes(&sqe) } else { sqe.len as usize };
        let wants_all = sqe.op_flags as i32 & libc::MSG_WAITALL != 0;
        let flags = sqe.op_flags as i32 & !libc::MSG_WAITALL | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        for _shot in 0..MOST_SHOTS {
            let sent = if is_message {
                calls::send_message(&sqe, request.done, flags)
            } else {
                calls::send(&sqe, request.done, flags)
            };
            match sent {
                Ok(count) => {
                    request.done += count;
                    if !wants_all || request.done >= total {
                        return Progress::Done(Ended::with(request.done as i32));
                    }
                }
                Err(libc::EAGAIN) if sqe.op_flags as i32 & libc::MSG_DONTWAIT == 0 => {
                    return Progress::Wait(Direction::Write);
                }
                Err(libc::EINTR) => {}
                Err(errno) => return Progress::Done(cut_short(request.done, errno)),
            }
        }
        Progress::Again(Direction::Write)
    }

    /// `RECV` and `RECVMSG`, single and multishot, into memory of the entry's or provided buffers.
    pub(super) fn attempt_receive(&mut self, request: &mut Request) -> Progress {
        let sqe = request.sqe;
        let is_multi = sqe.ioprio & abi::RECV_MULTISHOT != 0;
        if request.tries == 0 {
            if let Err(errno) = check_receive(request, is_multi) {
                return Progress::refused(errno);
            }
            if sqe.ioprio & abi::POLL_FIRST != 0 {
                return Progress::Ready(Direction::Read);
            }
        }
        for _shot in 0..MOST_SHOTS {
            let piece = match self.receive_piece(request) {
                Ok(piece) => piece,
                Err(libc::EAGAIN) if sqe.op_flags as i32 & libc::MSG_DONTWAIT == 0 => {
                    return Progress::Wait(Direction::Read);
                }
                Err(libc::EINTR) => continue,
                Err(errno) => return Progress::Done(cut_short(request.done, errno)),
            };
            if !is_multi {
                match self.received_once(request, &piece) {
                    Some(ended) => return Progress::Done(ended),
                    None => continue,
                }
            }
            if piece.is_empty {
                return Progress::Done(Ended { flags: piece.flags, ..Ended::with(piece.result as i32) });
            }
            self.post(sqe.user_data, piece.result as i32, piece.flags | abi::cqe::MORE);
            // A stream that has no more tells of what comes, unless that is its end and has been told already.
            let has_more = piece.flags & abi::cqe::SOCK_NONEMPTY != 0;
            if !has_more && self.is_stream(request) && self.files.end_will_be_told(request.fd) {
                return Progress::Wait(Direction::Read);
            }
        }
        Progress::Again(Direction::Read)
    }

    /// A single receive has got something; whether that ends it.
    fn received_once(&mut self, request: &mut Request, piece: &Piece) -> Option<Ended> {
        let wants_all = request.sqe.op_flags as i32 & libc::MSG_WAITALL != 0;
        if piece.flags & abi::cqe::BUFFER != 0 {
            return Some(Ended { flags: piece.flags, ..Ended::with(piece.result as i32) });
        }
        request.done += piece.result;
        let goes_on = wants_all && piece.result > 0 && piece.is_short && self.is_stream(request);
        if goes_on {
            return None;
        }
        // One that wanted all and met the end counts as a failure.
        let failed = wants_all && piece.is_short;
        Some(Ended { flags: piece.flags, failed, ..Ended::with(request.done as i32) })
    }

    /// One call, into memory of the entry's or the next provided buffer.
    fn receive_piece(&mut self, request: &mut Request) -> Result<Piece, i32> {
        let sqe = request.sqe;
        let flags = sqe.op_flags as i32 & !libc::MSG_WAITALL | libc::MSG_DONTWAIT;
        let is_message = sqe.opcode == opcode::RecvMsg::CODE;
        if !request.has_flag(abi::sqe::BUFFER_SELECT) {
            let (count, room) = if is_message {
                let room = calls::message_bytes(&sqe) - request.done;
                (calls::receive_message(&sqe, None, request.done, flags)?, room)
            } else {
                let (address, room) = (sqe.addr + request.done as u64, sqe.len as usize - request.done);
                (calls::receive(sqe.fd, address, room, flags)?, room)
            };
            let flags = self.more_waits(request, count >= room || flags & libc::MSG_PEEK != 0);
            return Ok(Piece { result: count, flags, is_short: count < room, is_empty: count == 0 });
        }
        let provided = self.groups.next(sqe.buf_group)?;
        let picked = abi::cqe::BUFFER | u32::from(provided.bid) << abi::cqe::BUFFER_SHIFT;
        if is_message && sqe.ioprio & abi::RECV_MULTISHOT != 0 {
            let piece = receive_laid_out(&sqe, provided.address, provided.bytes as usize, flags)?;
            self.groups.pick(sqe.buf_group);
            // Also where it left room: on a Unix stream, descriptors end a call before the bytes do.
            let flags = picked | self.more_waits(request, true);
            return Ok(Piece { flags, ..piece });
        }
        let limit = if is_message { calls::message_limit(&sqe)? } else { sqe.len as usize };
        let room = if limit == 0 { provided.bytes as usize } else { limit.min(provided.bytes as usize) };
        let count = if is_message {
            calls::receive_message(&sqe, Some((provided.address, room)), 0, flags)?
        } else {
            calls::receive(sqe.fd, provided.address, room, flags)?
        };
        // With nothing in it, the buffer stays where it is.
        if count == 0 {
            return Ok(Piece { result: 0, flags: 0, is_short: true, is_empty: true });
        }
        self.groups.pick(sqe.buf_group);
        // Unix streams also end a call where descriptors came along, wanted or not.
        let may_have_more = count >= room || !self.is_tcp(request);
        let flags = picked | self.more_waits(request, may_have_more);
        Ok(Piece { result: count, flags, is_short: count < room, is_empty: false })
    }

    /// `SOCK_NONEMPTY`, if the socket is a stream with more than was taken. Asked only where the call may not have had all.
    fn more_waits(&mut self, request: &mut Request, may_have_more: bool) -> u32 {
        let more = may_have_more && self.is_stream(request) && calls::bytes_waiting(request.fd) > 0;
        if more { abi::cqe::SOCK_NONEMPTY } else { 0 }
    }

    fn is_tcp(&mut self, request: &mut Request) -> bool {
        *request
            .is_tcp
            .get_or_insert_with(|| calls::socket_option(request.fd, libc::SO_PROTOCOL) == Ok(libc::IPPROTO_TCP))
    }

    fn is_stream(&mut self, request: &mut Request) -> bool {
        *request
            .is_stream
            .get_or_insert_with(|| calls::socket_option(request.fd, libc::SO_TYPE) == Ok(libc::SOCK_STREAM))
    }
}

fn check_receive(request: &Request, is_multi: bool) -> Result<(), i32> {
    let sqe = &request.sqe;
    if sqe.ioprio & !(abi::POLL_FIRST | abi::RECV_MULTISHOT) != 0 || sqe.off != 0 || sqe.file_index != 0 {
        return Err(libc::EINVAL);
    }
    let picks = request.has_flag(abi::sqe::BUFFER_SELECT);
    if is_multi && (!picks || sqe.op_flags as i32 & libc::MSG_WAITALL != 0) {
        return Err(libc::EINVAL);
    }
    if picks && sqe.opcode == opcode::RecvMsg::CODE {
        calls::message_limit(sqe)?;
    }
    Ok(())
}

/// A multishot `recvmsg`: the buffer holds a header, the name, the control messages and the payload, each with the room
/// that the entry asks for.
fn receive_laid_out(sqe: &RawSqe, address: u64, bytes: usize, flags: i32) -> Result<Piece, i32> {
    let (name_bytes, control_bytes) = calls::message_room(sqe);
    let front = size_of::<abi::RecvMsgOut>() + name_bytes as usize + control_bytes;
    let room = bytes.checked_sub(front).ok_or(libc::EFAULT)?;
    let received = calls::receive_laid_out(sqe, address + size_of::<abi::RecvMsgOut>() as u64, room, flags)?;
    let out = abi::RecvMsgOut {
        name_bytes: received.name_bytes,
        control_bytes: received.control_bytes as u32,
        payload_bytes: received.bytes as u32,
        flags: received.flags as u32,
    };
    calls::lay_out(address, out);
    let result = front + received.bytes.min(room);
    Ok(Piece { result, flags: 0, is_short: received.bytes < room, is_empty: received.bytes == 0 })
}

/// How a request ends that an error has met: what was done before is what it answers.
fn cut_short(done: usize, errno: i32) -> Ended {
    if done == 0 { Ended::error(errno) } else { Ended { failed: true, ..Ended::with(done as i32) } }
}
