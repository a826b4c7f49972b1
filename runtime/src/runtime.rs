//! The runtime: it brings the executor, the timers and the driver together, turn by turn.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::builder::Builder;
use crate::cancel_scope::Scope;
use crate::context::{self, Current};
use crate::driver::Driver;
use crate::executor::Executor;
use crate::executor::waker::Entered;
use crate::handle::Handle;
use crate::kernel::Wait;
use crate::kernel::choice::KernelKind;
use crate::kernel::sim::world::{self, Seated};
use crate::metrics::Metrics;
use crate::shutdown_report::ShutdownReport;
use crate::sim::Simulated;
use crate::spawn::spawn_on;
use crate::spin::{Spin, Spun};
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
    pub(crate) scope: Cell<Option<Rc<Scope>>>,
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
            scope: Cell::new(None),
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

    /// One turn, for who drives several runtimes on one thread.
    pub(crate) fn take_turn(&self) {
        let mut running = self.enter_for_shutdown();
        // What was pushed last waits for the next turn.
        running.flushes = false;
        self.turn(|| false);
    }

    /// Do what other threads ask, run ready tasks, fire due timers, enter the kernel, dispatch what it answers: each in
    /// bounded measure. The future of `block_on`, which `poll_root` polls, has its turn when no task is ready. Whether it has
    /// ended: the rest of the turn is left out then.
    fn turn(&self, mut poll_root: impl FnMut() -> bool) -> bool {
        // First, so that a task which was aborted from elsewhere is not polled once more.
        if self.executor.has_mail() {
            self.executor.open_mail();
        }
        let mut polls_left = self.executor.run(self.poll_budget);
        while polls_left > 0 && self.executor.take_root_woken() {
            if poll_root() {
                return true;
            }
            polls_left = self.executor.run(polls_left - 1);
        }
        self.executor.publish();
        self.fire_timers();
        let wait = self.how_long();
        if wait != Wait::No {
            self.executor.counters.parks.add(1);
        }
        // With tasks ready and nothing to tell the kernel or to hear from it, there is no reason to enter.
        let heard = self.driver.counters.cqes.get();
        if wait != Wait::No || self.driver.wants_entry() {
            self.enter_kernel(wait);
        }
        if wait != Wait::No {
            self.executor.remote().woke_up();
            // Nobody has anything to do, nor to say: a clock that stands moves on.
            let is_idle = !self.timers.is_busy_elsewhere() && !self.executor.has_ready() && !self.executor.has_mail();
            if is_idle && self.driver.counters.cqes.get() == heard {
                self.timers_due.set(self.timers.move_on());
            }
            // In exchange for the look before the sleep, which `how_long` saves. Without timers nobody looks.
            if !self.timers.is_empty() {
                self.read_clock();
            }
        }
        self.executor.wake_deferred();
        false
    }

    fn enter_kernel(&self, wait: Wait) {
        let asleep = (self.spin.is_on() && wait != Wait::No).then(Instant::of_machine);
        self.driver.turn(wait);
        self.turns_to_clock.set(0);
        if let Some(start) = asleep {
            self.spin.slept(Instant::of_machine().duration_since(start));
        }
    }

    /// Looks at the clock. Tasks are stamped with what it showed last.
    pub(crate) fn read_clock(&self) -> Instant {
        let now = self.timers.clock().now();
        self.executor.readings.record(now);
        now
    }

    /// Fires the timers that are due. The clock is read after each entry, and between entries now and then.
    fn fire_timers(&self) {
        if self.timers.is_empty() {
            return self.timers_due.set(false);
        }
        match self.turns_to_clock.get() {
            0 => {
                self.turns_to_clock.set(TURNS_PER_CLOCK);
                self.timers_due.set(self.timers.fire(self.read_clock()));
            }
            left => self.turns_to_clock.set(left - 1),
        }
        if self.timers_due.get() {
            self.turns_to_clock.set(0);
        }
    }

    /// How long the kernel may let us sleep. Whatever the answer but `No`, the inbox knows that we are about to.
    fn how_long(&self) -> Wait {
        if self.executor.has_ready() || self.timers_due.get() || self.driver.must_hear() {
            return Wait::No;
        }
        let wait = match self.timers.until_next(|| self.now_before_sleep()) {
            Some(Duration::ZERO) => {
                // Due by now: the next turn looks at the clock.
                self.turns_to_clock.set(0);
                return Wait::No;
            }
            // The clock stands: it is to be moved, but what is under way may complete before.
            Some(_) if self.timers.clock().stands() => match self.driver.in_flight() {
                0 if !self.timers.is_busy_elsewhere() => Wait::For(Duration::ZERO),
                _ => Wait::For(MOST_UNDER_WAY),
            },
            Some(left) => Wait::For(left),
            None => Wait::Forever,
        };
        let Some(wait) = self.spin_before(wait) else { return Wait::No };
        if self.executor.remote().prepare_sleep() { wait } else { Wait::No }
    }

    /// Looks for something to do for a while, if the wait is likely to be short. `None` where there is something, else how long
    /// is left to wait.
    fn spin_before(&self, wait: Wait) -> Option<Wait> {
        if !self.spin.is_due() || self.timers.clock().stands() {
            return Some(wait);
        }
        if self.driver.has_staged() {
            // What is waited for may not have been asked yet: it is submitted first.
            return None;
        }
        let left = if let Wait::For(left) = wait { Some(left) } else { None };
        match self.spin.spin(left, || self.driver.has_news() || self.executor.has_mail()) {
            Spun::Found => {
                // A timer, perhaps.
                self.turns_to_clock.set(0);
                None
            }
            Spun::InVain(spun) => Some(left.map_or(wait, |left| Wait::For(left.saturating_sub(spun)))),
        }
    }

    /// What the clock shows now, or showed a moment ago when timers were fired in this turn.
    fn now_before_sleep(&self) -> Instant {
        let has_just_looked = self.turns_to_clock.get() == TURNS_PER_CLOCK && !self.timers.clock().stands();
        if has_just_looked { self.executor.readings.last() } else { self.read_clock() }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let (driver, executor) = (&self.driver.counters, &self.executor.counters);
        let (buffers, buffers_lent) = self.driver.buffers();
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
            remote_wakes: executor.remote_wakes.get(),
            overflows: driver.overflows.get(),
            no_buffers: driver.no_buffers.get(),
            failed_closes: driver.failed_closes.get(),
            stale_completions: driver.stale_completions.get(),
            in_flight: self.driver.in_flight(),
            operations: self.driver.operations(),
            tasks: self.executor.tasks(),
            timers: self.timers.len(),
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

/// Turns without an entry between two looks at the clock.
const TURNS_PER_CLOCK: u32 = 16;
/// How long operations in flight have before a clock that stands moves on; for work of other threads it does so again and
/// again.
const MOST_UNDER_WAY: Duration = Duration::from_millis(1);
