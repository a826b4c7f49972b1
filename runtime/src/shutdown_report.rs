//! What a runtime left behind.

use std::fmt;
use std::time::Duration;

/// What a runtime left behind. Made by [`Runtime::shutdown`](crate::Runtime::shutdown).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let report = quoit_runtime::Runtime::new()?.shutdown(Duration::from_secs(1));
/// assert!(report.is_clean());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How long it took.
    pub elapsed: Duration,
    /// Tasks that had not ended.
    pub tasks_dropped: usize,
    /// Operations that were with the kernel, and were cancelled.
    pub operations_cancelled: usize,
    /// Operations that the kernel did not give back in time. Their memory is leaked, as the kernel may still write to it.
    pub operations_leaked: usize,
    /// How much memory these hold.
    pub bytes_leaked: usize,
    /// The names of the operations that were leaked.
    pub leaked: Vec<&'static str>,
    /// Threads of a [set](crate::Workers) that had not ended in time, and were left behind.
    pub threads_left: usize,
}

impl ShutdownReport {
    /// Nothing was leaked, and no thread left behind.
    pub fn is_clean(&self) -> bool {
        self.operations_leaked == 0 && self.threads_left == 0
    }

    /// Adds up what several runtimes left; they end at the same time.
    pub(crate) fn add(&mut self, other: Self) {
        self.elapsed = self.elapsed.max(other.elapsed);
        self.tasks_dropped += other.tasks_dropped;
        self.operations_cancelled += other.operations_cancelled;
        self.operations_leaked += other.operations_leaked;
        self.bytes_leaked += other.bytes_leaked;
        self.leaked.extend(other.leaked);
        self.threads_left += other.threads_left;
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "shut down in {:?}: {} tasks dropped, {} operations cancelled",
            self.elapsed, self.tasks_dropped, self.operations_cancelled
        )?;
        if self.threads_left > 0 {
            write!(f, "; {} threads did not end in time", self.threads_left)?;
        }
        if self.operations_leaked > 0 {
            let (count, bytes, names) = (self.operations_leaked, self.bytes_leaked, self.leaked.join(", "));
            write!(f, "; the kernel did not give back {count} operations, {bytes} bytes are leaked: {names}")?;
        }
        Ok(())
    }
}
