//! `Instant`: a point of monotonic time that saturates instead of panicking.
//!
//! It is a count of nanoseconds since an origin 2^62 ns (146 years) before the process first asked for the time. So
//! there is room to subtract from a young process's clock, and 438 years to add to it. A count, unlike std's opaque
//! instant, can as well be the reading of a clock that is made up.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::OnceLock;
use std::time::Duration;

use crate::timer::{clock, made_up};

/// A point in time of a clock that never goes back, in nanoseconds.
///
/// It is used as [`std::time::Instant`] is, but its arithmetic saturates and never panics. What would lie too far in
/// the future to be told is [`Instant::NEVER`], and so `Instant::now() + Duration::MAX` is a deadline that is not
/// reached. *Never* is infinitely far away: whatever is added to it or subtracted from it, it stays never.
///
/// The clock does not count while the system is suspended (it is `CLOCK_MONOTONIC`).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quoit_runtime::timer::Instant;
///
/// let start = Instant::now();
/// let deadline = start + Duration::from_secs(5);
/// assert_eq!(deadline - start, Duration::from_secs(5));
/// assert_eq!(start - deadline, Duration::ZERO);
/// assert!((start + Duration::MAX).is_never());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Nanoseconds since the origin; `u64::MAX` is never.
    nanos: u64,
}

impl Instant {
    /// The instant that is not reached. It is later than any other.
    pub const NEVER: Instant = Instant { nanos: u64::MAX };

    /// The present time. It is not earlier than any answer given before, on whatever thread.
    ///
    /// Inside a runtime whose clock was [paused](crate::timer::pause), it is that clock's time, which compares with no
    /// other's.
    pub fn now() -> Instant {
        clock::now()
    }

    /// What the machine's clock shows; the simulated machine's, while the runtime of one is current.
    pub(crate) fn of_machine() -> Instant {
        match made_up::now() {
            None => Instant::from(std::time::Instant::now()),
            Some(nanos) => Instant::from_nanos(nanos),
        }
    }

    /// Whether this is [`Instant::NEVER`].
    pub const fn is_never(self) -> bool {
        self.nanos == u64::MAX
    }

