//! What comes with one `recvmsg`: bytes, who sent them, and what was passed along.
//!
//! # Safety
//!
//! Descriptors in control data get their owner here, once for each completion: the kernel has just made them for us (I7).
#![allow(unsafe_code, reason = "descriptors that the kernel has made get their owner")]

use std::fmt;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::types::RecvMsgOut;

use crate::buf::RecvBuf;
use crate::op::{Rearm, RecvEnd};
use crate::sys::address::Address;
use crate::sys::message::{control_space, controls, empty_header};
use crate::waiters::Waiters;

/// A message that was received.
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// Its bytes. Those of a datagram that was longer than its buffer [say so](RecvBuf::is_truncated).
    pub bytes: RecvBuf,
    /// Who sent it; [`Address::Unknown`] for those of a stream.
    pub address: Address,
    /// The bytes are several datagrams of this size, of which the last one may be shorter.
    pub segment_bytes: Option<u16>,
    /// Descriptors that were passed along.
    pub descriptors: Vec<OwnedFd>,
    /// There were more descriptors than this process has room for. The others are gone.
    pub lost_descriptors: bool,
}

/// Where a socket's messages go. The methods are called as those of [`RecvSink`](crate::op::RecvSink).
pub trait MessageSink: 'static {
    /// A message has arrived; it may be empty.
    fn received(&self, message: Message);

    /// The receive has ended; the answer says whether to arm it again at once. A single one cannot be, nor one that was
    /// cancelled.
    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm;

    /// Those that wait for what arrives here, for a [dump](crate::dump()): an operation that serves them stands for what they
    /// wait for. Called by nobody else, with nothing borrowed.
    fn waiters(&self) -> Option<&Waiters> {
        None
    }
}

/// What is to be received, which decides how much room there is beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Datagrams between internet addresses, perhaps several in one.
    Internet,
    /// Datagrams of Unix sockets. Descriptors that come with them are closed by the kernel.
    UnixDatagrams,
    /// Bytes of a Unix stream, with descriptors.
    UnixStream,
}

impl Traffic {
    /// Room for the sender's address.
    pub(crate) const fn name_bytes(self) -> usize {
        match self {
            Self::Internet => size_of::<libc::sockaddr_in6>(),
            Self::UnixDatagrams => size_of::<libc::sockaddr_un>(),
            Self::UnixStream => 0,
        }
    }

    /// Room for control data.
    pub(crate) const fn control_bytes(self) -> usize {
        match self {
            // More than the one item that we look for, in case somebody has asked the kernel for others.
            Self::Internet => 64,
            Self::UnixDatagrams => 0,
            Self::UnixStream => control_space(MOST_DESCRIPTORS * size_of::<i32>()),
        }
    }

    /// How much of a pool's buffer is left for the bytes of a multishot receive.
    pub const fn room_in(self, buffer_bytes: u32) -> usize {
        (buffer_bytes as usize).saturating_sub(HEADER_BYTES + self.name_bytes() + self.control_bytes())
    }

    /// A header that asks for this much.
    pub(crate) fn header(self) -> libc::msghdr {
        let mut header = empty_header();
        header.msg_namelen = self.name_bytes() as libc::socklen_t;
        header.msg_controllen = self.control_bytes() as _;
        header
    }

    /// Reads what the kernel has put in front of the bytes into a buffer of the pool. `None` if that is no message.
    ///
    /// # Safety
    ///
    /// Called once for a completion: the descriptors that it tells of get their owner.
    pub(crate) unsafe fn read(self, mut bytes: RecvBuf) -> Option<Message> {
        let header = self.header();
        let told = RecvMsgOut::parse(&bytes, &header).ok()?;
        let flags = told.flags() as i32;
        // SAFETY: the caller says so.
        let beside = unsafe { self.beside(told.name_data(), told.control_data(), flags) };
        bytes.advance(HEADER_BYTES + self.name_bytes() + self.control_bytes());
        Some(beside.with(bytes, flags))
    }

