//! Looking for something to do for a while before the thread sleeps.
//!
//! To wake a thread that sleeps in the kernel takes longer than most answers take to come. So a thread may look again and
//! again instead, at what shows without a system call: the completion queue and the flag of work that the kernel has put off,
//! and the inbox. That burns a CPU, so it is asked for ([`Builder::spin`](crate::Builder::spin)), and done only where waits
//! have turned out to be short: the last one tells. A thread that is idle sleeps.
//!
//! ```text
//!   a wait was short ──► spin ──► something came: spin again
//!                         │
//!                         └─────► nothing came: sleep, until waits were short again; each time in a row that a spin is
//!                                 in vain it takes twice as many
//! ```

use std::cell::Cell;
use std::time::Duration;

use crate::metrics::Counter;
use crate::timer::Instant;

/// When to spin, learned from how long waits were.
#[derive(Debug)]
pub(crate) struct Spin {
    /// How long; zero: not at all.
    most: Duration,
    /// How many waits have to be short before the next spin.
    wanted: Cell<u32>,
    /// How many spins in a row have been in vain.
    in_vain: Cell<u32>,
    pub(crate) spins: Counter,
    pub(crate) vain_spins: Counter,
}

/// How a spin ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spun {
    /// There is something to do.
    Found,
    /// There is not: sleep, but as much shorter.
    InVain(Duration),
}

impl Spin {
    pub(crate) fn new(most: Duration) -> Self {
        let (spins, vain_spins) = (Counter::default(), Counter::default());
        Self { most, wanted: Cell::new(0), in_vain: Cell::new(0), spins, vain_spins }
    }

    /// It was asked for.
    pub(crate) fn is_on(&self) -> bool {
        !self.most.is_zero()
    }

    /// The next wait is likely to be short.
    pub(crate) fn is_due(&self) -> bool {
        self.is_on() && self.wanted.get() == 0
    }

    /// Looks until there is something to do, or a timer is due after `left`, or it has been long enough.
    pub(crate) fn spin(&self, left: Option<Duration>, mut has_something: impl FnMut() -> bool) -> Spun {
        let start = Instant::of_machine();
        let is_till_timer = left.is_some_and(|left| left <= self.most);
        let most = if is_till_timer { left.unwrap_or(self.most) } else { self.most };
        loop {
            for _look in 0..LOOKS {
                if has_something() {
                    self.ended(true);
                    return Spun::Found;
                }
                std::hint::spin_loop();
            }
            let spun = Instant::of_machine().duration_since(start);
            if spun >= most {
                self.ended(is_till_timer);
                return if is_till_timer { Spun::Found } else { Spun::InVain(spun) };
            }
        }
    }

    /// The thread has slept for so long.
    pub(crate) fn slept(&self, time: Duration) {
        if time <= self.most {
            self.wanted.set(self.wanted.get().saturating_sub(1));
        }
    }

    fn ended(&self, was_short: bool) {
        self.spins.add(1);
        if was_short {
            return self.in_vain.set(0);
        }
        self.vain_spins.add(1);
        self.wanted.set(1 << self.in_vain.get());
        self.in_vain.set((self.in_vain.get() + 1).min(MOST_DOUBLINGS));
    }
}

/// Looks at memory between two looks at the clock.
const LOOKS: u32 = 32;
/// After that many spins in vain it takes no more short waits than before: 64.
const MOST_DOUBLINGS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(50);
    const SHORT: Duration = Duration::from_micros(49);
    const LONG: Duration = Duration::from_millis(1);

    fn in_vain(spin: &Spin) {
        assert!(matches!(spin.spin(None, || false), Spun::InVain(spun) if spun >= MOST));
    }

    #[test]
    fn what_was_not_asked_for_is_never_due() {
        let spin = Spin::new(Duration::ZERO);
        spin.slept(Duration::ZERO);
        assert!(!spin.is_due());
    }

    #[test]
    fn who_finds_something_spins_again() {
        let spin = Spin::new(MOST);
        for _ in 0..3 {
            assert!(spin.is_due());
            assert_eq!(spin.spin(None, || true), Spun::Found);
        }
        assert_eq!((spin.spins.get(), spin.vain_spins.get()), (3, 0));
    }

    #[test]
    fn who_waits_long_spins_once_and_then_sleeps() {
        let spin = Spin::new(MOST);
        in_vain(&spin);
        for _ in 0..1000 {
            assert!(!spin.is_due());
            spin.slept(LONG);
        }
        assert_eq!((spin.spins.get(), spin.vain_spins.get()), (1, 1));
    }

    #[test]
    fn each_spin_in_vain_takes_twice_as_many_short_waits_until_the_next() {
        let spin = Spin::new(MOST);
        for wanted in [1, 2, 4, 8, 16, 32, 64, 64] {
            in_vain(&spin);
            for _ in 0..wanted {
                assert!(!spin.is_due());
                spin.slept(LONG);
                spin.slept(SHORT);
            }
            assert!(spin.is_due());
        }
        // Something that is found makes up for all of it.
        assert_eq!(spin.spin(None, || true), Spun::Found);
        in_vain(&spin);
        spin.slept(SHORT);
        assert!(spin.is_due());
    }

    #[test]
    fn a_timer_that_is_due_before_ends_the_spin_and_is_something() {
        let spin = Spin::new(Duration::from_secs(3600));
        assert_eq!(spin.spin(Some(Duration::from_micros(20)), || false), Spun::Found);
        assert_eq!(spin.spin(Some(Duration::ZERO), || false), Spun::Found);
        assert!(spin.is_due());
        assert_eq!(spin.vain_spins.get(), 0);
    }
}