    /// How much time has passed since this instant; zero if it is yet to come.
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// How much time lies between `earlier` and this instant; zero if `earlier` is the later one.
    ///
    /// From any other instant to never it is [`Duration::MAX`].
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.checked_duration_since(earlier).unwrap_or_default()
    }

    /// As [`duration_since`](Self::duration_since), but `None` if `earlier` is the later one.
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        match self.nanos.checked_sub(earlier.nanos)? {
            0 => Some(Duration::ZERO),
            _ if self.is_never() => Some(Duration::MAX),
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// The same as [`duration_since`](Self::duration_since), under the name it has in std.
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }

    /// The instant so much later, or `None` if it lies too far in the future to be told. Never stays never.
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        if self.is_never() {
            return Some(*self);
        }
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.nanos.checked_add(nanos).map(Instant::from_nanos).filter(|sum| !sum.is_never())
    }

    /// The instant so much earlier, or `None` if it lies too far in the past to be told. Never stays never.
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        if self.is_never() {
            return Some(*self);
        }
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.nanos.checked_sub(nanos).map(Instant::from_nanos)
    }

    /// The same point in time for use with std. Never becomes an instant 438 years after the start of the process.
    pub fn into_std(self) -> std::time::Instant {
        let start = process_start();
        // Both sides fit: on Linux an instant counts seconds in an i64, and these are at most 438 years.
        match self.nanos.checked_sub(START_NANOS) {
            Some(after) => start + Duration::from_nanos(after),
            None => start - Duration::from_nanos(START_NANOS - self.nanos),
        }
    }

    /// The instant so many nanoseconds after the origin; `u64::MAX` is never.
    pub(crate) const fn from_nanos(nanos: u64) -> Instant {
        Instant { nanos }
    }

    /// Nanoseconds since the origin; `u64::MAX` for never.
    pub(crate) const fn nanos(self) -> u64 {
        self.nanos
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// The instant so much later, or never.
    fn add(self, duration: Duration) -> Instant {
        self.checked_add(duration).unwrap_or(Instant::NEVER)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// The instant so much earlier, or the earliest there is. Never stays never.
    fn sub(self, duration: Duration) -> Instant {
        self.checked_sub(duration).unwrap_or(Instant::from_nanos(0))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    /// [`Instant::duration_since`]: zero if `earlier` is the later one.
    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl From<std::time::Instant> for Instant {
    /// The same point in time; the earliest or never, if it is too far away to be told.
    fn from(instant: std::time::Instant) -> Instant {
        // The start comes first: the very first call must not find it later than its argument by its own making.
        let start = process_start();
        let base = Instant::from_nanos(START_NANOS);
        match instant.checked_duration_since(start) {
            Some(after) => base + after,
            None => base - start.duration_since(instant),
        }
    }
}

impl From<Instant> for std::time::Instant {
    /// [`Instant::into_std`].
    fn from(instant: Instant) -> std::time::Instant {
        instant.into_std()
    }
}

impl fmt::Debug for Instant {
    /// Time since the process started to count, as in `Instant(1.5s)`, `Instant(-20ms)` or `Instant(never)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = Instant::from_nanos(START_NANOS);
        match self.checked_duration_since(start) {
            _ if self.is_never() => write!(f, "Instant(never)"),
            Some(after) => write!(f, "Instant({after:?})"),
            None => write!(f, "Instant(-{:?})", start.duration_since(*self)),
        }
    }
}

/// What std's clock showed when the process first asked for the time.
fn process_start() -> std::time::Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    *START.get_or_init(std::time::Instant::now)
}

/// The reading of the clock at the start of the process.
const START_NANOS: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const BASE: Instant = Instant::from_nanos(START_NANOS);
    const LAST: Instant = Instant::from_nanos(u64::MAX - 1);
    const NANOSECOND: Duration = Duration::from_nanos(1);

    #[test]
    fn addition_saturates_at_never() {
        assert_eq!(BASE + Duration::from_secs(2), Instant::from_nanos(START_NANOS + 2_000_000_000));
        assert!((Instant::now() + Duration::MAX).is_never());
        assert!((BASE + Duration::from_nanos(u64::MAX)).is_never());
        assert!((LAST + NANOSECOND).is_never());
        assert!(!(LAST + Duration::ZERO).is_never());
        assert_eq!(Instant::from_nanos(u64::MAX - 2) + NANOSECOND, LAST);
    }

    #[test]
    fn subtraction_saturates_at_the_origin() {
        let origin = Instant::from_nanos(0);
        assert_eq!(BASE - Duration::from_nanos(START_NANOS), origin);
        assert_eq!(BASE - Duration::MAX, origin);
        assert_eq!(origin - NANOSECOND, origin);
    }

    #[test]
    fn never_stays_never_and_is_infinitely_far() {
        for duration in [Duration::ZERO, NANOSECOND, Duration::MAX] {
            assert!((Instant::NEVER + duration).is_never());
            assert!((Instant::NEVER - duration).is_never());
            assert_eq!(Instant::NEVER.checked_add(duration), Some(Instant::NEVER));
            assert_eq!(Instant::NEVER.checked_sub(duration), Some(Instant::NEVER));
        }
        assert_eq!(Instant::NEVER - BASE, Duration::MAX);
        assert_eq!(Instant::NEVER - LAST, Duration::MAX);
        assert_eq!(Instant::NEVER - Instant::NEVER, Duration::ZERO);
        assert_eq!(BASE - Instant::NEVER, Duration::ZERO);
        assert!(LAST < Instant::NEVER);
    }

    #[test]
    fn checked_arithmetic_tells_what_does_not_fit() {
        assert_eq!(BASE.checked_add(NANOSECOND), Some(BASE + NANOSECOND));
        assert_eq!(BASE.checked_sub(NANOSECOND), Some(BASE - NANOSECOND));
        assert_eq!(LAST.checked_add(NANOSECOND), None);
        assert_eq!(BASE.checked_add(Duration::MAX), None);
        assert_eq!(Instant::from_nanos(0).checked_sub(NANOSECOND), None);
        assert_eq!(BASE.checked_sub(Duration::MAX), None);
    }

    #[test]
    fn a_duration_since_a_later_instant_is_zero_or_none() {
        let later = BASE + Duration::from_millis(3);
        assert_eq!(later.duration_since(BASE), Duration::from_millis(3));
        assert_eq!(later.saturating_duration_since(BASE), Duration::from_millis(3));
        assert_eq!(later.checked_duration_since(BASE), Some(Duration::from_millis(3)));
        assert_eq!(BASE.duration_since(later), Duration::ZERO);
        assert_eq!(BASE.saturating_duration_since(later), Duration::ZERO);
        assert_eq!(BASE.checked_duration_since(later), None);
        assert_eq!(BASE.checked_duration_since(BASE), Some(Duration::ZERO));
        assert_eq!(BASE - later, Duration::ZERO);
    }

    #[test]
    fn assigning_operators_do_as_the_others() {
        let mut instant = BASE;
        instant += Duration::from_secs(3);
        instant -= Duration::from_secs(1);
        assert_eq!(instant, BASE + Duration::from_secs(2));
        instant += Duration::MAX;
        assert!(instant.is_never());
    }

    #[test]
    fn now_does_not_go_back_and_is_after_the_start() {
        let first = Instant::now();
        let second = Instant::now();
        assert!(BASE <= first && first <= second);
        assert!(first.elapsed() >= second - first);
        assert_eq!((Instant::now() + Duration::from_secs(3600)).elapsed(), Duration::ZERO);
        assert!((Instant::now() - Duration::from_secs(3600)).elapsed() >= Duration::from_secs(3600));
    }

    #[test]
    fn std_instants_go_there_and_back_unchanged() {
        let hour = Duration::from_secs(3600);
        let now = std::time::Instant::now();
        for instant in [now, now + hour, now - hour] {
            assert_eq!(Instant::from(instant).into_std(), instant);
            assert_eq!(std::time::Instant::from(Instant::from(instant)), instant);
        }
        assert_eq!(Instant::from(now + hour) - Instant::from(now), hour);
        for ours in [Instant::from_nanos(0), BASE, LAST] {
            assert_eq!(Instant::from(ours.into_std()), ours);
        }
        assert!(Instant::from(Instant::NEVER.into_std()).is_never());
        let beyond = now.checked_add(Duration::from_secs(1 << 40)).expect("std counts seconds in an i64");
        assert!(Instant::from(beyond).is_never());
    }

    #[test]
    fn debug_counts_from_the_start_of_the_process() {
        assert_eq!(format!("{:?}", BASE + Duration::from_millis(1500)), "Instant(1.5s)");
        assert_eq!(format!("{:?}", BASE - Duration::from_millis(20)), "Instant(-20ms)");
        assert_eq!(format!("{:?}", Instant::NEVER), "Instant(never)");
    }

    #[test]
    fn equal_instants_are_one_element_of_a_set() {
        let set: HashSet<_> = [BASE, BASE + NANOSECOND, BASE, Instant::NEVER].into_iter().collect();
        assert_eq!((set.len(), BASE.nanos()), (3, START_NANOS));
    }
}
