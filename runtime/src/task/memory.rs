//! Memory of tasks that have gone, kept by their runtime for the next ones.
//!
//! A task that is spawned and joined spends a large part of its time on the way to the allocator and back. Each runtime keeps
//! blocks of some sizes, in lists through the blocks themselves. Every block comes from the allocator and may go back there on
//! its own, so a task that outlives its runtime is freed like anything else.
//!
//! # Safety
//!
//! - **Lists.** A block in a list was given up by its owner, and its first bytes are a [`Spare`]. It is in one list, once.
//! - **Sizes.** A block of a list has the list's [`layout_of`], whatever it was asked for.
#![allow(unsafe_code, reason = "blocks of memory, in lists through themselves")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;

use crate::context;

/// The blocks that a runtime keeps.
pub(crate) struct Spares {
    /// One for each size.
    lists: [Cell<Option<NonNull<Spare>>>; SIZES],
}

/// What a block that is kept begins with.
struct Spare {
    next: Option<NonNull<Spare>>,
    /// How many there are from here on.
    count: usize,
}

impl Spares {
    pub(crate) const fn new() -> Self {
        Self { lists: [const { Cell::new(None) }; SIZES] }
    }

    /// Memory for a `T`, one that is kept or else a new one.
    #[inline]
    pub(crate) fn take<T>(&self) -> NonNull<T> {
        match list_of::<T>().and_then(|list| self.lists[list].take().map(|spare| (list, spare))) {
            Some((list, spare)) => {
                // SAFETY: it is in the list (Lists).
                self.lists[list].set(unsafe { spare.as_ref() }.next);
                spare.cast()
            }
            None => fresh(),
        }
    }

    /// Keeps a block, unless there are enough of its size.
    ///
    /// # Safety
    ///
    /// It has the layout of the list, and is the caller's to give up.
    #[inline]
    unsafe fn keep(&self, list: usize, block: NonNull<Spare>) -> bool {
        let next = self.lists[list].get();
        // SAFETY: it is in the list (Lists).
        let behind = next.map_or(0, |next| unsafe { next.as_ref() }.count);
        if behind == MOST_BYTES / size_of_list(list) {
            return false;
        }
        // SAFETY: the caller gives it up, and a `Spare` fits into every size.
        unsafe { block.write(Spare { next, count: behind + 1 }) };
        self.lists[list].set(Some(block));
        true
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        for (list, first) in self.lists.iter().enumerate() {
            while let Some(spare) = first.take() {
                // SAFETY: it is in the list (Lists).
                first.set(unsafe { spare.as_ref() }.next);
                // SAFETY: it is in the list no more, and has its layout (Sizes).
                unsafe { dealloc(spare.as_ptr().cast(), layout_of_list(list)) };
            }
        }
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spares").finish_non_exhaustive()
    }
}

/// Gives back memory for a `T`: to the runtime of this thread, if there is one, whoever's it was.
///
/// # Safety
///
/// It came from [`Spares::take`] for the same type, and is the caller's to give up.
#[inline]
pub(super) unsafe fn give_back<T>(block: NonNull<T>) {
    if KEEPS
        && let Some(list) = list_of::<T>()
        // SAFETY: `take` gave it the list's layout (Sizes), and the caller gives it up.
        && context::try_with(|core| unsafe { core.executor.spares.keep(list, block.cast()) }) == Some(true)
    {
        return;
    }
    // SAFETY: it has this layout (Sizes), and no list has it.
    unsafe { dealloc(block.as_ptr().cast(), layout_of::<T>()) }
}

#[cold]
fn fresh<T>() -> NonNull<T> {
    let layout = layout_of::<T>();
    // SAFETY: no task is without a size: it has a header.
    let block = unsafe { alloc(layout) };
    NonNull::new(block.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Which list has memory for a `T`, if there is one.
#[inline]
const fn list_of<T>() -> Option<usize> {
    let list = size_of::<T>().div_ceil(STEP) - 1;
    if list < SIZES && align_of::<T>() <= ALIGN { Some(list) } else { None }
}

/// How memory for a `T` is laid out, in a list or not.
const fn layout_of<T>() -> Layout {
    match list_of::<T>() {
        Some(list) => layout_of_list(list),
        None => Layout::new::<T>(),
    }
}

const fn layout_of_list(list: usize) -> Layout {
    match Layout::from_size_align(size_of_list(list), ALIGN) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    }
}

const fn size_of_list(list: usize) -> usize {
    (list + 1) * STEP
}

/// The sizes are multiples of it, as those of the allocator are: nothing is wasted.
const STEP: usize = 16;
/// Up to 2 KiB.
const SIZES: usize = 128;
/// What the allocator gives anyway.
const ALIGN: usize = 16;
/// What is kept of each size.
const MOST_BYTES: usize = 32 * 1024;

const _: () = assert!(size_of::<Spare>() <= STEP && align_of::<Spare>() <= ALIGN);

/// Not in debug builds, in which the tests' allocator and the sanitizers are to see every free.
const KEEPS: bool = !cfg!(debug_assertions);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Gives up a block.
    fn keep<T>(spares: &Spares, block: NonNull<T>) -> bool {
        let list = list_of::<T>().expect("a small type");
        // SAFETY: it came from `take` for the same type, and nobody uses it.
        unsafe { spares.keep(list, block.cast()) }
    }

    #[test]
    fn a_block_serves_the_next_task_of_about_its_size() {
        let spares = Spares::new();
        let block = spares.take::<[u8; 65]>();
        assert!(keep(&spares, block));
        let other = spares.take::<[u8; 64]>();
        assert_ne!(other.cast(), block, "it would not fit as well");
        assert_eq!(spares.take::<[u8; 80]>().cast(), block);
        assert!(keep(&spares, block) && keep(&spares, other));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let spares = Spares::new();
        let most = MOST_BYTES / size_of_list(list_of::<[u8; 1024]>().expect("small"));
        let blocks: Vec<_> = (0..=most).map(|_| spares.take::<[u8; 1024]>()).collect();
        for block in &blocks[..most] {
            assert!(keep(&spares, *block));
        }
        assert!(!keep(&spares, blocks[most]));
        // SAFETY: it was not kept, and has this layout (Sizes).
        unsafe { dealloc(blocks[most].as_ptr().cast(), layout_of::<[u8; 1024]>()) };
    }

    #[test]
    fn what_is_large_or_aligned_more_than_usual_is_the_allocators() {
        #[repr(align(64))]
        struct Line(#[expect(dead_code, reason = "it has a size")] [u8; 64]);
        assert_eq!((list_of::<[u8; 1]>(), list_of::<[u8; 2048]>()), (Some(0), Some(SIZES - 1)));
        assert_eq!((list_of::<[u8; 2049]>(), list_of::<Line>()), (None, None));
        assert_eq!(layout_of::<Line>(), Layout::new::<Line>());
    }
}
