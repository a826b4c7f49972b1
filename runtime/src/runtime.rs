//! The runtime: it brings the executor, the timers and the driver together, turn by turn.

mod turn;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::builder::Builder;
use crate::cancel_scope;
use crate::context::{self, Current};
use crate::driver::Driver;
use crate::executor::Executor;
use crate::executor::waker::Entered;
use crate::handle::Handle;
use crate::kernel::choice::KernelKind;
use crate::kernel::sim::world::{self, Seated};
use crate::metrics::Metrics;
use crate::shutdown_report::ShutdownReport;
use crate::sim::Simulated;
use crate::spawn::spawn_on;
use crate::spin::Spin;
use crate::task::{JoinHandle, Origin};
use crate::timer::{Instant, Timers};

/// An async runtime for the thread that built it, on a ring of its own.
///
/// Dropping it ends its tasks, cancels their operations and waits, up to the
/// [deadline](Builder::shutdown_deadline), until the kernel has given every buffer back.
///
/// # Examples
///
/// ```
/// let runtime = quoit_runtime::Runtime::new()?;
/// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    core: Core,
}

/// What a runtime consists of; what the rest of the crate reaches through `context`.
pub(crate) struct Core {
    pub(crate) executor: Executor,
    pub(crate) driver: Rc<Driver>,
    pub(crate) timers: Rc<Timers>,
    /// The innermost cancel scope that is being polled.
    pub(crate) scope: cancel_scope::Current,
    poll_budget: usize,
    name: String,
    shutdown_deadline: Duration,
    /// Turns that may go by before the clock is read again.
    turns_to_clock: Cell<u32>,
    /// More timers are due than one turn fires.
    timers_due: Cell<bool>,
    /// When to look for something to do instead of sleeping.
    spin: Spin,
    /// Its place in a simulation.
    pub(crate) simulated: Option<Simulated>,
}

