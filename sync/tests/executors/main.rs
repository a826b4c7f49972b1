//! The whole crate on executors that are not ours, in both flavors: futures' `LocalPool`, and tokio.
//!
//! `suite.rs` has what the flavors share and is compiled for each; `beyond.rs` has what there is for threads only. Each body runs
//! on each executor.
#![cfg(not(loom))]

#[macro_use]
mod executor;
mod tools;

mod threads {
    //! The flavor for threads.
    use quoit_sync::{Mutex, Notify, RwLock, Semaphore, WaitGroup, mpsc, oneshot};
    use std::sync::Arc as Shared;

    include!("suite.rs");
}

mod one_thread {
    //! The flavor for one thread.
    use quoit_sync::local::{Mutex, Notify, RwLock, Semaphore, WaitGroup, mpsc, oneshot};
    use std::rc::Rc as Shared;

    include!("suite.rs");
}

mod beyond;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
