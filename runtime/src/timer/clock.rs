//! `Clock`: what time it is in a runtime. The machine's time, or one that stands until somebody moves it.
//!
//! All readings of the time come from [`now`], so this is the place where another clock takes over.

use std::cell::Cell;

use crate::context;
use crate::timer::Instant;

/// The clock of one runtime.
pub(crate) struct Clock {
    reading: Cell<Reading>,
}

#[derive(Clone, Copy)]
enum Reading {
    /// What the machine shows.
    Machine,
    /// What the machine shows, and so many nanoseconds: the clock stood for a while, and may have been moved meanwhile.
    Shifted(i128),
    /// The clock stands.
    Standing(Instant),
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { reading: Cell::new(Reading::Machine) }
    }

    pub(crate) fn now(&self) -> Instant {
        match self.reading.get() {
            Reading::Machine => Instant::of_machine(),
            Reading::Shifted(by) => clamped(i128::from(Instant::of_machine().nanos()) + by),
            Reading::Standing(instant) => instant,
        }
    }

    pub(crate) fn stands(&self) -> bool {
        matches!(self.reading.get(), Reading::Standing(_))
    }

    pub(crate) fn stop(&self) {
        self.reading.set(Reading::Standing(self.now()));
    }

    /// Goes on from where it stands.
    pub(crate) fn start(&self) {
        let by = i128::from(self.now().nanos()) - i128::from(Instant::of_machine().nanos());
        self.reading.set(Reading::Shifted(by));
    }

    /// Moves a clock that stands, but not back.
    pub(crate) fn move_to(&self, instant: Instant) {
        debug_assert!(self.stands(), "a clock that runs is not moved");
        self.reading.set(Reading::Standing(clamped(i128::from(instant.max(self.now()).nanos()))));
    }
}

/// The instant so many nanoseconds after the origin. A clock does not show *never*, but the instant before.
fn clamped(nanos: i128) -> Instant {
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).min(u64::MAX - 1))
}

/// The present time: of the current runtime, or of the machine where there is none.
pub(super) fn now() -> Instant {
    context::try_with(|core| core.timers.clock().now()).unwrap_or_else(Instant::of_machine)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_stands_shows_what_it_was_moved_to_and_runs_on_from_there() {
        let clock = Clock::new();
        let before = Instant::of_machine();
        clock.stop();
        let start = clock.now();
        assert!(clock.stands() && before <= start && start <= Instant::of_machine());
        clock.move_to(start + HOUR);
        assert_eq!(clock.now(), start + HOUR);
        // Not back.
        clock.move_to(start);
        assert_eq!(clock.now(), start + HOUR);
        clock.start();
        assert!(!clock.stands() && clock.now() >= start + HOUR && clock.now() < start + HOUR * 2);
        // Stopped again, it has lost nothing.
        let running = clock.now();
        clock.stop();
        assert!(clock.now() >= running);
    }

    #[test]
    fn a_clock_that_is_moved_to_the_end_of_time_stays_before_never() {
        let clock = Clock::new();
        clock.stop();
        clock.move_to(clock.now() + Duration::MAX);
        assert!(!clock.now().is_never());
        assert_eq!(clock.now() + Duration::from_nanos(1), Instant::NEVER);
        clock.start();
        assert!(!clock.now().is_never());
    }
}
