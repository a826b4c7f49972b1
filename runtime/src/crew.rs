//! Threads that serve the whole process with calls that block: as many as there is work for, up to a bound, and none for long
//! where there is none.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Threads for one kind of work.
pub(crate) struct Crew<W> {
    plan: Plan<W>,
    state: Mutex<State<W>>,
    /// Work has come.
    bell: Condvar,
}

/// What a crew is for.
pub(crate) struct Plan<W> {
    /// The name of each thread.
    pub(crate) name: &'static str,
    /// More work than this at once waits its turn.
    pub(crate) most_threads: usize,
    /// What a thread does first.
    pub(crate) begin: fn(),
    /// What it does with a piece of work. Does not panic.
    pub(crate) perform: fn(W),
}

struct State<W> {
    work: VecDeque<W>,
    threads: usize,
    /// How many of them wait for work, or have just been woken for it.
    idle: usize,
}

impl<W: Send> Crew<W> {
    pub(crate) const fn new(plan: Plan<W>) -> Self {
        let state = State { work: VecDeque::new(), threads: 0, idle: 0 };
        Self { plan, state: Mutex::new(state), bell: Condvar::new() }
    }

    /// Has a thread do this.
    ///
    /// # Errors
    ///
    /// Why no thread could be started, where there is none. Else those that are there will come to it.
    pub(crate) fn submit(&'static self, work: W) -> io::Result<()> {
        let mut state = self.lock();
        state.work.push_back(work);
        if state.idle >= state.work.len() {
            self.bell.notify_one();
            return Ok(());
        }
        if state.threads == self.plan.most_threads {
            return Ok(());
        }
        let started = thread::Builder::new().name(self.plan.name.to_owned()).spawn(|| self.serve());
        match started {
            Ok(_detached) => state.threads += 1,
            Err(error) if state.threads == 0 => {
                let refused = state.work.pop_back();
                // Its destructor may be anybody's.
                drop(state);
                drop(refused);
                return Err(error);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn serve(&self) {
        (self.plan.begin)();
        let mut state = self.lock();
        loop {
            if let Some(work) = state.work.pop_front() {
                drop(state);
                (self.plan.perform)(work);
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (woken, timeout) = self.bell.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.work.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a thread waits for work before it goes.
const PATIENCE: Duration = Duration::from_secs(5);
