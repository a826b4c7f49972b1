//! Several buffers that are written or filled as if they were one.
//!
//! # Safety
//!
//! The traits are unsafe to implement because the kernel is given the address of every part at once, and uses all of them
//! until the final completion (I1).

#![allow(unsafe_code, reason = "the traits are contracts about raw memory")]

use super::traits::{IoBuf, IoBufMut};

/// Buffers that are written one after another: a `Vec` or an array of buffers of one type, or a pair.
///
/// # Safety
///
/// For a value that nobody mutates through `&mut`: `count` answers the same at every call, and `part(index)`, for every
/// index below it, the same buffer; the parts move with the value, or not at all.
///
/// # Examples
///
/// ```
/// use quoit_runtime::buf::IoVectoredBuf;
///
/// assert_eq!(["a", "bc"].total_len(), 3);
/// assert_eq!((vec![1_u8], "tail").part(1).as_bytes(), b"tail");
/// ```
pub unsafe trait IoVectoredBuf: 'static {
    /// How many parts there are.
    fn count(&self) -> usize;

    /// One of the parts.
    ///
    /// # Panics
    ///
    /// Panics where `index` is not below [`count`](Self::count).
    fn part(&self, index: usize) -> &dyn IoBuf;

    /// How many bytes all parts have.
    fn total_len(&self) -> usize {
        (0..self.count()).fold(0, |sum: usize, index| sum.saturating_add(self.part(index).len()))
    }
}

/// Buffers that are filled one after another.
///
/// # Safety
///
/// As for [`IoVectoredBuf`]. `part_mut` is the same buffer as `part`, and no two parts share memory.
pub unsafe trait IoVectoredBufMut: IoVectoredBuf {
    /// One of the parts, to be filled.
    ///
    /// # Panics
    ///
    /// Panics where `index` is not below [`count`](IoVectoredBuf::count).
    fn part_mut(&mut self, index: usize) -> &mut dyn IoBufMut;
}

// SAFETY: the elements are the parts; moving the vector does not change them.
unsafe impl<B: IoBuf> IoVectoredBuf for Vec<B> {
    fn count(&self) -> usize {
        self.len()
    }

    fn part(&self, index: usize) -> &dyn IoBuf {
        &self[index]
    }
}

// SAFETY: as above; the elements are distinct buffers.
unsafe impl<B: IoBufMut> IoVectoredBufMut for Vec<B> {
    fn part_mut(&mut self, index: usize) -> &mut dyn IoBufMut {
        &mut self[index]
    }
}

// SAFETY: the elements are the parts, and their bytes stay in place while they move with the array.
unsafe impl<B: IoBuf, const N: usize> IoVectoredBuf for [B; N] {
    fn count(&self) -> usize {
        N
    }

    fn part(&self, index: usize) -> &dyn IoBuf {
        &self[index]
    }
}

// SAFETY: as above; the elements are distinct buffers.
unsafe impl<B: IoBufMut, const N: usize> IoVectoredBufMut for [B; N] {
    fn part_mut(&mut self, index: usize) -> &mut dyn IoBufMut {
        &mut self[index]
    }
}

// SAFETY: the fields are the parts, and their bytes stay in place while they move with the pair.
unsafe impl<A: IoBuf, B: IoBuf> IoVectoredBuf for (A, B) {
    fn count(&self) -> usize {
        2
    }

    fn part(&self, index: usize) -> &dyn IoBuf {
        match index {
            0 => &self.0,
            1 => &self.1,
            _ => panic!("a pair has no part {index}"),
        }
    }
}

// SAFETY: as above; the fields are distinct buffers.
unsafe impl<A: IoBufMut, B: IoBufMut> IoVectoredBufMut for (A, B) {
    fn part_mut(&mut self, index: usize) -> &mut dyn IoBufMut {
        match index {
            0 => &mut self.0,
            1 => &mut self.1,
            _ => panic!("a pair has no part {index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;

    fn texts(bufs: &impl IoVectoredBuf) -> Vec<String> {
        (0..bufs.count()).map(|index| String::from_utf8_lossy(bufs.part(index).as_bytes()).into_owned()).collect()
    }

    #[test]
    fn vectors_arrays_and_pairs_give_their_parts_in_order() {
        assert_eq!(texts(&vec![Bytes::from_static(b"head"), Bytes::from_static(b"body")]), ["head", "body"]);
        assert_eq!(texts(&["a", "b", "c"]), ["a", "b", "c"]);
        assert_eq!(texts(&(b"x".to_vec(), "tail")), ["x", "tail"]);
        assert_eq!((["a", "bc"].total_len(), Vec::<Bytes>::new().total_len()), (3, 0));
    }

    #[test]
    fn parts_to_fill_are_the_parts_to_read() {
        let mut pair = (vec![1_u8, 2].slice(1..), BytesMut::from("abc"));
        for index in 0..pair.count() {
            assert_eq!(pair.part(index).as_ptr(), pair.part_mut(index).as_mut_ptr().cast_const());
        }
        assert_eq!(vec![Vec::<u8>::with_capacity(4)].part_mut(0).capacity(), 4);
        assert_eq!([vec![7_u8]].part_mut(0).len(), 1);
    }

    #[test]
    #[should_panic(expected = "a pair has no part 2")]
    fn a_part_that_is_not_there_panics() {
        let _part = ("a", "b").part(2);
    }
}
