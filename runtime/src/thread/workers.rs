//! A set of runtimes, each on a thread of its own.

use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::handle::Handle;
use crate::shutdown_report::ShutdownReport;
use crate::task::RemoteJoinHandle;
use crate::thread::members::{Members, membership};
use crate::thread::workers_builder::WorkersBuilder;

/// Several runtimes, each on a thread of its own: for work that one core cannot do. Made by [`Workers::builder`], or by
/// `#[quoit::main(threads = n)]`.
///
/// A task stays on the thread that it was given to. Clones name the same set; when the last one is dropped, outside of the
/// set's threads, the threads are told to end, and waited for as by [`shutdown`](Self::shutdown) with the
/// [deadline](crate::Builder::shutdown_deadline) of the runtimes' settings.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let workers = quoit_runtime::Workers::builder().threads(2).build()?;
/// let doubled: Vec<_> = (0..4_u32).map(|number| workers.spawn(move || async move { number * 2 })).collect();
/// let sum: u32 = doubled.into_iter().map(|task| task.join_blocking().expect("no panic")).sum();
/// assert_eq!(sum, 12);
/// assert!(workers.shutdown(Duration::from_secs(1)).is_clean());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Workers {
    members: Arc<Members>,
}

impl Workers {
    pub(super) fn new(members: Arc<Members>) -> Self {
        Self { members }
    }

    /// A builder: how many threads, and with what settings.
    pub fn builder() -> WorkersBuilder {
        WorkersBuilder::new()
    }

    /// The set that the calling thread belongs to. `None` on threads of no set, and on those of one that is ending.
    pub fn current() -> Option<Self> {
        membership(|set, _| Weak::upgrade(set)).flatten().map(Self::new)
    }

    /// The calling thread's place in its set.
    pub fn current_index() -> Option<usize> {
        membership(|_, index| index)
    }

    /// How many threads there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.members.list().len()
    }

    /// The handle of the runtime on thread `index`.
    ///
    /// # Panics
    ///
    /// Where there are not so many threads, with the caller's location.
    #[track_caller]
    pub fn handle(&self, index: usize) -> Handle {
        self.at(index).clone()
    }

    /// Gives thread `index` something to do; see [`Handle::spawn`].
    ///
    /// # Panics
    ///
    /// Where there are not so many threads, with the caller's location.
    #[track_caller]
    pub fn spawn_on<F, Fut>(&self, index: usize, make: F) -> RemoteJoinHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.at(index).spawn(make)
    }

    /// Gives the thread that has the fewest tasks something to do; see [`Handle::spawn`]. Tasks on their way to a thread
    /// count, tasks that a thread has spawned by itself count as of its last turn, and among equals it goes round.
    #[track_caller]
    pub fn spawn<F, Fut>(&self, make: F) -> RemoteJoinHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.least_loaded().spawn(make)
    }

    /// Has every thread call `make` with its index, and run the future that it makes. The handles are in the order of the
    /// threads.
    #[track_caller]
    pub fn broadcast<F, Fut>(&self, make: F) -> Vec<RemoteJoinHandle<Fut::Output>>
    where
        F: Fn(usize) -> Fut + Send + Sync + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let make = Arc::new(make);
        let mut tasks = Vec::with_capacity(self.len());
        for (index, member) in self.members.list().iter().enumerate() {
            let make = Arc::clone(&make);
            tasks.push(member.handle.spawn(move || make(index)));
        }
        tasks
    }

    /// Ends the set: tasks are dropped, and each runtime waits up to `deadline` until the kernel has given every buffer
    /// back. Blocks until all threads have ended, but no more than a second longer than the deadline: a thread whose task
    /// never comes to its next await is left behind and counted (`threads_left`). Everything else in the report is the sum
    /// over the threads. Of several shutdowns of one set, the first is told.
    ///
    /// The first thread of `#[quoit::main(threads = n)]` is the program's own: it goes on.
    ///
    /// # Panics
    ///
    /// On a thread of the set, which would wait for itself, with the caller's location. Inside of a runtime, call it by
    /// [`spawn_blocking`](crate::spawn_blocking).
    #[track_caller]
    pub fn shutdown(self, deadline: Duration) -> ShutdownReport {
        assert!(
            !self.members.has_this_thread(),
            "`Workers::shutdown` was called on a thread of the set, which would wait for its own end: call it by \
             `spawn_blocking`",
        );
        self.members.stop(deadline);
        self.members.wait(deadline)
    }

    #[track_caller]
    fn at(&self, index: usize) -> &Handle {
        match self.members.list().get(index) {
            Some(member) => &member.handle,
            None => panic!("there is no thread {index} in a set of {}", self.len()),
        }
    }

    fn least_loaded(&self) -> &Handle {
        let list = self.members.list();
        let first = self.members.next.fetch_add(1, Ordering::Relaxed) % list.len();
        let (behind, from) = list.split_at(first);
        let members = from.iter().chain(behind);
        let least = members.min_by_key(|member| member.handle.load());
        &least.expect("a set has a thread").handle
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<_> = self.members.list().iter().map(|member| member.handle.tasks()).collect();
        f.debug_struct("Workers").field("tasks", &tasks).finish_non_exhaustive()
    }
}