impl Runtime {
    pub(crate) fn from_core(core: Core) -> Self {
        Self { core }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// A runtime with the default settings.
    ///
    /// # Errors
    ///
    /// See [`Builder::build`].
    pub fn new() -> io::Result<Self> {
        Builder::new().build()
    }

    /// A builder for other settings.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to its end, and the tasks that are spawned meanwhile. Tasks that are left go on at the next call.
    ///
    /// The future may borrow and need not be `Send`.
    ///
    /// # Panics
    ///
    /// Inside of a runtime, with the caller's location; and with the future's own panic.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let running = self.core.enter();
        let _scheduled = self.core.simulated.as_ref().map(Simulated::schedule);
        self.core.driver.watch_over_lanes();
        let mut output = None;
        {
            let mut future = pin!(future);
            let waker = self.core.executor.root().waker();
            let mut cx = Context::from_waker(&waker);
            self.core.executor.wake(self.core.executor.root());
            // Whether it has ended.
            let mut poll = || {
                self.core.executor.budget.refill();
                if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                    output = Some(value);
                }
                output.is_some()
            };
            loop {
                let has_ended = self.core.executor.take_root_woken() && poll();
                if has_ended || self.core.turn(&mut poll) {
                    break;
                }
                if let Some(simulated) = &self.core.simulated {
                    simulated.let_others_run(&self.core);
                }
            }
        }
        drop(running);
        output.expect("it has ended")
    }

    /// Runs a future as a task, which goes on during the next [`block_on`](Self::block_on). See [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_as(Origin::here(), future)
    }

    pub(crate) fn spawn_as<F>(&self, origin: Origin, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn_on(&self.core.executor, origin, future)
    }

    /// A handle by which other threads give this runtime something to do.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.core.executor)
    }

    /// What the runtime has done, and what it holds.
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }

    /// The kernel that it stands on: never [`KernelKind::Auto`].
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::{KernelKind, Runtime};
    ///
    /// assert_ne!(Runtime::new()?.kernel(), KernelKind::Auto);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn kernel(&self) -> KernelKind {
        self.core.driver.kernel_kind()
    }

    /// The name that the builder was given.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Ends everything, and waits up to `deadline` until the kernel has given every buffer back.
    pub fn shutdown(self, deadline: Duration) -> ShutdownReport {
        self.core.shut_down(deadline)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let report = self.core.shut_down(self.core.shutdown_deadline);
        if report.operations_leaked > 0 {
            eprintln!("quoit: runtime {:?}: {report}", self.core.name);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("name", &self.core.name)
            .field("executor", &self.core.executor)
            .field("driver", &self.core.driver)
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(
        executor: Executor,
        driver: Rc<Driver>,
        poll_budget: usize,
        name: &str,
        shutdown_deadline: Duration,
        spin: Spin,
        simulated: Option<Simulated>,
    ) -> Self {
        Self {
            executor,
            driver,
            timers: Rc::new(Timers::new(simulated.is_some())),
            scope: cancel_scope::Current::default(),
            poll_budget,
            name: name.to_owned(),
            shutdown_deadline,
            turns_to_clock: Cell::new(0),
            timers_due: Cell::new(false),
            spin,
            simulated,
        }
    }

    /// Makes this the runtime of the thread.
    #[track_caller]
    fn enter(&self) -> Running<'_> {
        assert!(
            context::try_with(|_| ()).is_none(),
            "`block_on` was called inside of a runtime, which would stop everything else on this thread: await the future, \
             or `spawn` it",
        );
        self.enter_for_shutdown()
    }

    fn enter_for_shutdown(&self) -> Running<'_> {
        let was_running = self.driver.is_running();
        self.driver.set_running(true);
        let seat = self.simulated.as_ref().map(|simulated| Rc::clone(&simulated.seat));
        let running = Running {
            core: self,
            was_running,
            flushes: true,
            _current: Current::new(self),
            _entered: Entered::new(&self.executor),
            _seated: world::enter(seat),
        };
        if self.executor.readings.are_none() {
            self.read_clock();
        }
        running
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let (driver, executor) = (&self.driver.counters, &self.executor.counters);
        let (buffers, buffers_lent) = self.driver.buffers();
        let (gathers, vain_gathers) = self.driver.gathers();
        Metrics {
            enters: driver.enters.get(),
            sqes: driver.sqes.get(),
            cqes: driver.cqes.get(),
            attempts: driver.attempts.get(),
            vain_attempts: driver.vain_attempts.get(),
            polls: executor.polls.get(),
            parks: executor.parks.get(),
            spins: self.spin.spins.get(),
            vain_spins: self.spin.vain_spins.get(),
            gathers,
            vain_gathers,
            remote_wakes: executor.remote_wakes.get(),
            overflows: driver.overflows.get(),
            no_buffers: driver.no_buffers.get(),
            files_without_place: driver.files_without_place.get(),
            failed_closes: driver.failed_closes.get(),
            stale_completions: driver.stale_completions.get(),
            in_flight: self.driver.in_flight(),
            operations: self.driver.operations(),
            tasks: self.executor.tasks(),
            timers: self.timers.len(),
            registered_files: self.driver.registered_files(),
            buffers_lent,
            buffers,
        }
    }

    /// Drops the tasks, then ends the operations. Does nothing the second time.
    fn shut_down(&self, deadline: Duration) -> ShutdownReport {
        if self.executor.is_closing() {
            return ShutdownReport::default();
        }
        if let Some(simulated) = &self.simulated {
            simulated.end_others();
        }
        let running = self.enter_for_shutdown();
        let start = Instant::of_machine();
        let tasks_dropped = self.executor.shut_down();
        self.timers.close();
        let drained = self.driver.shut_down(deadline);
        let elapsed = Instant::of_machine().duration_since(start);
        drop(running);
        ShutdownReport {
            elapsed,
            tasks_dropped,
            operations_cancelled: drained.cancelled,
            operations_leaked: drained.leaked.len(),
            bytes_leaked: drained.leaked_bytes,
            leaked: drained.leaked,
            threads_left: 0,
        }
    }
}

/// While it lives, the runtime is the current one of the thread.
struct Running<'a> {
    core: &'a Core,
    was_running: bool,
    /// No turn follows.
    flushes: bool,
    _current: Current<'a>,
    _entered: Entered<'a>,
    _seated: Seated,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // What was pushed last, such as the close of a socket, is on its way before we return, or unwind.
        if self.flushes {
            self.core.driver.flush();
        }
        self.core.driver.set_running(self.was_running);
    }
}

/// Runs a future on a runtime with the default settings.
///
/// # Panics
///
/// Where the kernel refuses a ring, with the diagnosis; use [`Runtime::builder`] to handle that. And as
/// [`Runtime::block_on`].
///
/// # Examples
///
/// ```
/// assert_eq!(quoit_runtime::block_on(async { 6 * 7 }), 42);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// What the current runtime has done, and what it holds.
///
/// # Panics
///
/// Outside a runtime, with the caller's location.
///
/// # Examples
///
/// ```
/// let tasks = quoit_runtime::block_on(async { quoit_runtime::metrics().tasks });
/// assert_eq!(tasks, 0);
/// ```
#[track_caller]
pub fn metrics() -> Metrics {
    context::with(Core::metrics)
}
