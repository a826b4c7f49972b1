//! What a runtime counts.

use std::cell::Cell;

/// A counter of one thread.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What the driver counts.
#[derive(Debug, Default)]
pub(crate) struct DriverCounters {
    pub(crate) enters: Counter,
    pub(crate) sqes: Counter,
    pub(crate) cqes: Counter,
    pub(crate) attempts: Counter,
    pub(crate) vain_attempts: Counter,
    pub(crate) overflows: Counter,
    pub(crate) no_buffers: Counter,
    pub(crate) files_without_place: Counter,
    pub(crate) failed_closes: Counter,
    pub(crate) stale_completions: Counter,
}

/// What the executor counts.
#[derive(Debug, Default)]
pub(crate) struct ExecutorCounters {
    pub(crate) polls: Counter,
    pub(crate) parks: Counter,
    pub(crate) remote_wakes: Counter,
}

/// What a runtime has done so far, and what it holds now. Made by [`Runtime::metrics`](crate::Runtime::metrics).
///
/// # Examples
///
/// ```
/// let runtime = quoit_runtime::Runtime::new()?;
/// runtime.block_on(quoit_runtime::task::yield_now());
/// assert_eq!(runtime.metrics().in_flight, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// System calls that entered the kernel: submitted, waited, or both.
    pub enters: u64,
    /// Entries given to the kernel: operations, their continuations, cancels and closes.
    pub sqes: u64,
    /// Completions taken from the kernel.
    pub cqes: u64,
    /// Operations that a plain system call performed at once instead of an entry: those that were alone, and datagrams.
    pub attempts: u64,
    /// Such calls that were in vain: the operation would have had to wait, and went to the kernel as an entry.
    pub vain_attempts: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Times that the thread had nothing to do and slept in the kernel.
    pub parks: u64,
    /// Times that the thread looked for something to do for a while before it would have slept: see
    /// [`Builder::spin`](crate::Builder::spin).
    pub spins: u64,
    /// Such times when nothing came, and it slept after all.
    pub vain_spins: u64,
    /// Times that the thread slept until several completions were there, or some time was over: see
    /// [`Builder::gather`](crate::Builder::gather).
    pub gathers: u64,
    /// Such times when hardly any came.
    pub vain_gathers: u64,
    /// Wakes that came from other threads.
    pub remote_wakes: u64,
    /// Times that the completion queue ran over. Nothing is lost then, but a larger one is faster.
    pub overflows: u64,
    /// Times that a receive found no buffer in the pool. It was retried; a larger pool is faster.
    pub no_buffers: u64,
    /// Files that were read often and found no place in the table of files, which was full: see
    /// [`Builder::registered_files`](crate::Builder::registered_files).
    pub files_without_place: u64,
    /// Closes that the kernel answered with an error, for descriptors that nobody waited for.
    pub failed_closes: u64,
    /// Completions for operations that are gone: always 0, or else there is a bug.
    pub stale_completions: u64,
    /// Entries that the kernel holds now.
    pub in_flight: usize,
    /// Operations whose memory the driver owns now.
    pub operations: usize,
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Timers that wait.
    pub timers: usize,
    /// Files that have a place in the table of files.
    pub registered_files: usize,
    /// Buffers of the pool: lent to users, and in all.
    pub buffers_lent: usize,
    /// Buffers of the pool in all.
    pub buffers: usize,
}
