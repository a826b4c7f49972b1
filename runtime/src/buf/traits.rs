//! What a value has to promise before its memory may be named in an SQE: the first step of every read and write.
//!
//! # Safety
//!
//! The traits are unsafe to implement because the kernel takes their answers at their word: it reads and writes through
//! the pointers long after the call that asked for them, while the value rests in the slot of its operation (I1). The one
//! unsafe act here, making a slice of a buffer's bytes, relies on that contract and on nothing else.

#![allow(unsafe_code, reason = "the traits are contracts about raw memory")]

use std::io;
use std::ops::RangeBounds;
use std::slice;

use super::slice::Slice;

/// The answer of an operation that borrowed a buffer: the result, and the buffer, whichever way it went.
///
/// # Examples
///
/// ```
/// use quoit_runtime::buf::BufResult;
///
/// fn count_and_reuse((res, buf): BufResult<usize, Vec<u8>>) -> std::io::Result<(usize, Vec<u8>)> {
///     res.map(|count| (count, buf))
/// }
/// # assert_eq!(count_and_reuse((Ok(1), vec![7])).unwrap(), (1, vec![7]));
/// ```
pub type BufResult<T, B> = (io::Result<T>, B);

/// A buffer with bytes that the kernel may read.
///
/// The value moves into the operation and comes back with its answer; the bytes themselves stay where they are. So a
/// type that keeps its bytes inside of itself, such as `[u8; 16]`, can't be an `IoBuf`; a `Box` of it can.
///
/// # Safety
///
/// For a value that nobody mutates through `&mut`:
///
/// - `as_ptr` is not null (not even where `len` is 0) and names `len` bytes, all of them initialised and readable, that
///   stay in place **while the value is moved**, and live until it is mutated or dropped;
/// - nobody writes to these bytes, not even through shared ownership of them or interior mutability;
/// - `as_ptr` and `len` answer the same at every call.
///
/// # Examples
///
/// A buffer of one's own, on the heap:
///
/// ```
/// use quoit_runtime::buf::{IoBuf, IoBufMut};
///
/// /// A page that remembers how much of it is filled.
/// struct Page {
///     bytes: Box<[u8; 4096]>,
///     filled: usize,
/// }
///
/// // SAFETY: the bytes lie on the heap, all of them initialised, and do not move with the page.
/// unsafe impl IoBuf for Page {
///     fn as_ptr(&self) -> *const u8 {
///         self.bytes.as_slice().as_ptr()
///     }
///
///     fn len(&self) -> usize {
///         self.filled
///     }
/// }
///
/// // SAFETY: as above, and nobody else refers to them.
/// unsafe impl IoBufMut for Page {
///     fn as_mut_ptr(&mut self) -> *mut u8 {
///         self.bytes.as_mut_slice().as_mut_ptr()
///     }
///
///     fn capacity(&self) -> usize {
///         4096
///     }
///
///     unsafe fn set_len(&mut self, len: usize) {
///         self.filled = len;
///     }
/// }
///
/// let mut page = Page { bytes: Box::new([0; 4096]), filled: 0 };
/// assert_eq!(quoit_runtime::buf::fill(&mut page, b"head"), 4);
/// assert_eq!(page.as_bytes(), b"head");
/// ```
pub unsafe trait IoBuf: 'static {
    /// Where the bytes begin.
    fn as_ptr(&self) -> *const u8;

    /// How many bytes there are, all of them initialised.
    fn len(&self) -> usize;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the trait's contract: `len` initialised bytes that nobody writes to while `self` is borrowed.
        unsafe { slice::from_raw_parts(self.as_ptr(), self.len()) }
    }

    /// A part of the buffer, to be written from or read into; [`Slice::into_inner`] gives the whole back.
    ///
    /// The range may end behind the bytes that are there, and even behind the capacity: a write takes the bytes up to the
    /// buffer's length, a read fills up to its capacity, and neither grows it.
    ///
    /// Where this trait is in scope, `bytes.slice(..)` of a [`Bytes`](bytes::Bytes) means this method; its own one is
    /// called as `Bytes::slice(&bytes, ..)`.
    ///
    /// # Panics
    ///
    /// Panics where the range begins behind the length (the bytes between would not be initialised), or ends before it
    /// begins.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::buf::IoBuf;
    ///
    /// let part = vec![1, 2, 3, 4].slice(1..3);
    /// assert_eq!(part.as_bytes(), [2, 3]);
    /// assert_eq!(part.into_inner(), [1, 2, 3, 4]);
    /// ```
    #[track_caller]
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        Slice::new(self, range)
    }
}

/// A buffer with room that the kernel may write to.
///
/// A read begins at [`fill_from`](Self::fill_from) and ends at the [`capacity`](Self::capacity) at the latest, so a `Vec`
/// is filled from its length on and keeps what it has, while a `Box` is overwritten from its start.
///
/// # Safety
///
/// As for [`IoBuf`], and for a value that nobody mutates but through these methods:
///
/// - `as_mut_ptr` is the same place as `as_ptr`, and names `capacity` bytes that may be read once they are initialised
///   and written at any time; they too stay in place while the value is moved, and nobody else refers to them;
/// - `len <= capacity` and `fill_from <= len`, and `capacity` answers the same at every call;
/// - `set_len(n)`, called as its contract says, leaves the bytes and `capacity` as they are, and `len() >= n`.
pub unsafe trait IoBufMut: IoBuf {
    /// Where the memory begins: the same place as [`IoBuf::as_ptr`], to write to.
    fn as_mut_ptr(&mut self) -> *mut u8;

    /// How many bytes there is memory for, counted from the beginning.
    fn capacity(&self) -> usize;

    /// Told that the first `len` bytes are there. A read calls it with `fill_from()`, as it was when the read began, and
    /// the count of bytes read added to it. A buffer of a fixed length does nothing.
    ///
    /// # Safety
    ///
    /// `len <= capacity()`, and the first `len` bytes are initialised.
    unsafe fn set_len(&mut self, len: usize);

    /// Where a read begins to write: at the length, unless the buffer is one that is overwritten.
    fn fill_from(&self) -> usize {
        self.len()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{self, Location};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use super::*;

    #[test]
    fn the_traits_can_be_used_through_a_reference_of_unknown_type() {
        let mut first = vec![1_u8, 2];
        let mut second: Box<[u8]> = Box::new([3]);
        let parts: [&mut dyn IoBufMut; 2] = [&mut first, &mut second];
        assert_eq!(parts.map(|part| (part.len(), part.as_bytes()[0])), [(2, 1), (1, 3)]);
    }

    #[test]
    fn an_empty_buffer_is_told_and_gives_no_bytes() {
        assert!(Vec::new().as_bytes().is_empty());
        assert!(IoBuf::is_empty(&""));
        assert!(!IoBuf::is_empty(&"a"));
    }

    #[test]
    fn a_bad_range_is_blamed_on_its_caller() {
        let line = Arc::new(AtomicU32::new(0));
        // The hook is everybody's: tests on other threads may panic meanwhile.
        let (seen, here) = (Arc::clone(&line), thread::current().id());
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == here {
                seen.store(info.location().map_or(0, Location::line), Relaxed);
            } else {
                others(info);
            }
        }));
        let expected = line!() + 1;
        let outcome = panic::catch_unwind(|| vec![0; 3].slice(4..));
        assert!(outcome.is_err());
        assert_eq!(line.load(Relaxed), expected);
    }
}
