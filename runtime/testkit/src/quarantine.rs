//! A global allocator that notices writes into freed memory: filled with poison, held back, and looked at again.
//!
//! No sanitizer sees what the kernel writes. This does: a buffer that is freed while an operation is still in flight is
//! poisoned and not handed out again for a while, so the late completion lands in the poison, and the next look finds
//! it.
//!
//! `blocks` holds the bounded queue of freed blocks, `report` what was found.
//!
//! # Safety
//!
//! The numbered rules that the SAFETY notes below cite:
//!
//! 1. A block is in exactly one place: with the program (from `alloc` to `dealloc`), in the queue, or in the hands of
//!    the one call that took it out of the queue. Only the last gives it back to the system, once.
//! 2. A block in the queue, or just taken out, was allocated with the layout that stands in its entry, and every byte
//!    of it was written when it was poisoned. So it may be read as bytes.
//! 3. Nothing between taking the lock and releasing it allocates, frees or panics.
#![allow(unsafe_code, reason = "a GlobalAlloc is unsafe to implement, and looks at memory that the program has freed")]

mod blocks;
mod report;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::slice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};

use blocks::{Block, Blocks};
pub use report::{Fault, Report};

/// Freed memory is filled with this byte. It never occurs in UTF-8, is not what a zeroed or ASCII buffer holds, and
/// eight of them are no address, so that a pointer read from freed memory faults.
const POISON: u8 = 0xF9;

/// Blocks are compared with this a piece at a time: much faster than byte by byte, most of all without optimization.
static POISONED: [u8; 4096] = [POISON; 4096];

