//! Generators: streams that are written as one `async` block, which hands out values as it goes. For any executor.
//!
//! - [`generator`] is a [`Stream`](futures_core::Stream) of what its body yields.
//! - [`generator_with`] takes a value for each one that it gives.
//!
//! A body may await whatever it likes between two yields. It runs only while its generator is polled, in the task that does
//! so, and is dropped with it. A generator is two allocations, whatever number of values goes through it, and stays on its
//! thread.
#![forbid(unsafe_code)]

mod generator;
mod handover;
mod yielding;

pub use crate::generator::{Generator, Resume, generator, generator_with};
pub use crate::yielding::{Co, Yield};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[cfg(test)]
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
