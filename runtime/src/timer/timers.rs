//! The wheel of a runtime, and a timer in it.
//!
//! A timer costs no entry and no system call: its deadline goes into the wheel, and the nearest one of the wheel bounds how
//! long the thread sleeps in the kernel. A tick is 2^16 ns, some 66 us: far below what a sleeping thread takes to wake, and
//! coarse enough that timers which are due together are found together.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::context;
use crate::driver::shield;
use crate::executor::waker::{TaskKey, clone_of, drop_waker};
use crate::timer::Instant;
use crate::timer::clock::Clock;
use crate::timer::wheel::{TimerKey, Wheel};

/// The timers of one runtime.
pub(crate) struct Timers {
    clock: Clock,
    /// Who waits, and until when, to the nanosecond.
    wheel: RefCell<Wheel<Waker>>,
    /// A tick of the wheel is 2 to this power of nanoseconds, while the clock runs.
    running_tick_bits: u32,
    /// Who waits for a deadline that has passed; kept for its capacity.
    due: Cell<Vec<Waker>>,
    /// The runtime is gone: nothing in this wheel fires, and nothing is put into it.
    closed: Cell<bool>,
    /// Shared by the work that other threads do for this runtime; its count says how much that is.
    elsewhere: Arc<()>,
}

impl Timers {
    /// `is_exact`: deadlines are kept to the nanosecond, as for a simulated machine, whose clock is as exact.
    pub(crate) fn new(is_exact: bool) -> Self {
        let running_tick_bits = if is_exact { 0 } else { TICK_BITS };
        Self {
            clock: Clock::new(),
            wheel: RefCell::new(Wheel::new(running_tick_bits)),
            running_tick_bits,
            due: Cell::new(Vec::new()),
            closed: Cell::new(false),
            elsewhere: Arc::new(()),
        }
    }

    /// For work that another thread does for this runtime: a clock that stands does not move on before this is dropped.
    pub(crate) fn elsewhere(&self) -> impl Send + use<> {
        Arc::clone(&self.elsewhere)
    }

    /// Whether other threads work for this runtime. What they told it before they ended is to be seen after a *no*.
    pub(crate) fn is_busy_elsewhere(&self) -> bool {
        let count = Arc::strong_count(&self.elsewhere);
        fence(Ordering::Acquire);
        count > 1
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn len(&self) -> usize {
        self.wheel.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wheel.borrow().is_empty()
    }

    /// The tasks that wait for deadlines, the earliest first.
    pub(crate) fn waiting_tasks(&self) -> Vec<(Instant, TaskKey)> {
        let wheel = self.wheel.borrow();
        let tasks =
            wheel.entries().filter_map(|(nanos, waker)| Some((Instant::from_nanos(nanos), TaskKey::of_waker(waker)?)));
        let mut tasks: Vec<_> = tasks.collect();
        tasks.sort_by_key(|(deadline, task)| (*deadline, task.bits()));
        tasks
    }

    /// Wakes who waits for a deadline that has passed, the earliest first, a bounded number. Whether more are due.
    pub(crate) fn fire(&self, now: Instant, wake_all: impl FnOnce(&mut Vec<Waker>)) -> bool {
        self.fire_some(now, wake_all).1
    }

    /// How many were woken, and whether more are due.
    fn fire_some(&self, now: Instant, wake_all: impl FnOnce(&mut Vec<Waker>)) -> (usize, bool) {
        let mut due = self.due.take();
        let more = self.wheel.borrow_mut().advance(now.nanos(), MOST_AT_ONCE, &mut due);
        let count = due.len();
        wake_all(&mut due);
        debug_assert!(due.is_empty(), "whoever is woken is woken now");
        self.due.set(due);
        (count, more)
    }

    /// How long a thread may sleep, if it is `now`.
    pub(crate) fn until_next(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let next =
            if self.is_exact() { self.next() } else { self.wheel.borrow().next_batch().map(Instant::from_nanos) };
        Some(next?.saturating_duration_since(now()))
    }

    /// When there is something to do: the next deadline, or an earlier time at which the wheel has to be looked after.
    fn next(&self) -> Option<Instant> {
        let wheel = self.wheel.borrow();
        // A simulated machine sleeps until its deadline in one go.
        let is_simulated = self.running_tick_bits == 0;
        let next = if is_simulated { wheel.earliest() } else { wheel.next_time() };
        next.map(Instant::from_nanos)
    }

    /// Deadlines are kept to the nanosecond.
    fn is_exact(&self) -> bool {
        self.running_tick_bits == 0 || self.clock.stands()
    }

    /// Stops the clock, and goes over to ticks of a nanosecond: a time that stands is told exactly. Whether it was running.
    pub(super) fn pause(&self) -> bool {
        let was_running = !self.clock.stands();
        if was_running {
            self.clock.stop();
            self.set_tick_bits(0);
        }
        was_running
    }

    /// Lets the clock run on. Whether it stood.
    pub(super) fn resume(&self) -> bool {
        let has_stood = self.clock.stands();
        if has_stood {
            self.clock.start();
            self.set_tick_bits(self.running_tick_bits);
        }
        has_stood
    }

    fn set_tick_bits(&self, bits: u32) {
        self.wheel.borrow_mut().rescale(self.clock.now().nanos(), bits);
    }

    /// A clock that stands is moved to the next deadline, since nothing else can happen before, and who waits for that is
    /// woken. Whether more are due.
    pub(crate) fn move_on(&self, wake_all: impl Fn(&mut Vec<Waker>)) -> bool {
        while self.clock.stands()
            && let Some(next) = self.next()
        {
            self.clock.move_to(next);
            let (woken, more) = self.fire_some(self.clock.now(), &wake_all);
            // Else it was only the wheel that had to be looked after.
            if woken > 0 || more {
                return more;
            }
        }
        false
    }

    /// Whether the deadline has passed, see [`Clock::shows`]; by the machine's clock where the runtime is gone.
    #[inline]
    fn shows(&self, deadline: Instant) -> bool {
        if self.closed.get() { Instant::now() >= deadline } else { self.clock.shows(deadline) }
    }

    /// The runtime is gone: drops the wakers of all timers. One that is polled on another runtime goes on there.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let wheel = self.wheel.replace(Wheel::new(self.running_tick_bits));
        shield(|| drop(wheel));
    }
}