thread_local! {
    /// Calls that allocated on this thread. Neither lazily made nor destroyed, so that an allocator may use it.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has allocated or reallocated memory, if a [`QuarantineAlloc`] is the global allocator; else 0.
///
/// The difference of two calls shows whether the code between them allocates.
///
/// # Examples
///
/// ```
/// #[global_allocator]
/// static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
///
/// # fn main() {
/// let before = quoit_testkit::allocations_of_this_thread();
/// let boxed = Box::new(1_u64);
/// assert_eq!(quoit_testkit::allocations_of_this_thread() - before, 1);
/// # drop(boxed);
/// # }
/// ```
pub fn allocations_of_this_thread() -> u64 {
    ALLOCATIONS.get()
}

/// An allocator over [`System`] that finds writes into freed memory.
///
/// A freed block of at least [`MIN_BYTES`](Self::MIN_BYTES) is filled with poison and joins a queue, which holds at
/// most [`MAX_BLOCKS`](Self::MAX_BLOCKS) blocks and [`MAX_BYTES`](Self::MAX_BYTES) bytes; the oldest leave it for the
/// system. [`check`](Self::check) looks at all blocks in the queue, and a block that leaves is looked at, too. A
/// changed byte is a [`Fault`]. Smaller blocks, and single blocks above `MAX_BYTES`, are freed at once: writes into
/// those are not found.
///
/// `realloc` always moves, so that the old block is freed and goes the same way.
///
/// A fault is reported by the next `check`, once, whichever thread or test calls it: end each test with
/// [`assert_clean`](Self::assert_clean). One that nobody asks for is reported when the process exits, which then fails.
///
/// A child that was forked while other threads ran must not allocate before it executes a program: one of them may have
/// held the lock.
///
/// # Examples
///
/// ```
/// use quoit_testkit::QuarantineAlloc;
///
/// #[global_allocator]
/// static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
///
/// # fn main() {
/// drop(vec![1_u8; 4096]);
/// assert!(ALLOC.quarantined_bytes() >= 4096);
/// ALLOC.assert_clean();
/// # }
/// ```
pub struct QuarantineAlloc {
    /// The end of the process will look once more.
    is_watched: AtomicBool,
    /// The freed blocks, and the faults that nobody has asked for yet.
    freed: Mutex<Freed>,
    /// Calls that allocated, on all threads.
    allocations: AtomicU64,
    /// Bytes that the program has allocated and not freed.
    live_bytes: AtomicUsize,
    /// Blocks that the program has allocated and not freed.
    live_blocks: AtomicUsize,
}

/// What the lock protects.
struct Freed {
    blocks: Blocks,
    /// Faults since the last `check`; `None` if there were none.
    report: Option<Report>,
}

impl QuarantineAlloc {
    /// Smaller blocks are freed at once. No buffer that is worth handing to the kernel is smaller.
    pub const MIN_BYTES: usize = 64;
    /// The queue holds so many blocks at most.
    pub const MAX_BLOCKS: usize = blocks::MAX_BLOCKS;
    /// The queue holds so many bytes at most.
    pub const MAX_BYTES: usize = blocks::MAX_BYTES;

    /// An allocator with an empty queue, for a `static`: it is some 400 KiB large.
    #[expect(clippy::new_without_default, reason = "only a static is of use, and Default::default is not const")]
    pub const fn new() -> QuarantineAlloc {
        QuarantineAlloc {
            is_watched: AtomicBool::new(false),
            freed: Mutex::new(Freed { blocks: Blocks::new(), report: None }),
            allocations: AtomicU64::new(0),
            live_bytes: AtomicUsize::new(0),
            live_blocks: AtomicUsize::new(0),
        }
    }

    /// Looks at every block in the queue. They stay in it.
    ///
    /// # Errors
    ///
    /// The faults found now, and those found since the last call in blocks that left the queue. The next call does not
    /// report them again.
    pub fn check(&self) -> Result<(), Report> {
        let mut freed = self.lock();
        let Freed { blocks, report } = &mut *freed;
        for block in blocks.iter() {
            if let Some(fault) = examine(block) {
                Report::add(report, fault);
                // Poisoned anew, so that it is not found again.
                poison(block);
            }
        }
        let report = report.take();
        // Dropped before the caller gets to format the report, which allocates and frees.
        drop(freed);
        report.map_or(Ok(()), Err)
    }

    /// [`check`](Self::check) for the end of a test.
    ///
    /// # Panics
    ///
    /// With the report, at the caller, if freed memory was written to.
    #[track_caller]
    pub fn assert_clean(&self) {
        if let Err(report) = self.check() {
            panic!("{report}");
        }
    }

    /// Empties the queue: each block is looked at and given back to the system. What is found is for the next `check`.
    pub fn flush(&self) {
        loop {
            let oldest = self.lock().blocks.pop();
            match oldest {
                Some(block) => self.release(block),
                None => return,
            }
        }
    }

    /// The bytes in the queue.
    pub fn quarantined_bytes(&self) -> usize {
        self.lock().blocks.bytes()
    }

    /// The blocks in the queue.
    pub fn quarantined_blocks(&self) -> usize {
        self.lock().blocks.len()
    }

    /// How often memory was allocated or reallocated so far, on all threads.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Relaxed)
    }

    /// The bytes that are allocated and not freed. Those in the queue are freed.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes.load(Relaxed)
    }

    /// The blocks that are allocated and not freed. Those in the queue are freed.
    pub fn live_blocks(&self) -> usize {
        self.live_blocks.load(Relaxed)
    }

    /// Has the end of the process look for faults that nobody has asked for.
    fn watch(&self) {
        if !self.is_watched.load(Relaxed) && !self.is_watched.swap(true, Relaxed) {
            WATCHED.store(ptr::from_ref(self).cast_mut(), Release);
            // SAFETY: the function may be called at any time. That the list of such functions is full is no harm.
            unsafe { libc::atexit(check_at_exit) };
        }
    }

    /// Accounts for a call that allocated `pointer`; a null pointer is a failure and counts as a call only.
    fn count(&self, pointer: *mut u8, layout: Layout) {
        // A thread-local without destructor is there until the thread's very end.
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        self.allocations.fetch_add(1, Relaxed);
        if !pointer.is_null() {
            self.live_bytes.fetch_add(layout.size(), Relaxed);
            self.live_blocks.fetch_add(1, Relaxed);
        }
    }

    /// Puts a block into the queue, and gives those back to the system for which there is no more room.
    fn admit(&self, block: Block) {
        poison(&block);
        loop {
            // One at a time: there is nowhere to keep more of them, and the look at them is outside of the lock.
            let oldest = self.lock().blocks.push(block);
            match oldest {
                Err(oldest) => self.release(oldest),
                Ok(()) => return,
            }
        }
    }

    /// Looks at a block that was taken out of the queue, and gives it back to the system.
    fn release(&self, block: Block) {
        if let Some(fault) = examine(&block) {
            Report::add(&mut self.lock().report, fault);
        }
        // SAFETY: the block was allocated by `System` with this layout, and the caller took it out of the queue (1, 2).
        unsafe { System.dealloc(block.pointer(), block.layout()) };
    }

    /// A panic never happens under the lock (3); should a thread die there all the same, the tests go on.
    fn lock(&self) -> MutexGuard<'_, Freed> {
        self.freed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: blocks come from `System`, with the caller's layout, and go back to it with the same layout, once (1).
