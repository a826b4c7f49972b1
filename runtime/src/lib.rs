//! The runtime under [quoit](https://docs.rs/quoit): a completion driver on io_uring, buffers, tasks and timers.
//!
//! Programs use the facade crate `quoit`; this crate is for those who build on the driver itself.
//!
//! | module | what lives there |
//! |---|---|
//! | [`Runtime`], [`Builder`] | a runtime for one thread, and its knobs |
//! | [`spawn`], [`task`] | tasks and their handles |
//! | [`op`] | operations: what each tells the kernel, and what it makes of the answer |
//! | [`buf`] | memory that is lent to the kernel |
//! | [`cancel_scope`] | asking the operations inside a future to stop |
//! | [`fd`] | a descriptor that stays open while an operation names it |
//! | [`socket`] | what sockets do without an operation |
//! | [`io`] | traits for reading and writing, pipes, standard streams, any descriptor |
//! | [`process`] | child processes |
//! | [`signal`] | signals of the process |
//! | [`timer`] | deadlines |
//! | [`waiters`] | the tasks that wait for one thing |
//! | [`thread`], [`Workers`] | a runtime on a thread of its own, and a set of them |
//! | [`Handle`] | giving a runtime something to do from other threads |
//! | [`blocking`] | threads for calls that block |
//! | [`sim`] | a simulated kernel: clock, network, disks and faults, decided by a seed |
//! | [`probe`], [`dump()`] | what the machine supports; what each task waits for |

#[cfg(not(target_os = "linux"))]
compile_error!(
    "quoit runs on Linux only: its driver is io_uring. On other systems, use a runtime that is portable, such as tokio or \
     compio"
);

pub mod blocking;
pub mod buf;
mod builder;
pub mod cancel_scope;
mod context;
mod crew;
mod driver;
mod dump;
mod executor;
pub mod fd;
mod finish;
mod handle;
pub mod io;
mod kernel;
mod metrics;
pub mod op;
pub mod process;
#[doc(hidden)]
pub mod random;
mod runtime;
mod shim;
mod shutdown_report;
pub mod signal;
pub mod sim;
pub mod socket;
mod spawn;
mod spin;
mod sys;
pub mod task;
pub mod thread;
mod thread_bound;
pub mod timer;
pub mod waiters;

pub use crate::blocking::spawn_blocking;
pub use crate::builder::Builder;
pub use crate::dump::{Dump, TaskDump, TaskState, WaitsFor, dump};
pub use crate::handle::Handle;
pub use crate::kernel::choice::KernelKind;
pub use crate::kernel::probe::{Features, Support, probe};
pub use crate::kernel::refusal::{Cause, Refusal};
pub use crate::metrics::Metrics;
pub use crate::runtime::{Runtime, block_on, metrics};
pub use crate::shutdown_report::ShutdownReport;
pub use crate::spawn::spawn;
pub use crate::thread::{Workers, WorkersBuilder};
pub use crate::thread_bound::ThreadBound;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[cfg(all(test, not(loom)))]
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
