//! Putting bytes into buffers: the last step of a read, and the only place that moves a buffer's length.
//!
//! What arrives may come from the kernel, which has written straight into the buffer ([`commit`]), or be copied from bytes
//! that somebody holds already ([`fill`], [`scatter`]). The latter are safe, for crates that forbid unsafe code.
//!
//! A read may take several steps (`read_exact`), and buffers differ in what their `fill_from` says after the first: a
//! `Vec` goes on at its new length, a `Box` would begin anew. So [`Filler`] asks once, and counts on its own from there.
//!
//! # Safety
//!
//! Memory is written only between a position and the capacity, and the length is moved only over bytes that were
//! initialised: those before the position are (it is at most the length, which is asserted, since a `Filler` may be used
//! with the wrong buffer), those behind it have just been written. What the kernel writes to in between is owned by the
//! operation's slot (I1).

#![allow(unsafe_code, reason = "writes to memory that is not initialised, and moves lengths over it")]

use std::ptr;

use super::traits::IoBufMut;
use super::vectored::IoVectoredBufMut;

/// Copies as many of the bytes as there is room for into the buffer, from its [`fill_from`](IoBufMut::fill_from) on, and
/// returns their count.
///
/// # Examples
///
/// ```
/// use quoit_runtime::buf::fill;
///
/// let mut buf = Box::new([0; 4]);
/// assert_eq!(fill(&mut buf, b"abcdef"), 4);
/// assert_eq!(&*buf, b"abcd");
/// ```
pub fn fill<B: IoBufMut + ?Sized>(buf: &mut B, bytes: &[u8]) -> usize {
    Filler::new(buf).fill(buf, bytes)
}

/// How many bytes a read into the buffer could bring: from its [`fill_from`](IoBufMut::fill_from) to its capacity.
///
/// # Examples
///
/// ```
/// assert_eq!(quoit_runtime::buf::spare(&Box::new([0; 4])), 4);
/// assert_eq!(quoit_runtime::buf::spare(&Vec::new()), 0);
/// ```
pub fn spare<B: IoBufMut + ?Sized>(buf: &B) -> usize {
    buf.capacity().saturating_sub(buf.fill_from())
}

/// Copies as many of the bytes as there is room for into the parts, one after another, and returns their count.
///
/// # Examples
///
/// ```
/// let mut parts = [Box::new([0; 2]), Box::new([0; 2])];
/// assert_eq!(quoit_runtime::buf::scatter(&mut parts, b"abc"), 3);
/// assert_eq!((&*parts[0], &*parts[1]), (b"ab", &[b'c', 0]));
/// ```
pub fn scatter<V: IoVectoredBufMut + ?Sized>(bufs: &mut V, bytes: &[u8]) -> usize {
    Scatter::new().fill(bufs, bytes)
}

/// How many bytes a read into the parts could bring.
///
/// # Examples
///
/// ```
/// assert_eq!(quoit_runtime::buf::spare_vectored(&mut [Box::new([0; 2]), Box::new([0; 2])]), 4);
/// ```
pub fn spare_vectored<V: IoVectoredBufMut + ?Sized>(bufs: &mut V) -> usize {
    (0..bufs.count()).fold(0, |sum: usize, index| sum.saturating_add(spare(bufs.part_mut(index))))
}

/// A read into one buffer that may take several steps: where it began, and how far it has come.
///
/// All steps have to be given the same buffer, which nobody else fills meanwhile.
///
/// # Examples
///
/// ```
/// use quoit_runtime::buf::Filler;
///
/// let mut buf: Box<[u8]> = Box::new([0; 4]);
/// let mut filler = Filler::new(&buf);
/// assert_eq!(filler.fill(&mut buf, b"ab"), 2);
/// assert_eq!(filler.fill(&mut buf, b"cde"), 2);
/// assert_eq!((filler.filled(), filler.spare(&buf)), (4, 0));
/// assert_eq!(*buf, *b"abcd");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Filler {
    /// Where the first step began.
    start: usize,
    /// How many bytes all steps have brought.
    filled: usize,
}

impl Filler {
    /// A read that has not brought anything yet.
    pub fn new<B: IoBufMut + ?Sized>(buf: &B) -> Self {
        Self { start: buf.fill_from(), filled: 0 }
    }

    /// How many bytes the steps have brought.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// How many bytes more there is room for.
    pub fn spare<B: IoBufMut + ?Sized>(&self, buf: &B) -> usize {
        buf.capacity().saturating_sub(self.start + self.filled)
    }

