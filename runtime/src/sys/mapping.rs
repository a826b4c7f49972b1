//! Anonymous memory of whole pages: what the buffer ring and the buffers behind it are made of.
//!
//! # Safety
//!
//! A mapping is its pages and nothing else: it makes no reference to them, so who reads and writes where is up to its
//! owner. The pages are private, zeroed, and stay where they are until the mapping is dropped; then nobody may know their
//! address any more, the kernel included (I1), which is for the owner to see to.

#![allow(unsafe_code, reason = "maps and unmaps memory")]

use std::io;
use std::ptr::{self, NonNull};

/// Zeroed pages. Those that nobody has touched cost nothing but address space.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Where the pages begin.
    start: NonNull<u8>,
    /// How many bytes were asked for; never 0.
    bytes: usize,
}

impl Mapping {
    /// Maps as many pages as hold `bytes`.
    ///
    /// A forked child does not get them: it would share the file of the ring, so that the kernel, asked by the child, could
    /// write into the parent's buffers, and copying on write would part the owner from the pages that the kernel knows.
    ///
    /// # Errors
    ///
    /// Those of [mmap(2)]; `InvalidInput` where `bytes` is 0.
    ///
    /// [mmap(2)]: https://man7.org/linux/man-pages/man2/mmap.2.html
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at 0 unasked");
        // From here on the mapping unmaps itself.
        let mapping = Self { start, bytes };
        // SAFETY: the pages are this mapping's own; the advice changes what fork() does, not what they hold.
        if unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    /// Where the pages begin.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes there are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the pages were mapped by `new` with this length; who owned the mapping has no use for them any more.
        let result = unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
        debug_assert_eq!(result, 0, "pages that were mapped can be unmapped");
    }
}

// SAFETY: pages belong to the process, not to a thread; unmapping them is possible on every thread.
unsafe impl Send for Mapping {}

// SAFETY: through a shared reference a mapping tells numbers only.
unsafe impl Sync for Mapping {}
