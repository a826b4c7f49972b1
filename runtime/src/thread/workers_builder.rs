//! What a set of runtimes is started with.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::runtime::Runtime;
use crate::sys::affinity;
use crate::task::{EndOnDrop, Id, RemoteCell, RemoteJoinHandle};
use crate::thread::members::{End, Member, Members, Membership, Started};
use crate::thread::start::start;
use crate::thread::workers::Workers;

/// Starts a set of runtimes. Made by [`Workers::builder`].
///
/// # Examples
///
/// ```
/// let workers = quoit_runtime::Workers::builder()
///     .threads(2)
///     .pin(true)
///     .runtime(quoit_runtime::Runtime::builder().entries(64))
///     .build()?;
/// assert_eq!(workers.len(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WorkersBuilder {
    threads: Option<usize>,
    pin: bool,
    name: String,
    runtime: crate::Builder,
}

impl WorkersBuilder {
    pub(super) fn new() -> Self {
        Self { threads: None, pin: false, name: String::from("quoit-worker"), runtime: crate::Builder::new() }
    }

    /// How many threads; by default one for each CPU that this process may use.
    pub fn threads(&mut self, threads: usize) -> &mut Self {
        self.threads = Some(threads);
        self
    }

    /// Binds each thread to one CPU, of those that the calling thread may use, in turn; off by default. Worth it where the
    /// machine is this program's alone: the caches stay warm. Where it shares CPUs, pinned threads wait for their CPU while
    /// another is idle.
    pub fn pin(&mut self, pin: bool) -> &mut Self {
        self.pin = pin;
        self
    }

    /// The names of the threads and their runtimes: this, a hyphen and the index; "quoit-worker" by default. Linux shows the
    /// first 15 bytes.
    pub fn name(&mut self, name: &str) -> &mut Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The settings of each runtime, but for its name.
    pub fn runtime(&mut self, settings: &crate::Builder) -> &mut Self {
        self.runtime = settings.clone();
        self
    }

    /// Starts the threads. Returns when all have their runtimes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` with 0 threads. Where a thread cannot be started or pinned, and those of building a
    /// [runtime](crate::Builder::build). Threads that have been started then end again.
    pub fn build(&self) -> io::Result<Workers> {
        let plan = self.plan()?;
        self.start_all(&plan, Vec::new()).map(Workers::new)
    }

    /// Runs a future on the calling thread, as [`Runtime::block_on`] does, with a runtime that is the first of a set; starts
    /// the others before and ends them afterwards.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    ///
    /// # Panics
    ///
    /// As [`Runtime::block_on`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::Workers;
    ///
    /// let indexes = Workers::builder().threads(3).block_on(async {
    ///     let workers = Workers::current().expect("this thread is the first of the set");
    ///     let mut indexes = Vec::new();
    ///     for task in workers.broadcast(|index| async move { index }) {
    ///         indexes.push(task.await.expect("no panic"));
    ///     }
    ///     indexes
    /// })?;
    /// assert_eq!(indexes, [0, 1, 2]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        let plan = self.plan()?;
        let _pinned = plan.cpu(0).map(affinity::Pinned::new).transpose()?;
        // Dropped from below: this thread leaves the set, the others end, and then its own runtime.
        let runtime = self.settings(0).build()?;
        let first = Member { handle: runtime.handle(), started: None };
        let others = EndOthers(self.start_all(&plan, vec![first])?);
        let _membership = Membership::new(Arc::downgrade(&others.0), 0);
        Ok(runtime.block_on(future))
    }

    fn plan(&self) -> io::Result<Plan> {
        if self.threads == Some(0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "threads(0): nothing would ever run"));
        }
        let threads = match self.threads {
            Some(threads) => threads,
            None => thread::available_parallelism()?.get(),
        };
        let cpus = if self.pin { affinity::cpus_to_pin_to()? } else { Vec::new() };
        Ok(Plan { threads, cpus })
    }

    fn settings(&self, index: usize) -> crate::Builder {
        let mut settings = self.runtime.clone();
        settings.name(&self.name_of(index));
        settings
    }

    fn name_of(&self, index: usize) -> String {
        format!("{}-{index}", self.name)
    }

    /// Starts the threads that the list lacks. Where one fails, those that were started end again.
    fn start_all(&self, plan: &Plan, mut list: Vec<Member>) -> io::Result<Arc<Members>> {
        let members = Members::new(self.runtime.shutdown_deadline);
        let missing = list.len()..plan.threads;
        let mut failure = None;
        for index in missing {
            match self.start_one(plan, index, &members) {
                Ok(member) => list.push(member),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        members.fill(list);
        failure.map_or(Ok(members), Err)
    }

    fn start_one(&self, plan: &Plan, index: usize, set: &Arc<Members>) -> io::Result<Member> {
        let cpu = plan.cpu(index);
        let prepare = move || match cpu {
            Some(cpu) => affinity::pin_thread(cpu),
            None => {
                affinity::unpin_thread();
                Ok(())
            }
        };
        let location = Location::caller();
        let (stop, report) = (RemoteCell::running(Id::next(), location), RemoteCell::running(Id::next(), location));
        let stopped = RemoteJoinHandle::new(Arc::clone(&stop));
        let (set, end) = (Arc::downgrade(set), EndOnDrop(Arc::clone(&report)));
        let body = move |runtime: Runtime| {
            let _membership = Membership::new(set, index);
            let deadline = runtime.block_on(stopped);
            let deadline = deadline.expect("a set tells its threads to end before it ends itself");
            end.0.end(Ok(runtime.shutdown(deadline)));
        };
        let thread = thread::Builder::new().name(self.name_of(index));
        let (handle, thread) = start(thread, self.settings(index), prepare, body)?;
        let end = Mutex::new(Some(End { report: RemoteJoinHandle::new(report), thread }));
        Ok(Member { handle, started: Some(Started { stop, end }) })
    }
}

/// What a set is to become.
struct Plan {
    threads: usize,
    /// The CPUs to pin the threads to; none where they are not to be pinned.
    cpus: Vec<usize>,
}

impl Plan {
    fn cpu(&self, index: usize) -> Option<usize> {
        let turn = index.checked_rem(self.cpus.len())?;
        Some(self.cpus[turn])
    }
}

/// Ends the threads that a set has started, whoever still holds the set.
struct EndOthers(Arc<Members>);

impl Drop for EndOthers {
    fn drop(&mut self) {
        self.0.end();
    }
}