    /// What a receive has brought beside its bytes.
    ///
    /// # Safety
    ///
    /// As for [`read`](Self::read).
    pub(crate) unsafe fn beside(self, name: &[u8], control: &[u8], flags: i32) -> Beside {
        let address = if self.name_bytes() == 0 { Address::Unknown } else { Address::parse(name) };
        if self != Self::UnixStream {
            let segment_bytes = controls(control).find_map(|item| item.segment_bytes());
            return Beside { address, segment_bytes, descriptors: Vec::new(), lost_descriptors: false };
        }
        let numbers = controls(control).flat_map(|item| item.descriptors().collect::<Vec<_>>());
        // SAFETY: the kernel has just made these descriptors for us, and nobody else knows their numbers (I7).
        let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
        let descriptors = numbers.map(own).collect();
        Beside { address, segment_bytes: None, descriptors, lost_descriptors: flags & libc::MSG_CTRUNC != 0 }
    }
}

/// What came beside the bytes of a message.
pub(crate) struct Beside {
    address: Address,
    segment_bytes: Option<u16>,
    descriptors: Vec<OwnedFd>,
    lost_descriptors: bool,
}

impl Beside {
    /// The message with its bytes, which the kernel may have cut.
    pub(crate) fn with(self, mut bytes: RecvBuf, flags: i32) -> Message {
        if flags & libc::MSG_TRUNC != 0 {
            bytes.set_truncated();
        }
        let Self { address, segment_bytes, descriptors, lost_descriptors } = self;
        // Only what really is more than one is told to be.
        let segment_bytes = segment_bytes.filter(|size| (1..bytes.len()).contains(&usize::from(*size)));
        Message { bytes, address, segment_bytes, descriptors, lost_descriptors }
    }
}

impl fmt::Debug for dyn MessageSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageSink")
    }
}

/// The most descriptors that one message passes along (`SCM_MAX_FD`).
pub const MOST_DESCRIPTORS: usize = 253;
/// `struct io_uring_recvmsg_out`.
const HEADER_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use quoit_testkit::Rng;

    use super::*;

    #[test]
    fn whatever_stands_before_the_bytes_of_a_message_is_read_within_its_buffer() {
        let mut rng = Rng::new(0x0F7);
        for _case in 0..20_000 {
            // Never a stream's: its descriptors would get an owner.
            let traffic = [Traffic::Internet, Traffic::UnixDatagrams][rng.below(2) as usize];
            let front = HEADER_BYTES + traffic.name_bytes() + traffic.control_bytes();
            let mut bytes = vec![0; rng.below(front as u64 + 100) as usize];
            rng.bytes(&mut bytes);
            for word in bytes.chunks_exact_mut(4).take(4) {
                let likely = [0, 1, 16, 28, 64, 110, u32::MAX, rng.below(200) as u32];
                word.copy_from_slice(&likely[rng.below(8) as usize].to_ne_bytes());
            }
            let len = bytes.len();
            // SAFETY: these kinds of messages take no descriptors.
            match unsafe { traffic.read(RecvBuf::from_vec(bytes)) } {
                None => assert!(len < front),
                Some(message) => {
                    assert_eq!(message.bytes.len(), len - front);
                    assert!(message.descriptors.is_empty() && !message.lost_descriptors);
                    assert!(message.segment_bytes.is_none_or(|size| size > 0 && usize::from(size) < len - front));
                }
            }
        }
    }

    #[test]
    fn a_message_is_told_with_its_sender_its_segments_and_that_it_was_cut() {
        let mut bytes = Vec::new();
        for word in [16, 20, 6, libc::MSG_TRUNC as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend((libc::AF_INET as u16).to_ne_bytes());
        bytes.extend([0x12, 0x34, 127, 0, 0, 1]);
        bytes.resize(HEADER_BYTES + Traffic::Internet.name_bytes(), 0);
        bytes.extend(20_usize.to_ne_bytes());
        bytes.extend(libc::SOL_UDP.to_ne_bytes());
        bytes.extend(libc::UDP_GRO.to_ne_bytes());
        bytes.extend(4_i32.to_ne_bytes());
        bytes.resize(HEADER_BYTES + Traffic::Internet.name_bytes() + Traffic::Internet.control_bytes(), 0);
        bytes.extend(b"sixbyt");
        // SAFETY: there are no descriptors in it.
        let message = unsafe { Traffic::Internet.read(RecvBuf::from_vec(bytes)) }.unwrap();
        assert_eq!((&message.bytes[..], message.bytes.is_truncated()), (&b"sixbyt"[..], true));
        assert_eq!(message.segment_bytes, Some(4));
        assert_eq!(message.address.internet().unwrap(), ([127, 0, 0, 1], 0x1234).into());
    }
}
