//! A window of a buffer, for a write of some of its bytes or a read into some of its room.
//!
//! # Safety
//!
//! A slice names memory of the buffer that it owns, so what the buffer promises holds for it as well (I1), and the buffer
//! cannot be mutated but through the slice. `begin <= buf.len()` holds from the beginning to the end: the length never
//! shrinks here. So all bytes before the window are initialised, and the buffer's length may be moved behind the window
//! once the window's own bytes are.

#![allow(unsafe_code, reason = "computes pointers into the buffer, and vouches for its bytes")]

use std::fmt;
use std::ops::{Bound, RangeBounds};

use super::traits::{IoBuf, IoBufMut};

/// A part of a buffer: made by [`IoBuf::slice`], given back whole by [`into_inner`](Self::into_inner).
///
/// A write takes the bytes of the window that are there. A read overwrites the window from its beginning, up to its end or
/// to the buffer's capacity, and the buffer's length grows where the read went behind it; it never shrinks.
///
/// # Examples
///
/// ```
/// use quoit_runtime::buf::{IoBuf, fill};
///
/// let mut part = vec![0_u8; 5].slice(1..3);
/// assert_eq!(fill(&mut part, b"abc"), 2);
/// assert_eq!(part.into_inner(), [0, b'a', b'b', 0, 0]);
/// ```
pub struct Slice<B> {
    /// The whole buffer; it has at least `begin` bytes.
    buf: B,
    /// Where the window begins.
    begin: usize,
    /// Where the window ends, exclusive; at least `begin`, and [`UNBOUNDED`] where nothing but the buffer ends it.
    end: usize,
}

impl<B: IoBuf> Slice<B> {
    #[track_caller]
    pub(super) fn new(buf: B, range: impl RangeBounds<usize>) -> Self {
        let begin = match range.start_bound() {
            Bound::Included(&begin) => begin,
            // Saturated, it is behind every length, and told so below.
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            // No buffer reaches up to the last index, so that saturated is as good as unbounded.
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => UNBOUNDED,
        };
        let len = buf.len();
        assert!(begin <= end, "a slice of a buffer ends at {end}, before it begins at {begin}");
        assert!(begin <= len, "a slice of a buffer begins at {begin}, behind the buffer's length of {len}");
        Self { buf, begin, end }
    }

    /// Where the window of a buffer of this length or capacity ends.
    fn end_within(&self, limit: usize) -> usize {
        self.end.min(limit)
    }
}

impl<B> Slice<B> {
    /// The whole buffer.
    pub fn into_inner(self) -> B {
        self.buf
    }

    /// The whole buffer, to look at.
    pub fn get_ref(&self) -> &B {
        &self.buf
    }

    /// The index in the buffer at which the window begins.
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// The index in the buffer before which the window ends, or `None` where the buffer's own end is the window's. It may
    /// lie behind the buffer's capacity.
    pub fn end(&self) -> Option<usize> {
        (self.end != UNBOUNDED).then_some(self.end)
    }
}

// SAFETY: the bytes are some of those that the buffer vouches for; none are named that lie behind its length.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn as_ptr(&self) -> *const u8 {
        // SAFETY: `begin` is at most the buffer's length.
        unsafe { self.buf.as_ptr().add(self.begin) }
    }

    fn len(&self) -> usize {
        self.end_within(self.buf.len()).saturating_sub(self.begin)
    }
}

// SAFETY: the memory is some of that which the buffer vouches for; none is named that lies behind its capacity. `set_len`
// leaves a length of at least what it was told, as the buffer does.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        // SAFETY: `begin` is at most the buffer's length, which is at most its capacity.
        unsafe { self.buf.as_mut_ptr().add(self.begin) }
    }

    fn capacity(&self) -> usize {
        self.end_within(self.buf.capacity()).saturating_sub(self.begin)
    }

    unsafe fn set_len(&mut self, len: usize) {
        let len = self.begin + len;
        if len > self.buf.len() {
            // SAFETY: the bytes before `begin` are initialised, those up to `len` by the caller's word, who stays within
            // this slice's capacity, and so within the buffer's.
            unsafe { self.buf.set_len(len) }
        }
    }

    fn fill_from(&self) -> usize {
        0
    }
}

