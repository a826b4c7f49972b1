//! The pool against a kernel that reads the ring as the real one does, in raw memory.
//!
//! # Safety
//!
//! The tests play the kernel: they read the ring between their head and the published tail, and write only to buffers
//! that they have taken out of it and not handed over by `take` yet (I6).

#![allow(unsafe_code, reason = "plays the kernel, which knows addresses only")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use bytes::{Bytes, BytesMut};

use super::{BufferPool, MAX_BUFFERS, PoolConfig};
use crate::buf::{IoBuf, IoVectoredBuf};

/// The kernel's end of a ring.
pub(super) struct Kernel {
    ring: *mut u8,
    mask: u16,
    head: u16,
}

/// A buffer that the kernel has picked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picked {
    pub(super) address: u64,
    pub(super) len: u32,
    pub(super) bid: u16,
}

impl Kernel {
    pub(super) fn of(pool: &BufferPool) -> Self {
        let ring = ptr::with_exposed_provenance_mut(pool.ring_address() as usize);
        Self { ring, mask: pool.ring_entries() - 1, head: 0 }
    }

    /// A field of the ring, at a byte offset.
    fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the offset is within the ring, where the pool has written a field of this type.
        unsafe { self.ring.wrapping_add(offset).cast::<T>().read() }
    }

    /// How many buffers are in the ring.
    pub(super) fn available(&self) -> u16 {
        // SAFETY: the tail is an aligned u16 within the ring.
        let tail = unsafe { AtomicU16::from_ptr(self.ring.wrapping_add(14).cast()) };
        tail.load(Ordering::Acquire).wrapping_sub(self.head)
    }

    /// Takes a buffer out of the ring: `None` is ENOBUFS.
    pub(super) fn pick(&mut self) -> Option<Picked> {
        if self.available() == 0 {
            return None;
        }
        let entry = usize::from(self.head & self.mask) * 16;
        self.head = self.head.wrapping_add(1);
        Some(Picked { address: self.read(entry), len: self.read(entry + 8), bid: self.read(entry + 12) })
    }

    /// Picks a buffer and writes to it; behind the bytes lies what must never be seen.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Option<(u16, u32)> {
        let picked = self.pick()?;
        let place: *mut u8 = ptr::with_exposed_provenance_mut(picked.address as usize);
        // SAFETY: the buffer was in the ring, so it is the kernel's (I6).
        unsafe { place.write_bytes(CANARY, picked.len as usize) };
        // SAFETY: as above, and the bytes fit.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len().min(picked.len as usize)) };
        Some((picked.bid, bytes.len() as u32))
    }
}

pub(super) fn pool(initial: u16, cap: u16, bytes: u32) -> BufferPool {
    BufferPool::new(PoolConfig { group: 7, initial, cap, bytes }).unwrap()
}

/// Provided, lent, total.
pub(super) fn counts(pool: &BufferPool) -> (usize, usize, usize) {
    (pool.provided(), pool.lent(), pool.total())
}

/// Closes a pool whose kernel is a `Kernel`.
pub(super) fn close(pool: &BufferPool) {
    // SAFETY: the test's kernel does not look at the ring any more.
    unsafe { pool.close() };
}

#[test]
fn a_new_pool_has_its_first_buffers_in_the_ring() {
    let pool = pool(3, 5, 100);
    assert_eq!((pool.group(), pool.buffer_bytes(), pool.ring_entries(), counts(&pool)), (7, 100, 8, (3, 0, 3)));
    let mut kernel = Kernel::of(&pool);
    let picked: Vec<_> = (0..3).map(|_| kernel.pick().unwrap()).collect();
    assert_eq!(picked.iter().map(|buf| (buf.bid, buf.len)).collect::<Vec<_>>(), [(0, 100), (1, 100), (2, 100)]);
    assert_eq!(picked.windows(2).map(|two| two[1].address - two[0].address).collect::<Vec<_>>(), [100, 100]);
    assert!(kernel.pick().is_none());
    close(&pool);
}

