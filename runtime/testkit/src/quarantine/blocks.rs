//! The bounded queue of freed blocks, in storage of its own: an allocator cannot allocate.

use std::alloc::Layout;
use std::ptr;

/// Bound on the number of blocks, which is the size of the storage.
pub(super) const MAX_BLOCKS: usize = 16 * 1024;

/// Bound on the bytes of all blocks: what the tests of one process may hold back in memory.
pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A freed block and the layout that it was allocated with.
///
/// It is numbers only, so that an array of zeros is an empty storage that costs nothing in the program's file, and so
/// that any thread may look at it.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Where the block begins. Its provenance is exposed.
    address: usize,
    size: usize,
    align: usize,
}

/// First in, first out.
pub(super) struct Blocks {
    /// The blocks from `oldest` on, `count` of them, around the end.
    ring: [Block; MAX_BLOCKS],
    /// Index of the block that leaves next.
    oldest: usize,
    count: usize,
    /// Sum of the sizes; at most `MAX_BYTES`.
    bytes: usize,
}

impl Block {
    pub(super) fn new(pointer: *mut u8, layout: Layout) -> Block {
        Block { address: pointer.expose_provenance(), size: layout.size(), align: layout.align() }
    }

    pub(super) fn pointer(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.address)
    }

    pub(super) fn layout(&self) -> Layout {
        Layout::from_size_align(self.size, self.align).expect("size and alignment are those of a layout")
    }

    pub(super) fn address(&self) -> usize {
        self.address
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }
}

impl Blocks {
    pub(super) const fn new() -> Blocks {
        let nothing = Block { address: 0, size: 0, align: 0 };
        Blocks { ring: [nothing; MAX_BLOCKS], oldest: 0, count: 0, bytes: 0 }
    }

    /// Adds a block, if there is room; else takes out the oldest one, and has not added anything.
    ///
    /// A block above `MAX_BYTES` never gets in: do not offer it.
    pub(super) fn push(&mut self, block: Block) -> Result<(), Block> {
        if (self.count == MAX_BLOCKS || self.bytes + block.size > MAX_BYTES)
            && let Some(oldest) = self.pop()
        {
            return Err(oldest);
        }
        self.ring[(self.oldest + self.count) % MAX_BLOCKS] = block;
        self.count += 1;
        self.bytes += block.size;
        Ok(())
    }

    /// Takes out the oldest block.
    pub(super) fn pop(&mut self) -> Option<Block> {
        if self.count == 0 {
            return None;
        }
        let block = self.ring[self.oldest];
        self.oldest = (self.oldest + 1) % MAX_BLOCKS;
        self.count -= 1;
        self.bytes -= block.size;
        Some(block)
    }

    /// All blocks, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        let (before, from) = self.ring.split_at(self.oldest);
        from.iter().chain(before).take(self.count)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
