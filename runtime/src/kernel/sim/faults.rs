//! What goes wrong in a world beyond what always may.

use std::ops::Range;
use std::time::Duration;

/// What goes wrong, and how often: a world without faults still delays, splits and reorders what any kernel and any network
/// may delay, split and reorder.
///
/// Set by [`set_faults`](crate::sim::set_faults); [`heal`](crate::sim::heal) ends them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quoit_runtime::sim::{self, Faults};
///
/// sim::run(7, async {
///     sim::set_faults(Faults::new().latency(Duration::ZERO..Duration::from_secs(5)).reset(0.01));
///     sim::heal();
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    /// Beside the network's own.
    pub(crate) latency: Range<Duration>,
    pub(crate) datagram_loss: f64,
    pub(crate) reset: f64,
    pub(crate) short_io: f64,
    pub(crate) disk_error: f64,
}

impl Faults {
    /// No faults.
    pub const fn new() -> Self {
        let latency = Duration::ZERO..Duration::ZERO;
        Self { latency, datagram_loss: 0.0, reset: 0.0, short_io: 0.0, disk_error: 0.0 }
    }

    /// What every segment and datagram takes longer, drawn from this range.
    pub fn latency(&mut self, latency: Range<Duration>) -> &mut Self {
        self.latency = latency;
        self
    }

    /// How probable it is that a datagram is lost. Half as many arrive twice.
    ///
    /// # Panics
    ///
    /// Where it is no probability: below 0, or above 1.
    #[track_caller]
    pub fn datagram_loss(&mut self, probability: f64) -> &mut Self {
        self.datagram_loss = checked(probability);
        self
    }

    /// How probable it is that a send finds its connection reset.
    ///
    /// # Panics
    ///
    /// As [`datagram_loss`](Self::datagram_loss).
    #[track_caller]
    pub fn reset(&mut self, probability: f64) -> &mut Self {
        self.reset = checked(probability);
        self
    }

    /// How probable it is that a read, write, send or receive does less than it could.
    ///
    /// # Panics
    ///
    /// As [`datagram_loss`](Self::datagram_loss).
    #[track_caller]
    pub fn short_io(&mut self, probability: f64) -> &mut Self {
        self.short_io = checked(probability);
        self
    }

    /// How probable it is that an operation on a file fails with `EIO`.
    ///
    /// # Panics
    ///
    /// As [`datagram_loss`](Self::datagram_loss).
    #[track_caller]
    pub fn disk_error(&mut self, probability: f64) -> &mut Self {
        self.disk_error = checked(probability);
        self
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn checked(probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "a probability is a number from 0 to 1, and not {probability}");
    probability
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "from 0 to 1, and not 1.5")]
    fn what_is_no_probability_is_refused() {
        Faults::new().reset(1.5);
    }
}