    /// Copies as many of the bytes as there is room for behind those of earlier steps, and returns their count.
    ///
    /// # Panics
    ///
    /// Panics where the buffer has fewer bytes than an earlier step left: it is not the same one.
    pub fn fill<B: IoBufMut + ?Sized>(&mut self, buf: &mut B, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.spare(buf));
        let place = self.place(buf);
        // SAFETY: `place` has room for `spare` bytes; nothing else refers to them, as `buf` is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, count) };
        // SAFETY: the bytes have just been written.
        unsafe { self.commit(buf, count) }
    }

    /// Where the next byte goes to, and how many may follow in one operation: what an SQE names. The memory behind it may
    /// be uninitialised.
    ///
    /// # Panics
    ///
    /// As [`fill`](Self::fill).
    #[inline]
    pub(crate) fn target<B: IoBufMut + ?Sized>(&self, buf: &mut B) -> (*mut u8, u32) {
        let room = sqe_len(self.spare(buf));
        (self.place(buf), room)
    }

    /// Takes note of `count` bytes that were written to [`target`](Self::target). A count beyond the capacity (a kernel
    /// that tells the length of what it had to cut) is cut down to it. Returns how many bytes it really was.
    ///
    /// # Panics
    ///
    /// As [`fill`](Self::fill).
    ///
    /// # Safety
    ///
    /// As many bytes as `count` says have been initialised there, or all up to the capacity if it says more.
    #[inline]
    pub(crate) unsafe fn commit<B: IoBufMut + ?Sized>(&mut self, buf: &mut B, count: usize) -> usize {
        let count = count.min(self.spare(buf));
        let position = self.checked_position(buf);
        // SAFETY: `position + count` is within the capacity. The bytes before `position` are initialised as it is at most
        // the length, those behind by the caller's word.
        unsafe { buf.set_len(position + count) };
        self.filled += count;
        count
    }

    /// Where the next byte goes to. It is at most the buffer's length, so that no gap of uninitialised bytes is left.
    fn checked_position<B: IoBufMut + ?Sized>(&self, buf: &B) -> usize {
        let position = self.start + self.filled;
        let len = buf.len();
        assert!(
            position <= len,
            "a read is at byte {position} of a buffer that has only {len}: is it the same buffer?"
        );
        position
    }

    /// The address of the next byte.
    fn place<B: IoBufMut + ?Sized>(&self, buf: &mut B) -> *mut u8 {
        let position = self.checked_position(buf);
        // SAFETY: `position` is at most the length, and so within the memory that the buffer has.
        unsafe { buf.as_mut_ptr().add(position) }
    }
}

/// A read into several buffers that may take several steps.
///
/// All steps have to be given the same buffers, which nobody else fills meanwhile.
///
/// # Examples
///
/// ```
/// use quoit_runtime::buf::Scatter;
///
/// let mut parts = (Box::new([0; 3]), Vec::with_capacity(10));
/// let mut scatter = Scatter::new();
/// assert_eq!(scatter.fill(&mut parts, b"ab"), 2);
/// assert_eq!(scatter.fill(&mut parts, b"cd"), 2);
/// assert_eq!((&*parts.0, &*parts.1), (b"abc", &b"d"[..]));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Scatter {
    /// The part that is being filled; those before are full.
    index: usize,
    /// How far that part is, or `None` before its first byte.
    part: Option<Filler>,
    /// How many bytes all steps have brought.
    filled: usize,
}

impl Scatter {
    /// A read that has not brought anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes the steps have brought.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// How many bytes more there is room for.
    pub fn spare<V: IoVectoredBufMut + ?Sized>(&self, bufs: &mut V) -> usize {
        (self.index..bufs.count()).fold(0, |sum: usize, index| {
            let part = bufs.part_mut(index);
            let filler = self.part.filter(|_| index == self.index).unwrap_or_else(|| Filler::new(part));
            sum.saturating_add(filler.spare(part))
        })
    }

    /// Copies as many of the bytes as there is room for behind those of earlier steps, and returns their count.
    ///
    /// # Panics
    ///
    /// Panics where a buffer has fewer bytes than an earlier step left: it is not the same one.
    pub fn fill<V: IoVectoredBufMut + ?Sized>(&mut self, bufs: &mut V, bytes: &[u8]) -> usize {
        self.advance(bufs, bytes.len(), |filler, part, done| filler.fill(part, &bytes[done..]))
    }

    /// Goes on through the parts until `count` bytes have found their place, or the last part is full. `step` puts what is
    /// left, after the count that is done, into a part.
    fn advance<V: IoVectoredBufMut + ?Sized>(
        &mut self,
        bufs: &mut V,
        count: usize,
        mut step: impl FnMut(&mut Filler, &mut dyn IoBufMut, usize) -> usize,
    ) -> usize {
        let mut done = 0;
        while done < count && self.index < bufs.count() {
            let part = bufs.part_mut(self.index);
            let filler = self.part.get_or_insert_with(|| Filler::new(part));
            done += step(filler, part, done);
            if filler.spare(part) == 0 {
                self.index += 1;
                self.part = None;
            }
        }
        self.filled += done;
        done
    }
}

