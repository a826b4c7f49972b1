//! Numbers for choices that have to be fair, not secret: where `select!` starts to poll.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::kernel::sim::world;

/// A number below `bound`, which is not 0.
///
/// # Examples
///
/// ```
/// assert!(quoit_runtime::random::below(3) < 3);
/// ```
pub fn below(bound: u32) -> u32 {
    // The upper half of the product: no division, and a bias of less than `bound` in 2^32.
    (((next() >> 32) * u64::from(bound)) >> 32) as u32
}

/// The next number of this thread: the one place where chance comes from. (SplitMix64.) In a simulation its seed decides.
fn next() -> u64 {
    if let Some(seat) = world::current() {
        return seat.world.draw();
    }
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
    }
    // While the locals of a thread are destroyed, any number is as good as another.
    let state = STATE.try_with(|state| {
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        next
    });
    let mut mixed = state.unwrap_or_default();
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_bound_comes_up_about_as_often() {
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[below(7) as usize] += 1;
        }
        // Ten standard deviations: a fair source is never seen outside.
        assert!(counts.iter().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
        assert_eq!(below(1), 0);
    }

    #[test]
    fn two_threads_draw_different_numbers() {
        let draw = || std::array::from_fn::<u32, 8, _>(|_| below(u32::MAX));
        let theirs = std::thread::spawn(draw).join().expect("no panic");
        assert_ne!(draw(), theirs);
    }
}