#[test]
fn a_dropped_loan_is_back_in_the_ring_at_once() {
    let pool = pool(1, 1, 16);
    let mut kernel = Kernel::of(&pool);
    for round in 0..=u16::MAX {
        let (bid, len) = kernel.receive(&round.to_ne_bytes()).unwrap();
        let loan = pool.take(bid, len);
        assert_eq!(loan, round.to_ne_bytes());
        assert_eq!((counts(&pool), kernel.available()), ((0, 1, 1), 0));
        drop(loan);
        assert_eq!((counts(&pool), kernel.available()), ((1, 0, 1), 1));
    }
    close(&pool);
}

#[test]
fn growing_doubles_up_to_the_cap() {
    let pool = pool(3, 20, 8);
    let mut kernel = Kernel::of(&pool);
    let totals: Vec<_> = std::iter::from_fn(|| pool.grow().then(|| pool.total())).collect();
    assert_eq!((totals, counts(&pool), kernel.available()), (vec![6, 12, 20], (20, 0, 20), 20));
    let bids: Vec<_> = std::iter::from_fn(|| kernel.pick()).map(|buf| buf.bid).collect();
    assert_eq!(bids, (0..20).collect::<Vec<_>>());
    close(&pool);
    assert!(!pool.grow());
}

#[test]
fn the_largest_pool_gives_every_id_once() {
    let pool = pool(1 << 15, 1 << 15, 1);
    let mut kernel = Kernel::of(&pool);
    assert_eq!((pool.ring_entries(), kernel.available(), pool.grow()), (1 << 15, 1 << 15, false));
    let loans: Vec<_> = (0..1_u16 << 15).map(|_| kernel.receive(b"x").map(|(bid, len)| pool.take(bid, len))).collect();
    assert!(kernel.pick().is_none());
    drop(loans);
    assert_eq!((kernel.available(), counts(&pool)), (1 << 15, (1 << 15, 0, 1 << 15)));
    close(&pool);
}

#[test]
fn a_loan_never_shows_what_lies_behind_its_bytes() {
    let pool = pool(1, 1, 64);
    let mut kernel = Kernel::of(&pool);
    let mut receive = || {
        let (bid, len) = kernel.receive(b"secret-less").unwrap();
        pool.take(bid, len)
    };
    let shows = |bytes: &[u8]| assert_eq!(bytes, b"secret-less");
    let loan = receive();
    shows(&loan);
    shows(loan.as_ref());
    shows(loan.as_bytes());
    shows(&loan.to_vec());
    shows([loan].part(0).as_bytes());
    let slice = receive().slice(..64);
    shows(slice.as_bytes());
    drop(slice);
    shows(&BytesMut::from(receive().into_bytes()));
    pool.reclaim();
    shows(&Vec::from(receive().into_bytes()));
    pool.reclaim();
    assert_eq!(format!("{:?}", receive()), "b\"secret-less\"");
    // Nor may the shared bytes be made writable, which would reach to the end of the buffer.
    let bytes = receive().into_bytes();
    assert!(bytes.try_into_mut().is_err());
    close(&pool);
}

#[test]
fn the_front_of_a_loan_can_be_consumed() {
    let pool = pool(2, 2, 8);
    let mut kernel = Kernel::of(&pool);
    let _first = kernel.receive(b"unused").unwrap();
    let (bid, len) = kernel.receive(b"01234567").unwrap();
    let mut loan = pool.take(bid, len);
    loan.advance(3);
    assert_eq!(loan, b"34567");
    let bytes = loan.into_bytes();
    assert_eq!((&bytes[..], counts(&pool)), (&b"34567"[..], (1, 1, 2)));
    drop(bytes);
    assert_eq!((pool.reclaim(), counts(&pool)), (1, (2, 0, 2)));
    // A loan that is consumed whole, or was empty, is not kept by empty `Bytes`.
    let (bid, _) = kernel.receive(b"").unwrap();
    let none = pool.take(bid, 0).into_bytes();
    assert_eq!((none.len(), counts(&pool)), (0, (2, 0, 2)));
    close(&pool);
}

