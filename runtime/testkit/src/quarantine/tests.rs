//! The allocator by itself: each test has one of its own, so that all counts are exact. `tests/quarantine.rs` has it as
//! the global allocator.

use std::hint::black_box;

use super::*;

const PAGE: Layout = layout(4096, 8);

const fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("not a layout"),
    }
}

/// Allocates, proves the memory usable to its last byte, and returns it.
fn allocate(allocator: &QuarantineAlloc, layout: Layout) -> *mut u8 {
    // SAFETY: the tests ask for sizes other than 0.
    let pointer = unsafe { allocator.alloc(layout) };
    // A black box: to the optimizer, what is done to memory that nobody looks at is nothing.
    let pointer = black_box(pointer);
    assert!(!pointer.is_null());
    assert!(pointer.addr().is_multiple_of(layout.align()));
    // SAFETY: the block has so many bytes.
    unsafe { pointer.write_bytes(7, layout.size()) };
    pointer
}

fn free(allocator: &QuarantineAlloc, pointer: *mut u8, layout: Layout) {
    // SAFETY: the tests free what `allocate` gave them, with the same layout, once.
    unsafe { allocator.dealloc(pointer, layout) };
}

/// The fault that all of this is for: writes to a block that is freed and still in the queue.
fn write_late(pointer: *mut u8, offset: usize, bytes: &[u8]) {
    // SAFETY: the block is in the queue, so the memory is there, though nobody else should write to it.
    let pointer = unsafe { pointer.add(offset) };
    // SAFETY: as above; the tests stay within the block.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), pointer, bytes.len()) };
}

fn counts(allocator: &QuarantineAlloc) -> (u64, usize, usize, usize, usize) {
    let (allocations, bytes, blocks) = (allocator.allocations(), allocator.live_bytes(), allocator.live_blocks());
    (allocations, bytes, blocks, allocator.quarantined_bytes(), allocator.quarantined_blocks())
}

#[test]
fn freed_blocks_wait_in_the_queue_and_are_clean() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let first = allocate(&ALLOC, PAGE);
    let second = allocate(&ALLOC, layout(64, 1));
    assert_eq!(counts(&ALLOC), (2, 4160, 2, 0, 0));
    free(&ALLOC, first, PAGE);
    assert_eq!(counts(&ALLOC), (2, 64, 1, 4096, 1));
    free(&ALLOC, second, layout(64, 1));
    assert_eq!(counts(&ALLOC), (2, 0, 0, 4160, 2));
    // What is in the queue is not handed out again.
    let third = allocate(&ALLOC, PAGE);
    assert_ne!(third, first);
    free(&ALLOC, third, PAGE);
    ALLOC.assert_clean();
    ALLOC.flush();
    assert_eq!(counts(&ALLOC), (3, 0, 0, 0, 0));
    ALLOC.assert_clean();
}

#[test]
fn late_write_is_found_where_it_is_and_reported_once() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let clean = allocate(&ALLOC, PAGE);
    let layout = layout(10_001, 64);
    let pointer = allocate(&ALLOC, layout);
    free(&ALLOC, clean, PAGE);
    free(&ALLOC, pointer, layout);
    write_late(pointer, 9_000, &[1, 2, POISON, 4]);
    let report = ALLOC.check().expect_err("a late write is found");
    let mut found = [0; 16];
    found[..4].copy_from_slice(&[1, 2, POISON, 4]);
    let fault = Fault { address: pointer.addr(), size: 10_001, offset: 9_000, written: 4, found };
    assert_eq!(report, Report { count: 1, first: fault });
    let text = report.to_string();
    assert!(text.contains("10001 bytes at 0x"), "{text}");
    assert!(text.contains("4 written from offset 9000 on, beginning [01, 02, f9, 04]"), "{text}");
    ALLOC.assert_clean();
    ALLOC.flush();
    ALLOC.assert_clean();
}

#[test]
fn late_write_to_any_single_byte_is_found() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let layout = layout(8_195, 1);
    let pointer = allocate(&ALLOC, layout);
    free(&ALLOC, pointer, layout);
    for offset in [0, 1, 4_095, 4_096, 8_191, 8_192, 8_194] {
        write_late(pointer, offset, &[0]);
        let report = ALLOC.check().expect_err("a late write is found");
        assert_eq!((report.count, report.first.offset, report.first.written), (1, offset, 1));
    }
    ALLOC.flush();
}

#[test]
fn late_write_is_found_when_the_block_leaves_the_queue() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let flushed = allocate(&ALLOC, PAGE);
    free(&ALLOC, flushed, PAGE);
    write_late(flushed, 5, &[1]);
    ALLOC.flush();
    assert_eq!(ALLOC.quarantined_blocks(), 0);
    // The queue is made full, so that the next block drives out the oldest.
    let driven_out = allocate(&ALLOC, PAGE);
    free(&ALLOC, driven_out, PAGE);
    write_late(driven_out, 6, &[1]);
    let large = layout(QuarantineAlloc::MAX_BYTES - 4096, 8);
    free(&ALLOC, allocate(&ALLOC, large), large);
    assert_eq!((ALLOC.quarantined_bytes(), ALLOC.quarantined_blocks()), (QuarantineAlloc::MAX_BYTES, 2));
    free(&ALLOC, allocate(&ALLOC, PAGE), PAGE);
    assert_eq!((ALLOC.quarantined_bytes(), ALLOC.quarantined_blocks()), (QuarantineAlloc::MAX_BYTES, 2));
    let report = ALLOC.check().expect_err("both late writes are found");
    assert_eq!((report.count, report.first.address, report.first.offset), (2, flushed.addr(), 5));
    ALLOC.flush();
    ALLOC.assert_clean();
}

