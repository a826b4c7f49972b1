//! The time that is made up while a simulated runtime is current: what its machine's clock shows.

use std::cell::Cell;

thread_local! {
    /// The time that is made up, in nanoseconds of [`Instant`](crate::timer::Instant); 0 stands for the system's. Without a
    /// destructor, so that it can be read at any time.
    static MADE_UP: Cell<u64> = const { Cell::new(0) };
}

/// The time that is made up, if it is.
pub(super) fn now() -> Option<u64> {
    match MADE_UP.get() {
        0 => None,
        nanos => Some(nanos),
    }
}

/// Makes up the time of this thread from now on, or goes back to the system's.
pub(crate) fn set(nanos: Option<u64>) {
    MADE_UP.set(nanos.unwrap_or_default());
}

/// The time that is made up goes on, where it is made up.
pub(crate) fn advance(nanos: u64) {
    if MADE_UP.get() != 0 {
        MADE_UP.set(nanos);
    }
}
