//! Deadlines: a pure wheel, our own points in time, and the timers that tasks wait for.

mod instant;
mod timers;
mod wheel;

pub use crate::timer::instant::Instant;
pub use crate::timer::timers::Timer;
pub(crate) use crate::timer::timers::Timers;