#[test]
#[should_panic(expected = "freed memory was written to, in 2 blocks; the first: 64 bytes")]
fn assert_clean_panics_with_the_report() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let small = layout(64, 8);
    let pointers = [allocate(&ALLOC, small), allocate(&ALLOC, small)];
    for pointer in pointers {
        free(&ALLOC, pointer, small);
        write_late(pointer, 0, &[0; 64]);
    }
    ALLOC.assert_clean();
}

#[test]
fn queue_is_bounded_in_bytes_and_blocks() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let small = layout(QuarantineAlloc::MIN_BYTES, 8);
    for _ in 0..QuarantineAlloc::MAX_BLOCKS + 100 {
        free(&ALLOC, allocate(&ALLOC, small), small);
    }
    assert_eq!(ALLOC.quarantined_blocks(), QuarantineAlloc::MAX_BLOCKS);
    assert_eq!(ALLOC.quarantined_bytes(), QuarantineAlloc::MAX_BLOCKS * QuarantineAlloc::MIN_BYTES);
    // One that fills the queue by itself drives out all others.
    let largest = layout(QuarantineAlloc::MAX_BYTES, 4096);
    free(&ALLOC, allocate(&ALLOC, largest), largest);
    assert_eq!((ALLOC.quarantined_bytes(), ALLOC.quarantined_blocks()), (QuarantineAlloc::MAX_BYTES, 1));
    ALLOC.assert_clean();
    ALLOC.flush();
    assert_eq!(counts(&ALLOC), (QuarantineAlloc::MAX_BLOCKS as u64 + 101, 0, 0, 0, 0));
}

#[test]
fn blocks_too_small_or_too_large_are_freed_at_once() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    for layout in [layout(QuarantineAlloc::MIN_BYTES - 1, 1), layout(QuarantineAlloc::MAX_BYTES + 1, 1)] {
        free(&ALLOC, allocate(&ALLOC, layout), layout);
    }
    assert_eq!(counts(&ALLOC), (2, 0, 0, 0, 0));
}

#[test]
fn realloc_moves_the_bytes_and_quarantines_the_old_block() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    for (align, new_size) in [(8, 8192), (4096, 1024), (8, 4096)] {
        let old_layout = layout(4096, align);
        let old = allocate(&ALLOC, old_layout);
        // SAFETY: the block has this layout, and the new size is not 0.
        let new = unsafe { ALLOC.realloc(old, old_layout, new_size) };
        assert_ne!(new, old);
        assert!(new.addr().is_multiple_of(align));
        // SAFETY: so many bytes were written to the old block and moved.
        let moved = unsafe { slice::from_raw_parts(new, new_size.min(4096)) };
        assert!(moved.iter().all(|&byte| byte == 7));
        assert_eq!((ALLOC.live_blocks(), ALLOC.live_bytes()), (1, new_size));
        write_late(old, 1, &[1]);
        assert_eq!(ALLOC.check().expect_err("a late write is found").first.address, old.addr());
        free(&ALLOC, new, layout(new_size, align));
    }
    assert_eq!(counts(&ALLOC), (6, 0, 0, 4096 * 3 + 8192 + 1024 + 4096, 6));
    ALLOC.flush();
}

#[test]
fn zeroed_memory_is_zero_after_poison_was_there() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    for _ in 0..100 {
        free(&ALLOC, allocate(&ALLOC, PAGE), PAGE);
        ALLOC.flush();
        // SAFETY: the size is not 0.
        let zeroed = unsafe { ALLOC.alloc_zeroed(PAGE) };
        // SAFETY: the block has so many bytes, all written.
        assert!(unsafe { slice::from_raw_parts(zeroed, PAGE.size()) }.iter().all(|&byte| byte == 0));
        free(&ALLOC, zeroed, PAGE);
    }
    assert_eq!(ALLOC.allocations(), 200);
    ALLOC.flush();
}

#[test]
fn failed_allocation_is_counted_as_a_call_only() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let huge = layout(1 << 60, 1);
    // SAFETY: the size is not 0.
    let refused = unsafe { ALLOC.alloc(huge) };
    // A black box, because the optimizer takes an allocation that nobody uses for a successful one.
    assert!(black_box(refused).is_null());
    let block = allocate(&ALLOC, PAGE);
    // SAFETY: the block has this layout, and the new size is not 0.
    let refused = unsafe { ALLOC.realloc(block, PAGE, 1 << 60) };
    assert!(black_box(refused).is_null());
    // The old block is still the caller's.
    assert_eq!(counts(&ALLOC), (3, 4096, 1, 0, 0));
    free(&ALLOC, block, PAGE);
    ALLOC.flush();
}

#[test]
fn threads_share_the_allocator() {
    static ALLOC: QuarantineAlloc = QuarantineAlloc::new();
    let hammer = |seed| {
        let mut rng = crate::Rng::exact(seed);
        let before = allocations_of_this_thread();
        for _ in 0..5_000 {
            let layout = layout(rng.range(1..20_000) as usize, 1 << rng.below(8));
            free(&ALLOC, allocate(&ALLOC, layout), layout);
            if rng.below(500) == 0 {
                ALLOC.assert_clean();
            }
        }
        // The allocator of this test binary is another one: what is counted are the calls above.
        assert_eq!(allocations_of_this_thread() - before, 5_000);
    };
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || hammer(seed));
        }
    });
    assert_eq!((ALLOC.allocations(), ALLOC.live_bytes(), ALLOC.live_blocks()), (20_000, 0, 0));
    assert!(ALLOC.quarantined_bytes() <= QuarantineAlloc::MAX_BYTES);
    ALLOC.assert_clean();
    ALLOC.flush();
    ALLOC.assert_clean();
}
