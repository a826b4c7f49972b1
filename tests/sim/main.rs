//! Programs in simulated worlds: the clock, the network, the machines, and that a seed decides everything.

mod datagrams;
mod machines;
mod macros;
mod pausing;
mod storm;
mod world;

/// Sees writes into freed memory, the simulated kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