impl<B: IoBuf> fmt::Debug for Slice<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("begin", &self.begin)
            .field("end", &self.end())
            .field("bytes", &format_args!("b\"{}\"", self.as_bytes().escape_ascii()))
            .finish()
    }
}

/// The end of a window that nothing but its buffer ends.
const UNBOUNDED: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use std::ops::Bound;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::super::fill::fill;
    use super::*;

    /// A `Vec` with exactly this capacity.
    fn vec_with(bytes: &[u8], capacity: usize) -> Vec<u8> {
        let mut vec = Vec::with_capacity(capacity);
        assert_eq!(vec.capacity(), capacity);
        vec.extend_from_slice(bytes);
        vec
    }

    #[test]
    fn a_write_sees_the_bytes_and_a_read_the_room() {
        let slice = vec_with(b"abcd", 10).slice(2..8);
        assert_eq!((slice.as_bytes(), slice.len(), slice.capacity(), slice.fill_from()), (&b"cd"[..], 2, 6, 0));
        assert_eq!((slice.begin(), slice.end()), (2, Some(8)));
        let open = vec_with(b"abcd", 10).slice(4..);
        assert_eq!((open.len(), open.capacity(), open.end()), (0, 6, None));
    }

    #[test]
    fn a_range_behind_the_capacity_is_cut_to_it() {
        let slice = vec_with(b"abcd", 6).slice(1..1_000);
        assert_eq!((slice.len(), slice.capacity()), (3, 5));
        let last = vec_with(b"abcd", 6).slice(..=usize::MAX);
        assert_eq!((last.len(), last.capacity(), last.end()), (4, 6, None));
    }

    #[test]
    fn reading_into_a_slice_grows_the_length_but_never_shrinks_it() {
        let mut slice = vec_with(b"abcd", 10).slice(1..9);
        assert_eq!(fill(&mut slice, b"XY"), 2);
        assert_eq!(slice.get_ref(), b"aXYd");
        assert_eq!(fill(&mut slice, b"0123456789"), 8);
        assert_eq!(slice.get_ref(), b"a01234567");
        assert_eq!(slice.into_inner().capacity(), 10);
    }

    #[test]
    fn a_slice_of_a_slice_stays_within_both() {
        let mut nested = vec_with(b"abcdef", 12).slice(2..10).slice(1..20);
        assert_eq!((nested.as_bytes(), nested.capacity()), (&b"def"[..], 7));
        assert_eq!(fill(&mut nested, b"0123456789"), 7);
        assert_eq!(nested.into_inner().into_inner(), b"abc0123456");
    }

    #[test]
    fn a_box_is_overwritten_within_the_window_only() {
        let mut slice = Box::new([0_u8; 5]).slice(1..=2);
        assert_eq!(fill(&mut slice, &[9; 9]), 2);
        assert_eq!(*slice.into_inner(), [0, 9, 9, 0, 0]);
    }

    #[test]
    fn an_empty_window_at_the_very_end_is_allowed() {
        let slice = vec_with(b"abc", 3).slice(3..);
        assert_eq!((slice.len(), slice.capacity(), slice.as_bytes()), (0, 0, &b""[..]));
    }

    #[test]
    fn ranges_that_begin_behind_the_length_or_are_inverted_panic() {
        let panics = |start, end| catch_unwind(AssertUnwindSafe(|| vec_with(b"abc", 10).slice((start, end)))).is_err();
        assert!(panics(Bound::Included(4), Bound::Unbounded));
        assert!(panics(Bound::Included(2), Bound::Excluded(1)));
        assert!(panics(Bound::Excluded(3), Bound::Unbounded));
        assert!(panics(Bound::Excluded(usize::MAX), Bound::Unbounded));
        assert!(!panics(Bound::Included(3), Bound::Excluded(3)));
        assert!(!panics(Bound::Excluded(1), Bound::Included(1)));
    }

    #[test]
    fn it_prints_its_window_and_bytes() {
        let text = format!("{:?}", vec_with(b"a\"b\n", 8).slice(1..5));
        assert_eq!(text, r#"Slice { begin: 1, end: Some(5), bytes: b"\"b\n" }"#);
    }
}
