//! What an entry asks for: the 64 bytes, decoded.

use std::net::SocketAddr;

use io_uring::opcode;

use crate::kernel::sim::memory::{self, Message, Piece};
use crate::sys::sqe::RawSqe;

/// One operation.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Nop,
    Accept {
        address: u64,
        length: u64,
    },
    Connect {
        to: Option<SocketAddr>,
    },
    Send {
        from: Vec<Piece>,
        to: Option<SocketAddr>,
        flags: i32,
        is_zero_copy: bool,
    },
    Recv {
        into: Vec<Piece>,
        flags: i32,
    },
    RecvMessage {
        message: Message,
        flags: i32,
    },
    Close,
    Shutdown {
        how: i32,
    },
    Poll {
        events: u32,
    },
    Read {
        into: Vec<Piece>,
        offset: u64,
    },
    Write {
        from: Vec<Piece>,
        offset: u64,
    },
    Sync,
    Open {
        path: Vec<u8>,
        flags: i32,
    },
    Cancel {
        user_data: u64,
        flags: u32,
    },
    Timeout {
        nanos: u64,
        is_absolute: bool,
        counts_as_success: bool,
    },
    /// No operation that this kernel knows.
    Unknown,
}

/// An operation, and how it is to be answered.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) user_data: u64,
    /// The number of the descriptor, where the operation has one.
    pub(super) fd: i32,
    pub(super) request: Request,
    pub(super) is_multishot: bool,
    /// The group that buffers are picked from.
    pub(super) group: Option<u16>,
    /// Success posts no completion.
    pub(super) is_silent: bool,
    /// Completes at once or never: `MSG_DONTWAIT`.
    pub(super) is_immediate: bool,
}

impl Entry {
    pub(super) fn decode(sqe: &RawSqe) -> Self {
        let opcode = sqe.opcode;
        let one = |bytes: usize| vec![Piece::new(sqe.addr, bytes)];
        let several = || Message::parts_at(sqe.addr, sqe.len as usize);
        let flags = sqe.op_flags as i32;
        let request = match opcode {
            opcode::Nop::CODE => Request::Nop,
            opcode::Accept::CODE => Request::Accept { address: sqe.addr, length: sqe.off },
            opcode::Connect::CODE => {
                Request::Connect { to: memory::read_address(Piece::new(sqe.addr, sqe.off as usize)) }
            }
            opcode::Send::CODE | opcode::SendZc::CODE => Request::Send {
                from: one(sqe.len as usize),
                to: memory::read_address(Piece::new(sqe.off, (sqe.file_index & 0xFFFF) as usize)),
                flags,
                is_zero_copy: opcode == opcode::SendZc::CODE,
            },
            opcode::SendMsg::CODE | opcode::SendMsgZc::CODE => {
                let message = Message::read(sqe.addr);
                let is_zero_copy = opcode == opcode::SendMsgZc::CODE;
                Request::Send { to: memory::read_address(message.name), from: message.parts, flags, is_zero_copy }
            }
            opcode::Recv::CODE => Request::Recv { into: one(sqe.len as usize), flags },
            opcode::RecvMsg::CODE => Request::RecvMessage { message: Message::read(sqe.addr), flags },
            opcode::Close::CODE => Request::Close,
            opcode::Shutdown::CODE => Request::Shutdown { how: sqe.len as i32 },
            opcode::PollAdd::CODE => Request::Poll { events: sqe.op_flags },
            opcode::Read::CODE => Request::Read { into: one(sqe.len as usize), offset: sqe.off },
            opcode::Readv::CODE => Request::Read { into: several(), offset: sqe.off },
            opcode::Write::CODE => Request::Write { from: one(sqe.len as usize), offset: sqe.off },
            opcode::Writev::CODE => Request::Write { from: several(), offset: sqe.off },
            opcode::Fsync::CODE => Request::Sync,
            opcode::OpenAt::CODE => Request::Open { path: memory::read_path(sqe.addr), flags },
            opcode::AsyncCancel::CODE => Request::Cancel { user_data: sqe.addr, flags: sqe.op_flags },
            opcode::Timeout::CODE => Request::Timeout {
                nanos: memory::read_time(sqe.addr),
                is_absolute: sqe.op_flags & TIMEOUT_ABSOLUTE != 0,
                counts_as_success: sqe.op_flags & TIMEOUT_ETIME_SUCCESS != 0,
            },
            _ => Request::Unknown,
        };
        let is_multishot = match request {
            Request::Accept { .. } => sqe.ioprio & ACCEPT_MULTISHOT != 0,
            Request::Recv { .. } | Request::RecvMessage { .. } => sqe.ioprio & RECV_MULTISHOT != 0,
            Request::Poll { .. } => sqe.len & POLL_MULTISHOT != 0,
            _ => false,
        };
        let is_immediate = matches!(
            request,
            Request::Send { flags, .. } | Request::Recv { flags, .. } | Request::RecvMessage { flags, .. }
                if flags & libc::MSG_DONTWAIT != 0
        );
        Self {
            user_data: sqe.user_data,
            fd: sqe.fd,
            request,
            is_multishot,
            group: (sqe.flags & BUFFER_SELECT != 0).then_some(sqe.buf_group),
            is_silent: sqe.flags & SKIP_SUCCESS != 0,
            is_immediate,
        }
    }

