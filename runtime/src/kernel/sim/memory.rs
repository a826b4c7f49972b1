//! The memory that entries name: what the kernel reads, what it writes, and what it scribbles meanwhile.
//!
//! # Safety
//!
//! Everything that an entry names is owned by its op until the op's final completion (I1), and a pool's ring and buffers stay
//! until the kernel has given the group up (I6). The functions here are called for entries in flight only, on the thread that
//! owns them all. Where a program breaks that, this is where it shows, as it would with a real kernel.
#![allow(unsafe_code, reason = "a kernel reads and writes the memory that entries name")]

use std::net::SocketAddr;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::SockAddr;

use crate::kernel::sim::rng::Rng;

/// A piece of a program's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) address: u64,
    pub(super) bytes: usize,
}

impl Piece {
    pub(super) fn new(address: u64, bytes: usize) -> Self {
        Self { address, bytes }
    }

    fn start(self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.address as usize)
    }
}

/// How much the pieces hold together.
pub(super) fn total(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.bytes).sum()
}

/// Copies bytes out of the pieces, from `skip` on, at most `most`.
pub(super) fn gather(pieces: &[Piece], mut skip: usize, mut most: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(most.min(total(pieces)));
    for piece in pieces {
        let skipped = skip.min(piece.bytes);
        skip -= skipped;
        let count = most.min(piece.bytes - skipped);
        most -= count;
        if count > 0 {
            // SAFETY: the op owns this many bytes there until its final completion (I1).
            let part = unsafe { std::slice::from_raw_parts(piece.start().wrapping_add(skipped), count) };
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// Copies bytes into the pieces; how many there was room for.
pub(super) fn scatter(pieces: &[Piece], bytes: &[u8]) -> usize {
    let mut done = 0;
    for piece in pieces {
        let count = piece.bytes.min(bytes.len() - done);
        if count > 0 {
            // SAFETY: the op owns this many bytes there until its final completion (I1), and `bytes` are the world's own.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().wrapping_add(done), piece.start(), count) };
        }
        done += count;
    }
    done
}

/// Writes garbage to the beginning and the end of a piece that is being received into: whoever reads it early, or has freed
/// it, finds out.
pub(super) fn scribble(piece: Piece, rng: &mut Rng) {
    for offset in [0, piece.bytes.saturating_sub(SCRIBBLE)] {
        let garbage = rng.next().to_ne_bytes();
        let count = garbage.len().min(piece.bytes - offset).min(SCRIBBLE);
        // SAFETY: the op owns the piece until its final completion (I1), or the kernel does (I6).
        unsafe { ptr::copy_nonoverlapping(garbage.as_ptr(), piece.start().wrapping_add(offset), count) };
    }
}

/// A message header, as `sendmsg` and `recvmsg` take it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    address: u64,
    pub(super) name: Piece,
    pub(super) parts: Vec<Piece>,
    /// How much room there is for control messages.
    pub(super) control: Piece,
}

impl Message {
    pub(super) fn read(address: u64) -> Self {
        let header = ptr::with_exposed_provenance::<libc::msghdr>(address as usize);
        // SAFETY: the op owns the header until its final completion (I1).
        let header = unsafe { header.read() };
        Self {
            address,
            name: Piece::new(header.msg_name.expose_provenance() as u64, header.msg_namelen as usize),
            parts: Self::parts_at(header.msg_iov.expose_provenance() as u64, header.msg_iovlen),
            control: Piece::new(header.msg_control.expose_provenance() as u64, header.msg_controllen),
        }
    }

    /// A list of parts (`iovec`).
    pub(super) fn parts_at(address: u64, count: usize) -> Vec<Piece> {
        let parts = ptr::with_exposed_provenance::<libc::iovec>(address as usize);
        let part = |index| {
            // SAFETY: the op owns a list of this many parts until its final completion (I1).
            let part = unsafe { parts.wrapping_add(index).read() };
            Piece::new(part.iov_base.expose_provenance() as u64, part.iov_len)
        };
        (0..count).map(part).collect()
    }

    /// Tells what came beside the bytes: who sent them, and `MSG_*`.
    pub(super) fn answer(&self, from: Option<SocketAddr>, flags: i32) {
        let name_bytes = from.map_or(0, |from| write_address(self.name, from));
        let header = ptr::with_exposed_provenance_mut::<libc::msghdr>(self.address as usize);
        // SAFETY: the op owns the header until its final completion (I1), and leaves it alone meanwhile.
        let header = unsafe { &mut *header };
        header.msg_namelen = name_bytes as libc::socklen_t;
        header.msg_controllen = 0;
        header.msg_flags = flags;
    }
}

/// The internet address that an entry names.
pub(super) fn read_address(piece: Piece) -> Option<SocketAddr> {
    if piece.address == 0 || piece.bytes == 0 {
        return None;
    }
    let bytes = gather(&[piece], 0, piece.bytes);
    let fill = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        // SAFETY: both are socket2's; the storage is larger than any address, and no more than its size is written.
        unsafe {
            ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                storage.cast(),
                bytes.len().min(size_of::<libc::sockaddr_storage>()),
            );
        }
        // SAFETY: as above.
        unsafe { length.write(bytes.len() as libc::socklen_t) };
        Ok(())
    };
    // SAFETY: the closure fills in the address and its length.
    let ((), address) = unsafe { SockAddr::try_init(fill) }.ok()?;
    address.as_socket()
}