// `realloc` keeps what both layouts have room for. Nothing here unwinds.
unsafe impl GlobalAlloc for QuarantineAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.watch();
        // SAFETY: the caller promises the same to us as we to `System`: the size is not zero.
        let pointer = unsafe { System.alloc(layout) };
        self.count(pointer, layout);
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        self.count(pointer, layout);
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.live_bytes.fetch_sub(layout.size(), Relaxed);
        self.live_blocks.fetch_sub(1, Relaxed);
        if (Self::MIN_BYTES..=Self::MAX_BYTES).contains(&layout.size()) {
            self.admit(Block::new(pointer, layout));
        } else {
            // SAFETY: the caller hands over a block that `System` allocated with this layout (1).
            unsafe { System.dealloc(pointer, layout) };
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, does not overflow an `isize`.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller promises that `new_size` is not zero.
        let new_pointer = unsafe { self.alloc(new_layout) };
        if !new_pointer.is_null() {
            // SAFETY: the old block has `layout.size()` bytes, the new one `new_size`, and they are different blocks.
            unsafe { ptr::copy_nonoverlapping(pointer, new_pointer, layout.size().min(new_size)) };
            // SAFETY: the caller gives up the old block.
            unsafe { self.dealloc(pointer, layout) };
        }
        new_pointer
    }
}

impl fmt::Debug for QuarantineAlloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuarantineAlloc")
            .field("allocations", &self.allocations())
            .field("live_bytes", &self.live_bytes())
            .field("live_blocks", &self.live_blocks())
            .field("quarantined_bytes", &self.quarantined_bytes())
            .field("quarantined_blocks", &self.quarantined_blocks())
            .finish()
    }
}

/// The allocator of this process, once it has allocated.
static WATCHED: AtomicPtr<QuarantineAlloc> = AtomicPtr::new(ptr::null_mut());

/// Reports what no test has asked for, and makes the process fail.
extern "C" fn check_at_exit() {
    // SAFETY: a global allocator is a static.
    let Some(allocator) = (unsafe { WATCHED.load(Acquire).as_ref() }) else { return };
    if let Err(report) = allocator.check() {
        eprintln!("at the end of the process: {report}");
        // SAFETY: ends the process at once, which is what we want: `exit` is running already.
        unsafe { libc::_exit(101) };
    }
}

/// Fills a freed block with poison.
fn poison(block: &Block) {
    // SAFETY: the block is freed and not yet given back (1), so it is ours to write, `size` bytes long.
    unsafe { ptr::write_bytes(block.pointer(), POISON, block.size()) };
}

/// Compares a poisoned block with its poison.
fn examine(block: &Block) -> Option<Fault> {
    // SAFETY: the block is not yet given back (1), and all its bytes were written (2). Whoever writes to it all the
    // same is what we are looking for; the kernel does so in system calls, not while the compiler looks.
    let bytes = unsafe { slice::from_raw_parts(block.pointer(), block.size()) };
    let changed = |piece: &[u8]| *piece != POISONED[..piece.len()];
    bytes.chunks(POISONED.len()).any(changed).then(|| Fault::describe(block.address(), bytes, POISON))
}

#[cfg(test)]
mod tests;
