//! Received bytes, most often still in the buffer that the kernel picked for them.
//!
//! # Safety
//!
//! A loan refers to memory that belongs to nobody else until the loan ends (I6), and that stays mapped: by the pool that
//! the loan refers to, or, once it may leave the thread, by its slab. Only the bytes that the kernel has told are shown.

#![allow(unsafe_code, reason = "reads memory that the kernel has written")]

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::pool::{BufferPool, Slab};
use super::traits::IoBuf;

/// Bytes that were received, in the buffer that the kernel picked for them: nothing is copied.
///
/// The buffer is lent to you, and goes back to the kernel when this is dropped, so don't keep many of them for long: copy
/// the bytes ([`to_vec`](Self::to_vec)) if you need them later. [`into_bytes`](Self::into_bytes) keeps the buffer itself, in
/// a form that may go to other threads. Where all buffers were lent, the bytes lie in memory of their own.
///
/// A buffer that was used before still holds its old bytes behind the new ones; they are never shown.
///
/// # Examples
///
/// ```
/// use quoit_runtime::buf::RecvBuf;
///
/// let mut received = RecvBuf::from_vec(b"PING\r\n".to_vec());
/// assert!(received.ends_with(b"\r\n"));
/// received.advance(2);
/// assert_eq!(received, *b"NG\r\n");
/// assert_eq!(format!("{received:?}"), r#"b"NG\r\n""#);
/// ```
pub struct RecvBuf {
    source: Source,
    /// Whether the datagram was longer than its buffer.
    truncated: bool,
}

/// Where the bytes are.
enum Source {
    Loan(Loan),
    Heap(Bytes),
}

/// A buffer of the pool, lent to this thread.
struct Loan {
    pool: BufferPool,
    /// The first byte that has not been consumed.
    start: NonNull<u8>,
    /// How many bytes there are from `start` on.
    len: u32,
    bid: u16,
    /// Whether the drop ends the loan; else it has gone on in a [`RemoteLoan`].
    held: bool,
}

/// A buffer of the pool, lent to whichever threads have the `Bytes` that it was made into.
struct RemoteLoan {
    slab: Arc<Slab>,
    /// Where in the slab the bytes begin.
    offset: usize,
    len: usize,
    bid: u16,
}

impl RecvBuf {
    /// Bytes in memory of their own.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self::from_bytes(Bytes::from(bytes))
    }

    /// Bytes in memory of their own, which others may share.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { source: Source::Heap(bytes), truncated: false }
    }

    /// The first `len` bytes of a buffer that has just become a loan: its drop will end it.
    #[inline]
    pub(super) fn from_loan(pool: BufferPool, bid: u16, start: NonNull<u8>, len: u32) -> Self {
        Self { source: Source::Loan(Loan { pool, start, len, bid, held: true }), truncated: false }
    }

    /// A copy of the bytes; the buffer goes back when this is dropped.
    pub fn to_vec(&self) -> Vec<u8> {
        self[..].to_vec()
    }

    /// The same bytes, without a copy, for as long and on whatever thread you need them. The buffer goes back to its runtime
    /// when the last clone of them is dropped; the runtime may be gone by then.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::buf::RecvBuf;
    ///
    /// let kept = RecvBuf::from_vec(b"message".to_vec()).into_bytes();
    /// assert_eq!(std::thread::spawn(move || kept.len()).join().unwrap(), 7);
    /// ```
    pub fn into_bytes(self) -> Bytes {
        match self.source {
            Source::Heap(bytes) => bytes,
            // Nothing to show: the buffer need not wait for it.
            Source::Loan(loan) if loan.len == 0 => Bytes::new(),
            Source::Loan(loan) => Bytes::from_owner(loan.into_remote()),
        }
    }

    /// Whether these are the first bytes of a datagram that was longer than the buffer. Never so for a stream.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Takes note that the datagram was longer.
    pub(crate) fn set_truncated(&mut self) {
        self.truncated = true;
    }

    /// Splits off the first `count` bytes, which share the buffer with the rest. Only the rest may still be
    /// [truncated](Self::is_truncated).
    ///
    /// # Panics
    ///
    /// Panics where there are fewer bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::buf::RecvBuf;
    ///
    /// let mut rest = RecvBuf::from_vec(b"headbody".to_vec());
    /// assert_eq!(rest.split_to(4), *b"head");
    /// assert_eq!(rest, *b"body");
    /// ```
    pub fn split_to(&mut self, count: usize) -> Self {
        let len = self[..].len();
        assert!(count <= len, "{count} bytes are split off of {len} that were received");
        let truncated = self.truncated;
        let mut bytes = std::mem::replace(self, Self::from_bytes(Bytes::new())).into_bytes();
        let front = Self::from_bytes(bytes.split_to(count));
        *self = Self { source: Source::Heap(bytes), truncated };
        front
    }

    /// Lets go of the first `count` bytes: they have been consumed. The buffer goes back with the last of it, on drop.
    ///
    /// # Panics
    ///
    /// Panics where there are fewer bytes.
    pub fn advance(&mut self, count: usize) {
        let len = self[..].len();
        assert!(count <= len, "{count} bytes are consumed of {len} that were received");
        match &mut self.source {
            Source::Heap(bytes) => bytes.advance(count),
            Source::Loan(loan) => {
                // SAFETY: the bytes up to `len` are the loan's.
                loan.start = unsafe { loan.start.add(count) };
                loan.len -= count as u32;
            }
        }
    }
}

