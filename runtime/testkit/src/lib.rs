//! The test instruments of quoit. Each of them has a test that plants the fault it is there to catch.
//!
//! - [`QuarantineAlloc`] finds writes into freed memory, also those of the kernel, and counts allocations.
//! - [`FdCount`], [`open_fds`], [`threads`] and [`rss_bytes`] find what a test leaves behind in the process.
//! - [`ManualWaker`] counts wakes, [`LiveBuffers`] counts buffers.
//! - [`Rng`] makes random cases that a seed repeats.
//! - [`EchoLoad`] drives an echo server with many connections and compares each byte. The program `echo-client` is the
//!   same load from the command line.
//!
//! Nothing here depends on quoit, so that each of its crates can be tested with it.

mod buffer;
mod load;
mod process;
mod quarantine;
mod rng;
mod waker;

pub use buffer::{CountedBuf, LiveBuffers};
pub use load::{EchoLoad, EchoReport};
pub use process::{FdCount, open_fds, rss_bytes, threads};
pub use quarantine::{Fault, QuarantineAlloc, Report, allocations_of_this_thread};
pub use rng::Rng;
pub use waker::ManualWaker;
