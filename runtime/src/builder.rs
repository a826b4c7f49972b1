//! The knobs of a runtime, each with the reason to touch it.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::buf::PoolConfig;
use crate::driver::Driver;
use crate::executor::Executor;
use crate::kernel::Kernel;
use crate::kernel::choice::KernelKind;
use crate::kernel::setup::SetupRequest;
use crate::kernel::sim::{HostId, Sim};
use crate::runtime::{Core, Runtime};
use crate::sim::{Simulated, Simulation};
use crate::spin::Spin;

/// Builds a [`Runtime`] with other than the default settings. Made by [`Runtime::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let runtime = quoit_runtime::Runtime::builder()
///     .entries(64)
///     .buffer_pool(16, 4096)
///     .shutdown_deadline(Duration::from_millis(500))
///     .build()?;
/// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    entries: u32,
    completion_entries: Option<u32>,
    kernel: KernelKind,
    sqpoll: Option<Duration>,
    spin: Duration,
    gather: (usize, Duration),
    pool_buffers: usize,
    pool_bytes: usize,
    registered_files: u16,
    poll_budget: usize,
    name: String,
    pub(crate) shutdown_deadline: Duration,
    close_deadline: Duration,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            entries: 256,
            completion_entries: None,
            kernel: KernelKind::Auto,
            sqpoll: None,
            spin: Duration::ZERO,
            gather: (0, Duration::ZERO),
            pool_buffers: 4096,
            pool_bytes: 8 << 10,
            registered_files: 1024,
            poll_budget: 256,
            name: String::from("quoit"),
            shutdown_deadline: Duration::from_secs(1),
            close_deadline: Duration::from_secs(10),
        }
    }

    /// Places in the submission queue; 256 by default, rounded up to a power of two. More let one system call submit more
    /// operations. A full queue refuses nothing: the rest waits in a list of our own and costs another system call.
    pub fn entries(&mut self, entries: u32) -> &mut Self {
        self.entries = entries;
        self
    }

    /// Places in the completion queue; four times the entries by default. More where many completions arrive at once:
    /// a queue that runs over loses nothing, but ends multishot operations, which then have to be armed again.
    pub fn completion_entries(&mut self, entries: u32) -> &mut Self {
        self.completion_entries = Some(entries);
        self
    }

    /// The kernel to stand on; [`KernelKind::Auto`] by default. Name one to compare them, or to be told of a refusal rather
    /// than to go on without io_uring.
    pub fn kernel(&mut self, kernel: KernelKind) -> &mut Self {
        self.kernel = kernel;
        self
    }

    /// Has a kernel thread look for submissions, which goes to sleep after this long without any. It takes a core for
    /// itself; off by default. Means nothing on other kernels than io_uring.
    pub fn sqpoll(&mut self, idle: Duration) -> &mut Self {
        self.sqpoll = Some(idle);
        self
    }

    /// How long a thread that has run out of things to do goes on looking before it sleeps; not at all by default. To wake a
    /// thread that sleeps takes the kernel tens of microseconds, which a server that answers few clients at a time pays for each
    /// message. Some 50 us save most of that, where the thread has a CPU to itself.
    ///
    /// It looks only where waits have turned out to be short of late, so that a process which is idle uses no CPU. Timers are
    /// as exact as ever. Means nothing on other kernels than io_uring.
    pub fn spin(&mut self, most: Duration) -> &mut Self {
        self.spin = most;
        self
    }

    /// Where many completions come, lets a thread that has run out of things to do sleep until so many are there, but no longer
    /// than so; not at all by default. A server with many clients then enters the kernel once for many of their messages, and
    /// is woken less often. 64 completions and 100 us are worth a try where clients don't depend on each other, and work counts for
    /// more than the last tenth of a millisecond of an answer; clients that move in step lose by it.
    ///
    /// How many are waited for follows how many came of late. Where few come at a time, each is heard of at once, but for one
    /// in some hundreds, by which the runtime finds out whether that has changed. Timers are as exact as ever. Wakes by
    /// other threads are completions like others, so a thread that gathers may hear of them later by the whole time: keep that short.
    /// Means nothing on other kernels than io_uring, nor before Linux 6.12, nor with [`sqpoll`](Self::sqpoll).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = quoit_runtime::Runtime::builder().gather(64, Duration::from_micros(100)).build()?;
    /// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn gather(&mut self, most: usize, time: Duration) -> &mut Self {
        self.gather = (most, time);
        self
    }

    /// The most buffers that the pool for receives may grow to, and the bytes of each; 4096 buffers of 8 KiB by default.
    /// The pool begins small and doubles when it runs dry. At least as many buffers as connections that are active at
    /// once are best. When all are in use, receives go on with memory of their own, more slowly. What it has grown to it
    /// keeps until the runtime ends.
    ///
    /// Streams that bring more at once than such a buffer holds get large ones, of 64 KiB, for as long as they do so. There may
    /// be as many as take half of this memory: 256 by default, and none where that would be fewer than 8. They are made when
    /// the first stream wants them.
    pub fn buffer_pool(&mut self, count: usize, bytes: usize) -> &mut Self {
        self.pool_buffers = count;
        self.pool_bytes = bytes;
        self
    }

    /// The most files that are kept in a table of the ring's, where each read of one costs less; 1024 by default, some 65,000 at
    /// most. A file gets there by being read often, if it is open to be read only and holds no lock. When the table is full,
    /// others do without.
    ///
    /// The table is one more owner of the open file until that is closed here, or the runtime ends. Only where the process ends
    /// without either (killed, or by `exit`), the kernel lets go of it some tens of milliseconds later. 0 where that would matter:
    /// where a file system is unmounted right behind it, or locks are taken on such files and waited for by others.
    pub fn registered_files(&mut self, most: u16) -> &mut Self {
        self.registered_files = most;
        self
    }

    /// Tasks that are polled before the runtime looks at the kernel again; 256 by default. Fewer make for an earlier look,
    /// more for fewer system calls.
    pub fn poll_budget(&mut self, polls: usize) -> &mut Self {
        self.poll_budget = polls;
        self
    }

    /// A name for reports; "quoit" by default.
    pub fn name(&mut self, name: &str) -> &mut Self {
        name.clone_into(&mut self.name);
        self
    }

    /// How long dropping the runtime waits for the kernel to give memory back; 1 s by default. What the kernel keeps longer
    /// is leaked.
    pub fn shutdown_deadline(&mut self, deadline: Duration) -> &mut Self {
        self.shutdown_deadline = deadline;
        self
    }

    /// How long writes that had begun may go on after the last handle of their socket was dropped; 10 s by default.
    pub fn close_deadline(&mut self, deadline: Duration) -> &mut Self {
        self.close_deadline = deadline;
        self
    }

    /// Builds the runtime, for the thread that calls.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where a setting makes no sense. Where the kernel refuses io_uring: `PermissionDenied`, `Unsupported`
    /// or `OutOfMemory`; the text names the cause and the fix. [`KernelKind::Auto`] goes on with epoll in the first two cases.
    pub fn build(&self) -> io::Result<Runtime> {
        let request =
            SetupRequest { entries: self.entries, completion_entries: self.completion_entries, sqpoll: self.sqpoll };
        self.check()?;
        let kernel = Kernel::of(self.kernel, &request)?;
        let simulation = kernel.seat().map(|seat| Simulation::new(&seat));
        self.build_on(kernel, simulation)
    }

    /// Builds the runtime of another machine of a world.
    pub(crate) fn build_in(&self, simulation: Rc<Simulation>, host: HostId) -> io::Result<Runtime> {
        let seat = simulation.world().seat(host, self.entries, self.completion_entries);
        self.build_on(Kernel::Sim(Sim::new(seat)), Some(simulation))
    }

    fn build_on(&self, mut kernel: Kernel, simulation: Option<Rc<Simulation>>) -> io::Result<Runtime> {
        let simulated = kernel.seat().zip(simulation).map(|(seat, simulation)| Simulated { seat, simulation });
        let (mut executor, doorbell) = Executor::new()?;
        if let Some(simulated) = &simulated {
            executor.choose_by(Rc::clone(&simulated.seat));
        }
        let (most, time) = self.gather;
        kernel.gather(u32::try_from(most).unwrap_or(u32::MAX), u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
        let driver = Driver::new(kernel, self.pool_config()?, self.registered_files, self.close_deadline);
        driver.watch(doorbell);
        let spin = Spin::new(if driver.shows_news() { self.spin } else { Duration::ZERO });
        let core = Core::new(executor, driver, self.poll_budget, &self.name, self.shutdown_deadline, spin, simulated);
        Ok(Runtime::from_core(core))
    }

    /// Whether the settings make sense.
    fn check(&self) -> io::Result<()> {
        if self.poll_budget == 0 {
            return Err(invalid("poll_budget(0): no task would ever run"));
        }
        self.pool_config().map(drop)
    }

    fn pool_config(&self) -> io::Result<PoolConfig> {
        let cap = u16::try_from(self.pool_buffers).ok().filter(|cap| (1..=MOST_BUFFERS).contains(cap));
        let cap = cap.ok_or_else(|| invalid("buffer_pool: from 1 to 32768 buffers"))?;
        let bytes = u32::try_from(self.pool_bytes).ok().filter(|bytes| (1..=MOST_BYTES).contains(bytes));
        let bytes = bytes.ok_or_else(|| invalid("buffer_pool: from 1 byte to 16 MiB in a buffer"))?;
        Ok(PoolConfig { group: 0, initial: cap.min(FIRST_BUFFERS), cap, bytes })
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Buffers that a pool begins with.
const FIRST_BUFFERS: u16 = 64;
/// As many as a buffer ring may have.
const MOST_BUFFERS: u16 = 1 << 15;
/// A larger buffer serves no socket.
const MOST_BYTES: u32 = 16 << 20;