impl Loan {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the kernel has written these bytes, and the buffer is nobody else's until the loan ends (I6); the pool
        // keeps it mapped.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }

    /// The same loan, fit for all threads.
    fn into_remote(mut self) -> RemoteLoan {
        let slab = self.pool.slab_of(self.bid);
        let offset = self.start.addr().get() - slab.start().addr().get();
        // The loan goes on: from here on its end is the remote one's.
        self.held = false;
        RemoteLoan { slab, offset, len: self.len as usize, bid: self.bid }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.held {
            self.pool.give_back(self.bid);
        }
    }
}

impl AsRef<[u8]> for RemoteLoan {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the loan that this one was made from had its bytes at this offset of the slab, which is still mapped.
        let start = unsafe { self.slab.start().add(self.offset) };
        // SAFETY: the kernel has written these bytes, and the buffer is nobody else's until the loan ends (I6).
        unsafe { slice::from_raw_parts(start.as_ptr(), self.len) }
    }
}

impl Drop for RemoteLoan {
    fn drop(&mut self) {
        self.slab.returns().push(self.bid);
    }
}

impl Deref for RecvBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.source {
            Source::Loan(loan) => loan.bytes(),
            Source::Heap(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for RecvBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

// SAFETY: the bytes lie in the pool's slab or on the heap, so they stay while the value moves; a loan is the only one of
// its buffer (I6), and neither it nor `Bytes` lets them be written to.
unsafe impl IoBuf for RecvBuf {
    #[inline]
    fn as_ptr(&self) -> *const u8 {
        self[..].as_ptr()
    }

    #[inline]
    fn len(&self) -> usize {
        self[..].len()
    }
}

impl fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl Eq for RecvBuf {}

impl PartialEq for RecvBuf {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl PartialEq<[u8]> for RecvBuf {
    fn eq(&self, other: &[u8]) -> bool {
        self[..] == *other
    }
}

impl PartialEq<&[u8]> for RecvBuf {
    fn eq(&self, other: &&[u8]) -> bool {
        self[..] == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for RecvBuf {
    fn eq(&self, other: &[u8; N]) -> bool {
        self[..] == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for RecvBuf {
    fn eq(&self, other: &&[u8; N]) -> bool {
        self[..] == **other
    }
}

impl PartialEq<Vec<u8>> for RecvBuf {
    fn eq(&self, other: &Vec<u8>) -> bool {
        self[..] == **other
    }
}

// It is moved with every completion that has bytes.
const _: () = assert!(size_of::<RecvBuf>() <= 40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_its_own_are_shown_consumed_and_kept() {
        let mut buf = RecvBuf::from_vec(b"0123456789".to_vec());
        buf.advance(3);
        assert_eq!((buf.to_vec(), buf.as_bytes()), (b"3456789".to_vec(), &b"3456789"[..]));
        assert_eq!(buf, b"3456789");
        assert_eq!(buf, RecvBuf::from_bytes(Bytes::from_static(b"3456789")));
        buf.advance(7);
        assert_eq!(buf.into_bytes(), Bytes::new());
    }

    #[test]
    fn a_cut_datagram_is_told() {
        let mut buf = RecvBuf::from_vec(vec![1]);
        assert!(!buf.is_truncated());
        buf.set_truncated();
        assert!(buf.is_truncated());
    }

    #[test]
    #[should_panic(expected = "2 bytes are consumed of 1 that were received")]
    fn more_than_was_received_cannot_be_consumed() {
        RecvBuf::from_vec(vec![1]).advance(2);
    }
}
