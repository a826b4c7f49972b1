//! The kernel's numbers that the builders of the `io-uring` crate keep to themselves.

/// `sqe->flags`.
pub(super) mod sqe {
    /// The descriptor is an index of the registered ones; there are none here.
    pub(crate) const FIXED_FILE: u8 = 1 << 0;
    /// The next entry waits for this one, and is cancelled if this one fails.
    pub(crate) const IO_LINK: u8 = 1 << 2;
    /// The next entry waits for this one, whatever becomes of it.
    pub(crate) const IO_HARDLINK: u8 = 1 << 3;
    /// Don't try at once.
    pub(crate) const ASYNC: u8 = 1 << 4;
    /// The buffer is to be picked from a group.
    pub(crate) const BUFFER_SELECT: u8 = 1 << 5;
    /// A success posts no completion.
    pub(crate) const CQE_SKIP_SUCCESS: u8 = 1 << 6;
    /// All flags that are understood.
    pub(crate) const KNOWN: u8 = FIXED_FILE | IO_LINK | IO_HARDLINK | ASYNC | BUFFER_SELECT | CQE_SKIP_SUCCESS;
}

/// `cqe->flags`.
pub(super) mod cqe {
    /// The upper half is the id of the buffer that was picked.
    pub(crate) const BUFFER: u32 = 1 << 0;
    pub(crate) const MORE: u32 = 1 << 1;
    /// The socket has more than was taken.
    pub(crate) const SOCK_NONEMPTY: u32 = 1 << 2;
    /// The memory of a zero-copy send is the user's again.
    pub(crate) const NOTIF: u32 = 1 << 3;
    pub(crate) const BUFFER_SHIFT: u32 = 16;
}

/// `sqe->ioprio` of sends and receives.
pub(super) const POLL_FIRST: u16 = 1 << 0;
pub(super) const RECV_MULTISHOT: u16 = 1 << 1;
pub(super) const ZC_REPORT_USAGE: u16 = 1 << 3;
/// The result of a notification: the bytes were copied after all.
pub(super) const ZC_COPIED: i32 = i32::MIN;

/// `sqe->ioprio` of accepts.
pub(super) const ACCEPT_MULTISHOT: u16 = 1 << 0;
pub(super) const ACCEPT_DONTWAIT: u16 = 1 << 1;
pub(super) const ACCEPT_POLL_FIRST: u16 = 1 << 2;

/// `sqe->len` of polls.
pub(super) const POLL_MULTI: u32 = 1 << 0;

/// `sqe->cancel_flags`.
pub(super) mod cancel {
    pub(crate) const ALL: u32 = 1 << 0;
    pub(crate) const FD: u32 = 1 << 1;
    pub(crate) const ANY: u32 = 1 << 2;
    pub(crate) const USERDATA: u32 = 1 << 4;
    pub(crate) const OP: u32 = 1 << 5;
    pub(crate) const KNOWN: u32 = ALL | FD | ANY | USERDATA | OP;
}

/// `sqe->timeout_flags`.
pub(super) mod timeout {
    pub(crate) const ABS: u32 = 1 << 0;
    pub(crate) const UPDATE: u32 = 1 << 1;
    pub(crate) const BOOTTIME: u32 = 1 << 2;
    pub(crate) const REALTIME: u32 = 1 << 3;
    pub(crate) const ETIME_SUCCESS: u32 = 1 << 5;
}

/// `sqe->nop_flags`: answer what `sqe->len` says.
pub(super) const NOP_INJECT_RESULT: u32 = 1 << 0;

/// `struct io_uring_recvmsg_out`: what stands at the front of the buffer of a multishot `recvmsg`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct RecvMsgOut {
    pub(super) name_bytes: u32,
    pub(super) control_bytes: u32,
    pub(super) payload_bytes: u32,
    pub(super) flags: u32,
}

const _: () = assert!(size_of::<RecvMsgOut>() == 16);