/// One deadline of the current runtime: the stuff that sleeps and timeouts are made of.
///
/// It is not in the wheel before it is polled. Dropping it takes it out; both cost a few loads and stores.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quoit_runtime::timer::{Instant, Timer};
///
/// quoit_runtime::Runtime::new()?.block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(1);
///     let mut timer = Timer::new(deadline);
///     std::future::poll_fn(|cx| timer.poll_elapsed(cx)).await;
///     assert!(Instant::now() >= deadline);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Timer {
    timers: Rc<Timers>,
    deadline: Instant,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Not in the wheel.
    Idle,
    /// In the wheel, until that fires it.
    Waiting(TimerKey),
    /// The deadline has passed.
    Elapsed,
}

impl Timer {
    /// A timer of the current runtime. [`Instant::NEVER`] is a deadline that does not come.
    ///
    /// # Panics
    ///
    /// Outside a runtime, with the caller's location.
    #[track_caller]
    pub fn new(deadline: Instant) -> Self {
        Self::of(context::with(|core| Rc::clone(&core.timers)), deadline)
    }

    pub(super) fn of(timers: Rc<Timers>, deadline: Instant) -> Self {
        Self { timers, deadline, state: State::Idle }
    }

    /// When it is due.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sets another deadline, and forgets that the earlier one has passed. Whoever waits has to poll again.
    pub fn reset(&mut self, deadline: Instant) {
        self.leave();
        self.deadline = deadline;
    }

    /// The deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        match self.state {
            State::Waiting(key) if !self.timers.closed.get() => {
                self.timers.wheel.borrow_mut().payload_mut(key, self.deadline.nanos()).is_none()
            }
            State::Idle | State::Waiting(_) => self.is_due(),
            State::Elapsed => true,
        }
    }

    /// Ready once the deadline has passed, from then on at every call; never early.
    ///
    /// # Panics
    ///
    /// Where the timer's runtime is gone and there is no other one.
    pub fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.state, State::Elapsed) {
            self.follow_runtime();
        }
        match self.state {
            State::Idle if self.deadline.is_never() => Poll::Pending,
            State::Idle if self.timers.shows(self.deadline) => self.elapsed(),
            _ => self.poll_fired(cx),
        }
    }

    /// Ready once the wheel has fired it; one that is due at its first poll takes its turn among the others.
    #[inline]
    pub(super) fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = match self.state {
            State::Elapsed => return Poll::Ready(()),
            State::Idle => {
                let waker = clone_of(cx.waker());
                let key = self.timers.wheel.borrow_mut().insert(self.deadline.nanos(), waker);
                self.state = State::Waiting(key);
                return Poll::Pending;
            }
            State::Waiting(key) => key,
        };
        let mut wheel = self.timers.wheel.borrow_mut();
        match wheel.payload_mut(waiting, self.deadline.nanos()) {
            None => {
                drop(wheel);
                return self.elapsed();
            }
            Some(known) if known.will_wake(cx.waker()) => return Poll::Pending,
            Some(_) => drop(wheel),
        }
        // Another waker: cloned and dropped with the wheel released, as it may be anybody's code.
        let mut waker = cx.waker().clone();
        if let Some(known) = self.timers.wheel.borrow_mut().payload_mut(waiting, self.deadline.nanos()) {
            std::mem::swap(known, &mut waker);
        }
        drop(waker);
        Poll::Pending
    }

    /// By the clock of its runtime, or by ours where that is gone.
    fn is_due(&self) -> bool {
        let now = if self.timers.closed.get() { Instant::now() } else { self.timers.clock.now() };
        !self.deadline.is_never() && now >= self.deadline
    }

    /// Moves to the wheel of the runtime that polls: that of another one may stand still, or be gone.
    fn follow_runtime(&mut self) {
        let is_at_home = context::try_with(|core| Rc::ptr_eq(&core.timers, &self.timers));
        if is_at_home.unwrap_or(!self.timers.closed.get()) {
            return;
        }
        self.leave();
        self.timers = context::with(|core| Rc::clone(&core.timers));
    }

    fn elapsed(&mut self) -> Poll<()> {
        self.state = State::Elapsed;
        Poll::Ready(())
    }

    /// Leaves the wheel.
    #[inline]
    fn leave(&mut self) {
        // A key of the old wheel means nothing to the one that took its place.
        if let State::Waiting(key) = std::mem::replace(&mut self.state, State::Idle)
            && !self.timers.closed.get()
        {
            let waker = self.timers.wheel.borrow_mut().cancel(key, self.deadline.nanos());
            if let Some(waker) = waker {
                drop_waker(waker);
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("deadline", &self.deadline).field("is_elapsed", &self.is_elapsed()).finish()
    }
}

/// A tick is 2 to this power of nanoseconds, while the clock runs.
const TICK_BITS: u32 = 16;
/// Timers fired in one turn.
const MOST_AT_ONCE: usize = 512;