    /// The memory that the kernel may write to until the final completion.
    pub(super) fn written_to(&self) -> &[Piece] {
        match &self.request {
            _ if self.group.is_some() => &[],
            Request::Recv { into, .. } | Request::Read { into, .. } => into,
            Request::RecvMessage { message, .. } => &message.parts,
            _ => &[],
        }
    }

    /// It names a descriptor.
    pub(super) fn has_descriptor(&self) -> bool {
        use Request::{Cancel, Nop, Open, Timeout, Unknown};
        !matches!(self.request, Nop | Open { .. } | Cancel { .. } | Timeout { .. } | Unknown)
    }

    /// It is work for a disk: it takes its time, and is not cancelled once it has begun.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.request, Request::Read { .. } | Request::Write { .. } | Request::Sync | Request::Open { .. })
    }

    /// It may be done when the entry is submitted.
    pub(super) fn may_be_instant(&self) -> bool {
        !self.is_slow()
    }

    /// Whether an answer counts as a failure, which is told even by silent entries: errors, and less than all of what was to
    /// be all (`MSG_WAITALL`).
    pub(super) fn is_failure(&self, result: i32) -> bool {
        let wanted = match &self.request {
            Request::Send { from, flags, .. } if flags & libc::MSG_WAITALL != 0 => memory::total(from),
            _ => 0,
        };
        result < wanted.min(i32::MAX as usize) as i32
    }

    /// What the trace calls it.
    pub(super) fn name(&self) -> &'static str {
        match self.request {
            Request::Nop => "nop",
            Request::Accept { .. } => "accept",
            Request::Connect { .. } => "connect",
            Request::Send { .. } => "send",
            Request::Recv { .. } => "recv",
            Request::RecvMessage { .. } => "recvmsg",
            Request::Close => "close",
            Request::Shutdown { .. } => "shutdown",
            Request::Poll { .. } => "poll",
            Request::Read { .. } => "read",
            Request::Write { .. } => "write",
            Request::Sync => "sync",
            Request::Open { .. } => "open",
            Request::Cancel { .. } => "cancel",
            Request::Timeout { .. } => "timeout",
            Request::Unknown => "unknown",
        }
    }
}

/// `IOSQE_BUFFER_SELECT`, `IOSQE_CQE_SKIP_SUCCESS`.
const BUFFER_SELECT: u8 = 1 << 5;
const SKIP_SUCCESS: u8 = 1 << 6;
/// `IORING_ACCEPT_MULTISHOT`, `IORING_RECV_MULTISHOT`, `IORING_POLL_ADD_MULTI`.
const ACCEPT_MULTISHOT: u16 = 1;
const RECV_MULTISHOT: u16 = 1 << 1;
const POLL_MULTISHOT: u32 = 1;
/// `IORING_TIMEOUT_ABS`, `IORING_TIMEOUT_ETIME_SUCCESS`.
const TIMEOUT_ABSOLUTE: u32 = 1;
const TIMEOUT_ETIME_SUCCESS: u32 = 1 << 5;