/// Where a read of one step writes to, and how many bytes at most: see [`Filler::target`].
#[inline]
pub(crate) fn target<B: IoBufMut + ?Sized>(buf: &mut B) -> (*mut u8, u32) {
    Filler::new(buf).target(buf)
}

/// Takes note of what the kernel has written to [`target`], and returns how many bytes it really was.
///
/// # Safety
///
/// As [`Filler::commit`].
#[inline]
pub(crate) unsafe fn commit<B: IoBufMut + ?Sized>(buf: &mut B, count: usize) -> usize {
    // SAFETY: the caller's promise is the same.
    unsafe { Filler::new(buf).commit(buf, count) }
}

/// A length as an SQE may carry it. The kernel moves no more than this in one operation anyhow, and a longer length must
/// not turn into a short one, or into 0, by losing its upper bits.
#[inline]
pub(crate) fn sqe_len(len: usize) -> u32 {
    u32::try_from(len).map_or(MAX_RW_COUNT, |len| len.min(MAX_RW_COUNT))
}

/// The most bytes that one read or write moves, on Linux: see [read(2)].
///
/// [read(2)]: https://man7.org/linux/man-pages/man2/read.2.html
const MAX_RW_COUNT: u32 = 0x7fff_f000;

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn a_vec_goes_on_at_its_length_and_a_box_where_the_last_step_ended() {
        let mut vec = b"ab".to_vec();
        vec.reserve_exact(3);
        let (mut boxed, mut bytes) = (Box::new([b'.'; 5]), BytesMut::with_capacity(5));
        let mut fillers = (Filler::new(&vec), Filler::new(&boxed), Filler::new(&bytes));
        for step in [&b"c"[..], b"d", b"", b"efghijkl"] {
            fillers.0.fill(&mut vec, step);
            fillers.1.fill(&mut boxed, step);
            fillers.2.fill(&mut bytes, step);
        }
        assert_eq!((&vec[..], fillers.0.filled(), fillers.0.spare(&vec)), (&b"abcde"[..], 3, 0));
        assert_eq!((&*boxed, fillers.1.filled(), fillers.1.spare(&boxed)), (b"cdefg", 5, 0));
        assert_eq!((&bytes[..], fillers.2.filled(), fillers.2.spare(&bytes)), (&b"cdefg"[..], 5, 0));
    }

    #[test]
    fn a_buffer_without_room_takes_nothing() {
        assert_eq!((fill(&mut Vec::new(), b"x"), spare(&Vec::new())), (0, 0));
        assert_eq!(fill(&mut Box::new([0; 0]), b"x"), 0);
        assert_eq!(scatter(&mut Vec::<Vec<u8>>::new(), b"x"), 0);
        assert_eq!(scatter(&mut [Vec::new(), Vec::new()], b"x"), 0);
    }

    #[test]
    #[should_panic(expected = "a read is at byte 3 of a buffer that has only 0")]
    fn another_buffer_with_fewer_bytes_is_refused() {
        let mut buf = Vec::with_capacity(10);
        let mut filler = Filler::new(&buf);
        filler.fill(&mut buf, b"abc");
        filler.fill(&mut Vec::with_capacity(10), b"d");
    }

    #[test]
    fn what_the_kernel_says_is_cut_to_the_capacity() {
        let mut buf = b"ab".to_vec();
        buf.reserve_exact(2);
        let (place, room) = target(&mut buf);
        assert_eq!((place.cast_const(), room), (buf.as_ptr().wrapping_add(2), 2));
        // SAFETY: the vector has two bytes behind its length, and no more are written.
        unsafe { place.write_bytes(b'x', 2) };
        // SAFETY: all bytes up to the capacity have just been written.
        assert_eq!(unsafe { commit(&mut buf, 1_000) }, 2);
        assert_eq!(buf, b"abxx");
    }

    #[test]
    fn scattering_skips_full_parts_and_goes_on_in_the_middle_of_one() {
        let mut parts = vec![Vec::new(), Vec::with_capacity(2), Vec::new(), Vec::with_capacity(4)];
        let mut scatter = Scatter::new();
        assert_eq!(scatter.spare(&mut parts), 6);
        let taken = [&b"a"[..], b"bc", b"", b"defgh"].map(|step| scatter.fill(&mut parts, step));
        assert_eq!((taken, scatter.filled(), scatter.spare(&mut parts)), ([1, 2, 0, 3], 6, 0));
        assert_eq!(parts, [&b""[..], b"ab", b"", b"cdef"]);
    }

    #[test]
    fn a_length_for_an_sqe_is_never_truncated() {
        assert_eq!([0, 1, 4096].map(sqe_len), [0, 1, 4096]);
        assert_eq!(sqe_len(MAX_RW_COUNT as usize + 1), MAX_RW_COUNT);
        assert_eq!([1 << 32, (1 << 32) + 7, usize::MAX].map(sqe_len), [MAX_RW_COUNT; 3]);
    }
}
