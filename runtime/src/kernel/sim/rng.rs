//! The one source of chance in a world: the same seed makes the same numbers, for ever.

use std::ops::Range;
use std::time::Duration;

/// A small generator (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform over all of 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ bits >> 31
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into so many things, which are not none.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// True once in `times`, on average.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// True with this probability.
    pub(crate) fn with_probability(&mut self, probability: f64) -> bool {
        // Drawn only where there is something to decide, so that a world without faults is the same as ever.
        probability > 0.0 && (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= probability
    }

    /// From 1 to `most`, which is at least 1.
    pub(crate) fn count(&mut self, most: usize) -> usize {
        1 + self.index(most)
    }

    /// Nanoseconds within a range; its start where it is empty.
    pub(crate) fn nanos_in(&mut self, range: &Range<Duration>) -> u64 {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        let (start, end) = (nanos(range.start), nanos(range.end));
        if end > start { start + self.below(end - start) } else { start }
    }
}

/// 2^64 over the golden ratio: odd, so that all states are visited.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_bounds_hold() {
        let (mut one, mut other) = (Rng::new(7), Rng::new(7));
        for bound in 1..1000 {
            let number = one.below(bound);
            assert!(number < bound);
            assert_eq!(number, other.below(bound));
        }
        assert!(!one.with_probability(0.0));
        assert!(one.with_probability(1.0));
        let range = Duration::from_nanos(5)..Duration::from_nanos(7);
        assert!((5..7).contains(&one.nanos_in(&range)));
        assert_eq!(one.nanos_in(&(Duration::ZERO..Duration::ZERO)), 0);
        assert_eq!(one.count(1), 1);
    }
}
