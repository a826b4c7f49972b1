//! `Clock`: what time it is in a runtime. The machine's time, or one that stands until somebody moves it.
//!
//! All readings of the time come from [`now`], so this is the place where another clock takes over.

use std::cell::Cell;

use crate::context;
use crate::timer::Instant;

/// The clock of one runtime.
pub(crate) struct Clock {
    reading: Cell<Reading>,
    /// What it showed when somebody last looked.
    seen: Cell<Instant>,
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
        Self { reading: Cell::new(Reading::Machine), seen: Cell::new(Instant::from_nanos(0)) }
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        let now = match self.reading.get() {
            Reading::Machine => Instant::of_machine(),
            Reading::Shifted(by) => clamped(i128::from(Instant::of_machine().nanos()) + by),
            Reading::Standing(instant) => instant,
        };
        self.seen.set(now);
        now
    }

    /// Whether the deadline has passed. One that was far away when somebody last looked at the machine's clock is taken to be
    /// still to come, so that a timer that has just been made needs no look of its own.
    #[inline]
    pub(crate) fn shows(&self, deadline: Instant) -> bool {
        let is_far = deadline.nanos().saturating_sub(self.seen.get().nanos()) > FAR;
        !(is_far && matches!(self.reading.get(), Reading::Machine)) && self.now() >= deadline
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

/// Nanoseconds for which no thread is to go on without a look at its clock. If one does, a timer whose deadline has passed
/// meanwhile fires a turn later.
const FAR: u64 = 100_000_000;

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
    fn only_a_deadline_that_was_far_away_at_the_last_look_is_taken_to_be_still_to_come() {
        use crate::timer::made_up;
        let start = 1_u64 << 40;
        made_up::set(Some(start));
        let clock = Clock::new();
        let (near, far) = (clock.now() + Duration::from_nanos(FAR), clock.now() + Duration::from_nanos(FAR + 1));
        assert!(!clock.shows(near) && !clock.shows(far));
        // The thread was busy for an hour.
        made_up::set(Some(start + 3600 * 1_000_000_000));
        assert!(!clock.shows(far), "no look at the clock");
        assert!(clock.shows(near), "a look");
        assert!(clock.shows(far), "as of that look");
        // A clock that stands costs nothing to look at.
        clock.stop();
        clock.move_to(clock.now() + HOUR);
        assert!(clock.shows(clock.now()) && !clock.shows(clock.now() + Duration::from_nanos(1)));
        made_up::set(None);
    }

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
