//! Random numbers that a seed repeats.

use std::env;
use std::ops::Range;

/// The environment variable that [`Rng::new`] prefers to its argument.
const VARIABLE: &str = "QUOIT_SEED";

/// The step of the state: odd, so that all states are visited, and with no pattern in its bits (2^64 over the golden
/// ratio).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A small generator (splitmix64): the same seed gives the same numbers, everywhere and for ever.
///
/// It is for tests; what it makes is predictable.
///
/// # Examples
///
/// ```
/// use quoit_testkit::Rng;
///
/// let mut rng = Rng::exact(7);
/// let size = rng.range(1..4096);
/// let mut bytes = vec![0; size as usize];
/// rng.bytes(&mut bytes);
/// assert!((1..4096).contains(&size), "with QUOIT_SEED={}", rng.seed());
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    state: u64,
}

impl Rng {
    /// A generator for this seed, or for that in the environment variable `QUOIT_SEED` (decimal, or hexadecimal after
    /// `0x`).
    ///
    /// Print [`seed`](Self::seed) when a test fails, and the variable repeats the failure.
    ///
    /// # Panics
    ///
    /// If the variable is set to what is no number of 64 bits.
    pub fn new(seed: u64) -> Rng {
        match env::var_os(VARIABLE) {
            None => Rng::exact(seed),
            Some(text) => match text.to_str().and_then(parse) {
                Some(seed) => Rng::exact(seed),
                None => panic!("{VARIABLE} must be a number of 64 bits, decimal or after 0x: it is {text:?}"),
            },
        }
    }

    /// A generator for this seed, whatever the environment says.
    pub fn exact(seed: u64) -> Rng {
        Rng { seed, state: seed }
    }

    /// The seed that this generator began with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next number, uniform over all of 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number below `bound`, uniform.
    ///
    /// # Panics
    ///
    /// If `bound` is 0.
    #[track_caller]
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        // Multiplied by the bound, the number falls into one of `bound` intervals. The lowest of each are drawn again
        // as far as
        // 2^64 is no multiple of the bound, else some intervals would be larger.
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number in the range, uniform.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    #[track_caller]
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end, "there is no number in {range:?}");
        range.start + self.below(range.end - range.start)
    }

    /// Fills `bytes`.
    pub fn bytes(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            let number = self.next_u64().to_le_bytes();
            piece.copy_from_slice(&number[..piece.len()]);
        }
    }
}

/// The bytes at `offset` of an endless random stream: the same, in whichever pieces they are asked for.
pub(crate) fn stream_bytes(seed: u64, offset: u64, bytes: &mut [u8]) {
    let word = |index: u64| mix(seed.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP))).to_le_bytes();
    let within = (offset % 8) as usize;
    let head = bytes.len().min((8 - within) % 8);
    let (head, tail) = bytes.split_at_mut(head);
    if !head.is_empty() {
        head.copy_from_slice(&word(offset / 8)[within..within + head.len()]);
    }
    // Whole words without a look at their size: a load on large messages is mostly this.
    let mut index = offset.div_ceil(8);
    let mut words = tail.chunks_exact_mut(8);
    for piece in words.by_ref() {
        piece.copy_from_slice(&word(index));
        index += 1;
    }
    let rest = words.into_remainder();
    rest.copy_from_slice(&word(index)[..rest.len()]);
}

/// Spreads each bit of a state over all bits of the result, one to one.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        // Published test vector for the seed 1234567.
        let mut rng = Rng::exact(1_234_567);
        let numbers = [rng.next_u64(), rng.next_u64(), rng.next_u64(), rng.next_u64(), rng.next_u64()];
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, expected);
        assert_eq!(rng.seed(), 1_234_567);
    }

    #[test]
    fn numbers_below_a_bound_are_uniform() {
        let mut rng = Rng::exact(1);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert!((0..1_000).all(|_| rng.below(1) == 0));
        assert!((0..1_000).map(|_| rng.below(u64::MAX)).any(|number| number > u64::MAX / 2));
    }

    #[test]
    fn ranges_hold_their_bounds_and_reach_both_ends() {
        let mut rng = Rng::exact(2);
        let numbers: Vec<u64> = (0..1_000).map(|_| rng.range(10..13)).collect();
        assert_eq!((numbers.iter().min(), numbers.iter().max()), (Some(&10), Some(&12)));
        assert_eq!(rng.range(u64::MAX - 1..u64::MAX), u64::MAX - 1);
    }

    #[test]
    #[should_panic(expected = "no number below 0")]
    fn bound_of_zero_is_refused() {
        Rng::exact(0).below(0);
    }

    #[test]
    #[should_panic(expected = "no number in 3..3")]
    fn empty_range_is_refused() {
        Rng::exact(0).range(3..3);
    }

    #[test]
    fn bytes_are_the_numbers_and_the_stream() {
        let mut bytes = [0; 21];
        Rng::exact(9).bytes(&mut bytes);
        assert_eq!(
            bytes[8..16],
            {
                let mut rng = Rng::exact(9);
                rng.next_u64();
                rng.next_u64()
            }
            .to_le_bytes()
        );
        for start in 0..21 {
            for end in start..=21 {
                let mut piece = vec![0; end - start];
                stream_bytes(9, start as u64, &mut piece);
                assert_eq!(piece, bytes[start..end], "{start}..{end}");
            }
        }
    }

    #[test]
    fn seeds_are_read_in_decimal_and_hexadecimal() {
        assert_eq!(parse("18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse("0xff"), Some(255));
        for text in ["", "0x", "-1", "seven", "18446744073709551616"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