#[test]
fn what_the_kernel_cannot_mean_panics_and_leaves_the_accounts_alone() {
    let pool = pool(2, 4, 8);
    let loan = pool.take(0, 8);
    let panics = |bid, len| catch_unwind(AssertUnwindSafe(|| drop(pool.take(bid, len)))).is_err();
    assert!(panics(0, 8), "a second loan");
    assert!(panics(1, 9), "more than a buffer has");
    assert!(panics(2, 1), "a buffer that is not made yet");
    assert_eq!(counts(&pool), (1, 1, 2));
    drop(loan);
    assert_eq!(counts(&pool), (2, 0, 2));
    close(&pool);
    assert!(panics(1, 1), "a buffer that was taken home");
}

#[test]
fn loans_outlive_the_pool_on_any_thread() {
    let pool = pool(2, 4, 4096);
    let mut kernel = Kernel::of(&pool);
    let mut receive = || {
        let (bid, len) = kernel.receive(&[b'x'; 4096]).unwrap();
        pool.take(bid, len)
    };
    let (stays, goes) = (receive(), receive().into_bytes());
    close(&pool);
    assert_eq!((counts(&pool), pool.leak()), ((0, 2, 2), 0));
    drop(pool);
    let clone = Bytes::slice(&goes, 4000..);
    thread::spawn(move || assert_eq!(goes, [b'x'; 4096][..])).join().unwrap();
    assert_eq!(stays, [b'x'; 4096]);
    drop(stays);
    assert_eq!(clone, [b'x'; 96][..]);
}

#[test]
fn after_the_close_returns_are_only_accounted_for() {
    let pool = pool(3, 3, 8);
    let mut kernel = Kernel::of(&pool);
    let mut receive = || kernel.receive(b"x").map(|(bid, len)| pool.take(bid, len)).unwrap();
    let (loan, bytes) = (receive(), receive().into_bytes());
    close(&pool);
    drop(loan);
    assert_eq!((counts(&pool), kernel.available()), ((0, 1, 3), 1));
    drop(bytes);
    assert_eq!((pool.reclaim(), counts(&pool), kernel.available()), (1, (0, 0, 3), 1));
}

#[test]
fn a_leaked_pool_tells_its_bytes_and_stays_where_it_is() {
    let pool = pool(2, 4, 4096);
    let mut kernel = Kernel::of(&pool);
    let loan = pool.take(0, 1);
    assert_eq!((pool.leak(), pool.leak(), pool.grow()), (4 * 16 + 2 * 4096, 4 * 16 + 2 * 4096, false));
    drop(loan);
    assert_eq!(counts(&pool), (1, 0, 2));
    drop(pool);
    // The kernel goes on as if nothing had happened; `pick` reads the ring, and `receive` writes to both buffers.
    assert_eq!(
        (kernel.receive(b"late"), kernel.receive(b"later"), kernel.receive(b"")),
        (Some((0, 4)), Some((1, 5)), None)
    );
}

#[test]
fn a_pool_that_was_never_closed_keeps_its_memory() {
    let pool = pool(1, 1, 4096);
    let mut kernel = Kernel::of(&pool);
    drop(pool);
    assert_eq!(kernel.receive(b"late"), Some((0, 4)));
}

#[test]
fn impossible_configurations_are_refused() {
    let refused = |initial, cap, bytes| {
        BufferPool::new(PoolConfig { group: 0, initial, cap, bytes }).map_err(|error| error.kind()).err()
    };
    for (initial, cap, bytes) in [(0, 4, 1), (5, 4, 1), (1, MAX_BUFFERS + 1, 1), (1, 4, 0)] {
        assert_eq!(refused(initial, cap, bytes), Some(io::ErrorKind::InvalidInput));
    }
    assert_eq!(refused(MAX_BUFFERS, MAX_BUFFERS, u32::MAX), Some(io::ErrorKind::OutOfMemory));
}

/// What a received message never contains, and what the memory behind it does.
pub(super) const CANARY: u8 = 0xEE;
