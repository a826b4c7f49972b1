//! The kernel's end of the rings of provided buffers: picks one when bytes have arrived, exactly as the kernel does.
//!
//! # Safety
//!
//! A ring that was registered stays mapped until it is unregistered, or for ever (I4, I6). Entries between our head and the
//! owner's tail are ours to read: the tail is loaded with `Acquire` before them.
#![allow(unsafe_code, reason = "reads the memory that a buffer ring is shared in")]

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::buf::BufferPool;

/// The groups that are registered. There is one in a driver, so a list does.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Group>);

#[derive(Debug)]
struct Group {
    number: u16,
    /// Where the ring lies.
    address: u64,
    /// Its entries, less 1.
    mask: u16,
    /// The next buffer to be picked; it wraps around.
    head: u16,
}

/// A buffer at the head of its ring. It stays there until [`Groups::pick`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Provided {
    pub(super) address: u64,
    pub(super) bytes: u32,
    pub(super) bid: u16,
}

/// `struct io_uring_buf`.
#[repr(C)]
struct Entry {
    address: Cell<u64>,
    bytes: Cell<u32>,
    bid: Cell<u16>,
    /// In the first entry the tail, which its owner writes meanwhile.
    tail: AtomicU16,
}

impl Groups {
    pub(super) fn register(&mut self, pool: &BufferPool) -> io::Result<()> {
        if self.0.iter().any(|group| group.number == pool.group()) {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        let (address, mask) = (pool.ring_address(), pool.ring_entries() - 1);
        self.0.push(Group { number: pool.group(), address, mask, head: 0 });
        Ok(())
    }

    pub(super) fn unregister(&mut self, number: u16) {
        self.0.retain(|group| group.number != number);
    }

    /// The buffer that would be picked next; `ENOBUFS` where there is none, or no such group.
    pub(super) fn next(&self, number: u16) -> Result<Provided, i32> {
        let group = self.0.iter().find(|group| group.number == number).ok_or(libc::ENOBUFS)?;
        let ring: *const Entry = ptr::with_exposed_provenance(group.address as usize);
        // SAFETY: the ring is mapped while it is registered; beside the fields that are read, its owner writes to the tail only,
        // which is atomic (I6).
        let first = unsafe { &*ring };
        if first.tail.load(Ordering::Acquire) == group.head {
            return Err(libc::ENOBUFS);
        }
        // SAFETY: the masked head is one of the ring's entries.
        let entry = unsafe { ring.add(usize::from(group.head & group.mask)) };
        // SAFETY: the entry is before the tail: its owner has no more business there until it was picked (I6).
        let Entry { address, bytes, bid, .. } = unsafe { &*entry };
        let (address, bytes, bid) = (address.get(), bytes.get(), bid.get());
        Ok(Provided { address, bytes, bid })
    }

    /// The next buffer has been picked: a completion will name it.
    pub(super) fn pick(&mut self, number: u16) {
        if let Some(group) = self.0.iter_mut().find(|group| group.number == number) {
            group.head = group.head.wrapping_add(1);
        }
    }
}
