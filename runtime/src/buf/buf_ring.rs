//! The ring through which buffers go to the kernel: it picks one when bytes have arrived, and not before.
//!
//! ```text
//!            index   0      1      2      3          (entries: a power of two)
//!                 +------+------+------+------+
//!                 | addr | addr | addr | addr |
//!                 | len  | len  | len  | len  |
//!                 | bid  | bid  | bid  | bid  |
//!                 | TAIL |      |      |      |
//!                 +------+------+------+------+
//!                           ^ head (the kernel's own)   ^ tail (ours)
//! ```
//!
//! The kernel keeps the head to itself. The tail is ours alone to write, and lies where the first entry would have its
//! reserved field. See [io_uring_register_buf_ring(3)].
//!
//! # Safety
//!
//! The kernel reads the entries between its head and our tail. Only those beyond the tail are written here, as there are
//! never more buffers in the ring than it has entries: each id is in it at most once (I6), and ids are fewer. A tail is
//! published with `Release`, after its entries. The memory has to stay until the kernel has given the ring up (I4).
//!
//! [io_uring_register_buf_ring(3)]: https://man7.org/linux/man-pages/man3/io_uring_register_buf_ring.3.html

#![allow(unsafe_code, reason = "shares memory with the kernel")]

use std::cell::Cell;
use std::io;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::sys::mapping::Mapping;

/// The ring's memory, and our end of it.
#[derive(Debug)]
pub(super) struct BufRing {
    /// As many entries as `mask` says, page-aligned as the kernel asks for.
    mapping: Mapping,
    /// The number of entries, less 1.
    mask: u16,
    /// Where the next buffer goes to; ahead of the published tail between `push` and `publish`. It wraps around.
    tail: u16,
}

impl BufRing {
    /// An empty ring of `entries`, which is a power of two.
    pub(super) fn new(entries: u16) -> io::Result<Self> {
        assert!(entries.is_power_of_two(), "the kernel counts the entries of a ring by a mask");
        let mapping = Mapping::new(usize::from(entries) * size_of::<Entry>())?;
        Ok(Self { mapping, mask: entries - 1, tail: 0 })
    }

    /// Where the kernel finds the ring.
    pub(super) fn address(&self) -> u64 {
        self.mapping.start().addr().get() as u64
    }

    /// How many buffers the ring can hold.
    pub(super) fn entries(&self) -> u16 {
        self.mask + 1
    }

    /// How many bytes of memory the ring takes.
    pub(super) fn bytes(&self) -> usize {
        self.mapping.bytes()
    }

    /// Puts a buffer behind the tail. The kernel does not see it before [`publish`](Self::publish).
    pub(super) fn push(&mut self, bid: u16, start: NonNull<u8>, bytes: u32) {
        let entry = &self.table()[usize::from(self.tail & self.mask)];
        // The kernel will write there: the pointer's provenance is given away with its address.
        entry.addr.set(start.as_ptr().expose_provenance() as u64);
        entry.len.set(bytes);
        entry.bid.set(bid);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Gives what was pushed to the kernel.
    pub(super) fn publish(&self) {
        // Release: the kernel, which loads the tail with acquire, must see the entries before it.
        self.table()[0].tail.store(self.tail, Ordering::Release);
    }

    /// The entries.
    fn table(&self) -> &[Entry] {
        let start = self.mapping.start().cast::<Entry>().as_ptr();
        // SAFETY: the mapping has this many entries, aligned to a page, and zeroes are an entry. The kernel only reads
        // them, and fields behind shared references are cells and atomics, so that writes through them are allowed.
        unsafe { slice::from_raw_parts(start, usize::from(self.entries())) }
    }
}

/// The kernel's `struct io_uring_buf`.
#[repr(C)]
struct Entry {
    /// Where the buffer begins.
    addr: Cell<u64>,
    /// How many bytes it has.
    len: Cell<u32>,
    /// Its id: what the completion tells.
    bid: Cell<u16>,
    /// In the first entry the ring's tail; in the others, unused.
    tail: AtomicU16,
}

const _: () = assert!(size_of::<Entry>() == 16 && std::mem::offset_of!(Entry, tail) == 14);

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer's address that is never read.
    fn place(address: usize) -> NonNull<u8> {
        NonNull::new(std::ptr::without_provenance_mut(address)).unwrap()
    }

    /// What the kernel would read: the tail, and (addr, len, bid) of every entry, from the raw memory.
    fn raw(ring: &BufRing) -> (u16, Vec<(u64, u32, u16)>) {
        // SAFETY: the ring's mapping has this many bytes, and nobody writes to them meanwhile.
        let bytes = unsafe { slice::from_raw_parts(ring.mapping.start().as_ptr(), ring.bytes()) };
        let entries = bytes.chunks_exact(16).map(|entry| {
            (
                u64::from_ne_bytes(entry[..8].try_into().unwrap()),
                u32::from_ne_bytes(entry[8..12].try_into().unwrap()),
                u16::from_ne_bytes(entry[12..14].try_into().unwrap()),
            )
        });
        (u16::from_ne_bytes(bytes[14..16].try_into().unwrap()), entries.collect())
    }

    #[test]
    fn pushed_buffers_are_seen_once_they_are_published() {
        let mut ring = BufRing::new(4).unwrap();
        assert_eq!((ring.entries(), ring.bytes(), ring.address() % 4096), (4, 64, 0));
        ring.push(7, place(0x1000), 512);
        ring.push(8, place(0x2000), 256);
        assert_eq!(raw(&ring).0, 0);
        ring.publish();
        assert_eq!(raw(&ring), (2, vec![(0x1000, 512, 7), (0x2000, 256, 8), (0, 0, 0), (0, 0, 0)]));
    }

    #[test]
    fn the_tail_survives_writes_to_the_first_entry_and_wraps_around() {
        let mut ring = BufRing::new(2).unwrap();
        for round in 0..=u16::MAX {
            ring.push(round, place(0x1000), u32::MAX);
            if round % 2 == 0 {
                assert_eq!(raw(&ring).0, round);
            }
            ring.publish();
        }
        assert_eq!(raw(&ring).0, 0);
        ring.push(3, place(0x3000), 1);
        ring.publish();
        assert_eq!(raw(&ring), (1, vec![(0x3000, 1, 3), (0x1000, u32::MAX, u16::MAX)]));
    }

    #[test]
    fn a_ring_of_one_and_the_largest_ring_work() {
        let mut one = BufRing::new(1).unwrap();
        one.push(9, place(0x1000), 1);
        one.publish();
        assert_eq!(raw(&one), (1, vec![(0x1000, 1, 9)]));
        let largest = BufRing::new(1 << 15).unwrap();
        assert_eq!((largest.entries(), raw(&largest).1.len()), (1 << 15, 1 << 15));
    }

    #[test]
    #[should_panic(expected = "by a mask")]
    fn a_ring_that_is_no_power_of_two_is_refused() {
        let _ring = BufRing::new(3);
    }
}
