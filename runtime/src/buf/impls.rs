//! The types that may be lent as they are: std's and those of the `bytes` crate.
//!
//! # Safety
//!
//! Every type here keeps its bytes outside of itself (on the heap, or static), so that they stay where they are while the
//! value moves into the slot that owns it for the time of the operation (I1), and none hands out its bytes to be written
//! while a shared reference to it exists. Methods are called on the slice behind the pointer, or on the inherent type, by
//! name: `self.len()` on a `Box` would be the trait's own method again.

#![allow(unsafe_code, reason = "vouches for foreign types")]

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::traits::{IoBuf, IoBufMut};

/// For types that dereference to `[u8]`.
macro_rules! buffer_of_bytes {
    ($(#[doc = $why:literal] [$($generics:tt)*] $type:ty;)*) => {$(
        // SAFETY: see the reason given with the type.
        unsafe impl<$($generics)*> IoBuf for $type {
            fn as_ptr(&self) -> *const u8 {
                let bytes: &[u8] = &self[..];
                bytes.as_ptr()
            }

            fn len(&self) -> usize {
                let bytes: &[u8] = &self[..];
                bytes.len()
            }
        }
    )*};
}

buffer_of_bytes! {
    /// The bytes lie on the heap.
    [] Vec<u8>;
    /// The bytes lie on the heap.
    [] Box<[u8]>;
    /// The bytes lie on the heap.
    [const N: usize] Box<[u8; N]>;
    /// Static bytes stay for ever.
    [] &'static [u8];
    /// Static bytes stay for ever.
    [const N: usize] &'static [u8; N];
    /// The bytes lie on the heap or are static, and nobody can write to them.
    [] Bytes;
    /// The bytes lie on the heap, and this handle alone refers to its part of them.
    [] BytesMut;
    /// The bytes lie on the heap; `Rc::get_mut` needs the only reference, which is this one, and mutates it.
    [] Rc<[u8]>;
    /// As for `Rc`.
    [] Arc<[u8]>;
}

/// For types of text.
macro_rules! buffer_of_text {
    ($($type:ty),*) => {$(
        // SAFETY: the bytes lie on the heap or are static; text has no way to write to them but through `&mut`.
        unsafe impl IoBuf for $type {
            fn as_ptr(&self) -> *const u8 {
                str::as_ptr(self)
            }

            fn len(&self) -> usize {
                str::len(self)
            }
        }
    )*};
}

buffer_of_text! { String, &'static str }

// SAFETY: `Vec` owns `capacity` bytes on the heap, and keeps them as long as nobody makes it grow.
unsafe impl IoBufMut for Vec<u8> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        Vec::as_mut_ptr(self)
    }

    fn capacity(&self) -> usize {
        Vec::capacity(self)
    }

    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the caller promises the same as `Vec` asks for.
        unsafe { Vec::set_len(self, len) }
    }
}

// SAFETY: this handle alone refers to the `capacity` bytes behind its pointer, also where the allocation is shared.
unsafe impl IoBufMut for BytesMut {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        let bytes: &mut [u8] = self.as_mut();
        bytes.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        BytesMut::capacity(self)
    }

    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the caller promises the same as `BytesMut` asks for.
        unsafe { BytesMut::set_len(self, len) }
    }
}

// SAFETY: the box owns its bytes, which are all initialised, so `len` and `capacity` are one.
unsafe impl IoBufMut for Box<[u8]> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        <[u8]>::as_mut_ptr(self)
    }

    fn capacity(&self) -> usize {
        <[u8]>::len(self)
    }

    unsafe fn set_len(&mut self, _len: usize) {
        // Its length is fixed: the caller counts what has been read.
    }

    fn fill_from(&self) -> usize {
        0
    }
}

// SAFETY: as for `Box<[u8]>`.
unsafe impl<const N: usize> IoBufMut for Box<[u8; N]> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        <[u8]>::as_mut_ptr(&mut **self)
    }

    fn capacity(&self) -> usize {
        N
    }

    unsafe fn set_len(&mut self, _len: usize) {
        // As for `Box<[u8]>`.
    }

    fn fill_from(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks a buffer for its bytes before and after a move of the value to the heap.
    fn stays_in_place<B: IoBuf>(buf: B, expected: &[u8]) {
        let before = buf.as_ptr();
        let moved = Box::new(buf);
        assert_eq!(moved.as_ptr(), before);
        assert!(!before.is_null());
        assert_eq!(IoBuf::len(&*moved), expected.len());
        assert_eq!(IoBuf::as_bytes(&*moved), expected);
    }

    #[test]
    fn every_type_gives_its_bytes_and_keeps_them_in_place() {
        stays_in_place(vec![1, 2, 3], &[1, 2, 3]);
        stays_in_place(Vec::new(), &[]);
        stays_in_place(vec![1, 2, 3].into_boxed_slice(), &[1, 2, 3]);
        stays_in_place(Box::new([1, 2]), &[1, 2]);
        stays_in_place(Box::new([0_u8; 0]), &[]);
        stays_in_place(String::from("text"), b"text");
        stays_in_place("text", b"text");
        stays_in_place(b"bytes", b"bytes");
        stays_in_place(&b"bytes"[1..], b"ytes");
        stays_in_place(Bytes::from_static(b"bytes"), b"bytes");
        stays_in_place(Bytes::slice(&Bytes::from(vec![1, 2]), 1..), &[2]);
        stays_in_place(Bytes::new(), &[]);
        stays_in_place(BytesMut::from("bytes"), b"bytes");
        stays_in_place(Rc::<[u8]>::from([1, 2]), &[1, 2]);
        stays_in_place(Arc::<[u8]>::from([]), &[]);
    }

    /// What a buffer to read into says of itself: length, capacity, where a read begins.
    fn says<B: IoBufMut>(buf: &mut B) -> (usize, usize, usize) {
        assert_eq!(buf.as_mut_ptr().cast_const(), buf.as_ptr());
        (IoBuf::len(buf), IoBufMut::capacity(buf), buf.fill_from())
    }

    #[test]
    fn growing_buffers_are_filled_from_their_length_and_fixed_ones_from_their_start() {
        let mut vec = Vec::with_capacity(10);
        vec.push(1);
        assert_eq!(says(&mut vec), (1, vec.capacity(), 1));
        let mut bytes = BytesMut::with_capacity(10);
        bytes.extend_from_slice(b"abc");
        assert_eq!(says(&mut bytes), (3, bytes.capacity(), 3));
        assert_eq!(says(&mut Box::<[u8]>::from([1, 2, 3])), (3, 3, 0));
        assert_eq!(says(&mut Box::new([0_u8; 7])), (7, 7, 0));
        assert_eq!(says(&mut Vec::new()), (0, 0, 0));
    }

    #[test]
    fn a_split_bytes_mut_has_the_room_of_its_own_part_only() {
        let mut front = BytesMut::with_capacity(64);
        front.extend_from_slice(b"front|back");
        let mut back = front.split_off(6);
        assert_eq!(says(&mut front), (6, 6, 6));
        let (len, capacity, _) = says(&mut back);
        assert_eq!((len, front.capacity() + capacity >= 64), (4, true));
    }
}
