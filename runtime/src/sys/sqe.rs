//! The 64 bytes of a submission entry, for kernels that read them instead of passing them on.
//!
//! # Safety
//!
//! One entry is copied byte for byte: both types are `repr(C)`, of the same size, and any bytes are plain integers.
#![allow(unsafe_code, reason = "reads an entry of the io-uring crate as the kernel would")]

use std::ptr;

use io_uring::squeue;

/// `struct io_uring_sqe`, see [io_uring_enter(2)](https://man7.org/linux/man-pages/man2/io_uring_enter.2.html). What a field
/// means depends on the opcode; each carries the names that matter here.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawSqe {
    /// `IORING_OP_*`.
    pub(crate) opcode: u8,
    /// `IOSQE_*`.
    pub(crate) flags: u8,
    /// Flags of sends, receives, accepts: `IORING_RECV_MULTISHOT` and its kind.
    pub(crate) ioprio: u16,
    pub(crate) fd: i32,
    /// An offset in a file; the length of connect's address; the address of accept's `socklen_t`; sendto's address.
    pub(crate) off: u64,
    /// The address of a buffer, a message header, a path, an address; for a cancel, the `user_data` that is meant.
    pub(crate) addr: u64,
    /// Bytes, or a count; the mode of an open; the flags of a poll (`IORING_POLL_ADD_MULTI`).
    pub(crate) len: u32,
    /// `MSG_*`, `SOCK_*`, `RWF_*`, the events of a poll, `IORING_ASYNC_CANCEL_*`.
    pub(crate) op_flags: u32,
    pub(crate) user_data: u64,
    /// The group that a buffer is to be picked from.
    pub(crate) buf_group: u16,
    pub(crate) personality: u16,
    /// The index of a descriptor, or (in its lower half) the length of sendto's address.
    pub(crate) file_index: u32,
    pub(crate) addr3: u64,
    pub(crate) pad: u64,
}

const _: () = assert!(size_of::<RawSqe>() == 64 && size_of::<squeue::Entry>() == 64);
const _: () = assert!(align_of::<RawSqe>() == align_of::<squeue::Entry>());

impl From<&squeue::Entry> for RawSqe {
    fn from(entry: &squeue::Entry) -> Self {
        // SAFETY: the entry is 64 bytes in the kernel's layout, which is that of `RawSqe`; the crate zeroes each before it is
        // filled, so all of its bytes are initialised.
        unsafe { ptr::from_ref(entry).cast::<RawSqe>().read() }
    }
}

#[cfg(test)]
mod tests {
    use io_uring::{opcode, types};

    use super::*;

    #[test]
    fn fields_are_where_the_builders_put_them() {
        let mut byte = 0_u8;
        let address = &raw mut byte as u64;
        let read = opcode::Read::new(types::Fd(7), &raw mut byte, 9).offset(11).rw_flags(13).buf_group(15).build();
        let raw = RawSqe::from(&read.user_data(17).flags(squeue::Flags::SKIP_SUCCESS));
        let expected = RawSqe {
            opcode: opcode::Read::CODE,
            flags: squeue::Flags::SKIP_SUCCESS.bits(),
            ioprio: 0,
            fd: 7,
            off: 11,
            addr: address,
            len: 9,
            op_flags: 13,
            user_data: 17,
            buf_group: 15,
            personality: 0,
            file_index: 0,
            addr3: 0,
            pad: 0,
        };
        assert_eq!(raw, expected);
        let poll = RawSqe::from(&opcode::PollAdd::new(types::Fd(3), 5).multi(true).build());
        assert_eq!((poll.op_flags, poll.len), (5, 1));
        let cancel = RawSqe::from(&opcode::AsyncCancel::new(23).build());
        assert_eq!((cancel.addr, cancel.op_flags), (23, 0));
    }
}
