//! What has happened in a world, as a number.

use std::env;

/// A hash over all that a world did. It holds no address, no descriptor's number, no real time.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    /// `QUOIT_SIM_TRACE` is set: each step goes to standard error.
    is_told: bool,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self { hash: mix(OFFSET, seed), is_told: env::var_os("QUOIT_SIM_TRACE").is_some_and(|value| value != "0") }
    }

    /// Something has happened.
    pub(crate) fn note(&mut self, now: u64, host: usize, what: &'static str, of: u64, value: i64) {
        for word in [now, host as u64, of, value as u64] {
            self.hash = mix(self.hash, word);
        }
        self.hash = what.bytes().fold(self.hash, |hash, byte| mix(hash, u64::from(byte)));
        if self.is_told {
            let (seconds, nanos) = (now / 1_000_000_000, now % 1_000_000_000);
            eprintln!("sim {seconds}.{nanos:09} host {host}: {what} {of} -> {value}");
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(PRIME);
    mixed ^ mixed >> 29
}

const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x9FB2_1C65_1E98_DF25;