/// Writes an address, cut to the room that there is; how long it is.
pub(super) fn write_address(room: Piece, address: SocketAddr) -> usize {
    let address = SockAddr::from(address);
    if room.address != 0 {
        scatter(&[Piece::new(room.address, room.bytes.min(address.len() as usize))], &address_bytes(&address));
    }
    address.len() as usize
}

/// The bytes of an address, as the kernel writes it.
pub(super) fn address_bytes(address: &SockAddr) -> Vec<u8> {
    let start = address.as_ptr().cast::<u8>();
    // SAFETY: the address is that long, and borrowed until the bytes are copied.
    unsafe { std::slice::from_raw_parts(start, address.len() as usize) }.to_vec()
}

/// Writes a `socklen_t` where there is one.
pub(super) fn write_length(address: u64, length: usize) {
    if address != 0 {
        scatter(&[Piece::new(address, 4)], &(length as libc::socklen_t).to_ne_bytes());
    }
}

/// Reads a `socklen_t`; 0 where there is none.
pub(super) fn read_length(address: u64) -> usize {
    let bytes = if address == 0 { Vec::new() } else { gather(&[Piece::new(address, 4)], 0, 4) };
    bytes.try_into().map_or(0, |bytes| libc::socklen_t::from_ne_bytes(bytes) as usize)
}

/// Reads a `timespec`, in nanoseconds.
pub(super) fn read_time(address: u64) -> u64 {
    let bytes = gather(&[Piece::new(address, 16)], 0, 16);
    let word = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes")).max(0) as u64;
    word(0).saturating_mul(1_000_000_000).saturating_add(word(8))
}

/// Reads a path, up to its zero.
pub(super) fn read_path(address: u64) -> Vec<u8> {
    let path = ptr::with_exposed_provenance::<libc::c_char>(address as usize);
    // SAFETY: the op owns a string that ends with a zero there until its final completion (I1).
    unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes().to_vec()
}

/// A ring of provided buffers: the kernel's end of it.
#[derive(Debug)]
pub(super) struct Group {
    /// Where the ring lies.
    address: u64,
    mask: u16,
    /// The next entry that the kernel takes.
    head: u16,
}

impl Group {
    pub(super) fn new(address: u64, entries: u16) -> Self {
        Self { address, mask: entries - 1, head: 0 }
    }

    /// How many buffers there are to pick from.
    fn available(&self) -> u16 {
        let tail = ptr::with_exposed_provenance::<AtomicU16>(self.address as usize + 14);
        // SAFETY: the ring stays mapped until the group is given up, and its tail is written as an atomic (I6).
        let tail = unsafe { &*tail }.load(Ordering::Acquire);
        tail.wrapping_sub(self.head)
    }

    fn entry(&self, index: u16) -> (Piece, u16) {
        let address = self.address + u64::from(index & self.mask) * 16;
        let bytes = gather(&[Piece::new(address, 14)], 0, 14);
        let address = u64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes"));
        let length = u32::from_ne_bytes(bytes[8..12].try_into().expect("four bytes"));
        let id = u16::from_ne_bytes(bytes[12..14].try_into().expect("two bytes"));
        (Piece::new(address, length as usize), id)
    }

    /// Takes the next buffer, with its id.
    pub(super) fn pick(&mut self) -> Option<(Piece, u16)> {
        if self.available() == 0 {
            return None;
        }
        let picked = self.entry(self.head);
        self.head = self.head.wrapping_add(1);
        Some(picked)
    }

    /// Scribbles over one of the buffers that the kernel holds.
    pub(super) fn scribble(&self, rng: &mut Rng) {
        let available = self.available();
        if available > 0 {
            let index = self.head.wrapping_add(rng.below(u64::from(available)) as u16);
            scribble(self.entry(index).0, rng);
        }
    }
}

/// How many bytes of garbage go to each end.
const SCRIBBLE: usize = 8;
