//! Threads for calls that block, such as name resolution: they never hold up the thread of a ring.
//!
//! One pool serves the whole process. It grows with the work up to a cap, beyond which work queues; a thread without work
//! goes away after a while.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::driver::shield;

/// Runs `work` on a thread where it may block. The future gives its result, on whatever executor.
///
/// # Cancel safety
///
/// Dropping the future does not stop the work; its result is dropped on the thread that made it.
///
/// # Panics
///
/// Awaiting it goes on with the panic of `work`, or panics where no thread could be started.
///
/// # Examples
///
/// ```
/// quoit_runtime::block_on(async {
///     let name = quoit_runtime::blocking::run(|| std::fs::read_to_string("/proc/self/comm")).await;
///     assert!(name.is_ok());
/// });
/// ```
pub fn run<T, F>(work: F) -> Blocking<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let answer = Arc::new(Mutex::new(Answer { result: None, waker: None }));
    let theirs = Arc::clone(&answer);
    POOL.submit(Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        let mut answer = lock(&theirs);
        answer.result = Some(result);
        let waker = answer.waker.take();
        drop(answer);
        // If nobody waits any more, the result dies here, before the waker could tell anybody of it.
        drop(theirs);
        if let Some(waker) = waker {
            waker.wake();
        }
    }));
    Blocking { answer }
}

/// The future of a result that another thread makes. Made by [`run`].
#[derive(Debug)]
#[must_use = "the work goes on, but its result is lost unless it is awaited"]
pub struct Blocking<T> {
    answer: Arc<Mutex<Answer<T>>>,
}

#[derive(Debug)]
struct Answer<T> {
    result: Option<thread::Result<T>>,
    waker: Option<Waker>,
}

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let fresh = cx.waker().clone();
        let mut answer = lock(&self.answer);
        match answer.result.take() {
            Some(result) => {
                drop(answer);
                Poll::Ready(result.unwrap_or_else(|payload| resume_unwind(payload)))
            }
            None => {
                let stale = answer.waker.replace(fresh);
                drop(answer);
                drop(stale);
                Poll::Pending
            }
        }
    }
}

struct Pool {
    state: Mutex<State>,
    /// Work has come.
    bell: Condvar,
}

struct State {
    work: VecDeque<Box<dyn FnOnce() + Send>>,
    threads: usize,
    idle: usize,
}

static POOL: Pool =
    Pool { state: Mutex::new(State { work: VecDeque::new(), threads: 0, idle: 0 }), bell: Condvar::new() };

impl Pool {
    fn submit(&'static self, work: Box<dyn FnOnce() + Send>) {
        let mut state = lock(&self.state);
        state.work.push_back(work);
        if state.idle >= state.work.len() {
            self.bell.notify_one();
        } else if state.threads < MOST_THREADS {
            state.threads += 1;
            let started = thread::Builder::new().name(String::from("quoit-blocking")).spawn(|| self.serve());
            if let Err(error) = started {
                state.threads -= 1;
                // The threads that are there will come to it; without any, nobody would.
                assert!(state.threads > 0, "no thread could be started for blocking work: {error}");
            }
        }
    }

    fn serve(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(work) = state.work.pop_front() {
                drop(state);
                // The work catches its own panic; a destructor of its result, or a waker, may still throw another.
                shield(work);
                state = lock(&self.state);
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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More work than this at once waits its turn.
const MOST_THREADS: usize = 64;
/// How long a thread waits for work before it goes.
const PATIENCE: Duration = Duration::from_secs(5);
