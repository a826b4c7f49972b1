//! Deadlines: a pure wheel, our own points in time, the clock of a runtime, and the timers that tasks wait for.

mod clock;
mod instant;
pub(crate) mod made_up;
mod pause;
mod timers;
mod wheel;

pub use crate::timer::instant::Instant;
pub use crate::timer::pause::{advance, pause, resume};
pub use crate::timer::timers::Timer;
pub(crate) use crate::timer::timers::Timers;
