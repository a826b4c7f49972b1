//! Sleeping, intervals and timeouts on the timer wheel of the current runtime.
//!
//! - [`sleep`] and [`sleep_until`] wait.
//! - [`timeout`] and [`timeout_at`] give a future up when its time is over.
//! - [`interval`] and [`interval_at`] tick again and again.
//! - [`StreamExt`] gives the items of a stream deadlines, or a pace.
//! - [`pause`], [`advance`] and [`resume`] let a test move the time.
//!
//! No timer is early. Timers wake in the order of their deadlines, to the precision of 66 us; those that are closer
//! together, in the order in which they began to wait. Where they are due all the time, a thread that has nothing else to do
//! wakes for half a millisecond of them at once. All of them go by [`Instant`], whose arithmetic saturates:
//! `Duration::MAX` means *never*, and is not an overflow. A timer belongs to the runtime in which it was made, and costs that
//! runtime no system call.

#![forbid(unsafe_code)]

mod interval;
mod missed_tick;
mod sleep;
mod stream_ext;
mod stream_timeout;
mod throttle;
mod timeout;

pub use quoit_runtime::timer::{Instant, advance, pause, resume};

pub use crate::interval::{Interval, interval, interval_at};
pub use crate::missed_tick::MissedTickBehavior;
pub use crate::sleep::{Sleep, sleep, sleep_until};
pub use crate::stream_ext::StreamExt;
pub use crate::stream_timeout::StreamTimeout;
pub use crate::throttle::Throttle;
pub use crate::timeout::{Elapsed, Timeout, timeout, timeout_at};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[cfg(test)]
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
