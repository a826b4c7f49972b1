//! The turn of a runtime: tasks, timers, then the kernel, and how long that may let the thread sleep.

use std::time::Duration;

use crate::kernel::Wait;
use crate::runtime::Core;
use crate::spin::Spun;
use crate::timer::Instant;

impl Core {
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
    pub(super) fn turn(&self, mut poll_root: impl FnMut() -> bool) -> bool {
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
                self.timers_due.set(self.timers.move_on(|due| self.executor.wake_all(due)));
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
                self.timers_due.set(self.timers.fire(self.read_clock(), |due| self.executor.wake_all(due)));
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
}

/// Turns without an entry between two looks at the clock.
const TURNS_PER_CLOCK: u32 = 16;
/// How long operations in flight have before a clock that stands moves on; for work of other threads it does so again and
/// again.
const MOST_UNDER_WAY: Duration = Duration::from_millis(1);
