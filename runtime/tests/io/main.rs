//! Traits, pipes, buffers, descriptors: what they do, and what is not lost when a future is dropped or forgotten.

#[path = "../support/mod.rs"]
mod support;

mod async_fd;
mod buffered;
mod copying;
mod pipes;
mod traits;
