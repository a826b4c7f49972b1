//! The cell between work on one thread and those who wait for it on others.
//!
//! ```text
//!            begin                end                take
//!   Queued ─────────> Running ─────────> Ended ─────────────> Taken
//!      │                 ^
//!      └─ abort, refuse ─┘ without the work: it is dropped, and then the cell ends as cancelled
//! ```
//!
//! The work waits in the cell and not in the queue that leads to it, so that an abort can take it out at once, wherever the
//! queue's end may be. Every way out ends the cell: work that is refused, aborted, or forgotten by its thread's end answers
//! *cancelled*, so whoever waits for it never hangs.
//!
//! Nothing of the user's runs under the lock (I8): work, outputs and wakers are moved out first.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::driver::{shield, wake};
use crate::executor;
use crate::shim::{Mutex, lock};
use crate::task::{Id, JoinError};

/// What a thread does when the work's turn has come. It brings the cell to its end, at once or later.
pub(crate) type Work<T> = Box<dyn FnOnce(&Arc<RemoteCell<T>>) + Send>;

pub(crate) struct RemoteCell<T> {
    id: Id,
    /// Where the work was given.
    location: &'static Location<'static>,
    state: Mutex<State<T>>,
}

struct State<T> {
    stage: Stage<T>,
    /// It was aborted: work that becomes a task afterwards is to end.
    aborted: bool,
    /// Nobody will take the output.
    detached: bool,
    /// Who waits for the output.
    joiner: Option<Waker>,
}

enum Stage<T> {
    Queued(Work<T>),
    /// By this key the executor knows its task, if it is one.
    Running(Option<u64>),
    Ended(Result<T, JoinError>),
    Taken,
}

impl<T> RemoteCell<T> {
    pub(crate) fn new(id: Id, location: &'static Location<'static>, work: Work<T>) -> Arc<Self> {
        Self::at(id, location, Stage::Queued(work))
    }

    /// For work that needs no queue. Whoever does it ends the cell, see [`EndOnDrop`].
    pub(crate) fn running(id: Id, location: &'static Location<'static>) -> Arc<Self> {
        Self::at(id, location, Stage::Running(None))
    }

    fn at(id: Id, location: &'static Location<'static>, stage: Stage<T>) -> Arc<Self> {
        let state = State { stage, aborted: false, detached: false, joiner: None };
        Arc::new(Self { id, location, state: Mutex::new(state) })
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(lock(&self.state).stage, Stage::Ended(_) | Stage::Taken)
    }

    /// Does the work, unless it was aborted.
    pub(crate) fn begin(self: &Arc<Self>) {
        let work = lock(&self.state).take_work();
        if let Some(work) = work {
            work(self);
        }
    }

    /// The work has become a task: from now on, that is what an abort ends.
    pub(crate) fn became_task(&self, key: u64) {
        let mut state = lock(&self.state);
        if let Stage::Running(task) = &mut state.stage {
            *task = Some(key);
        }
        let aborted = state.aborted;
        drop(state);
        if aborted {
            executor::abort(key, self.id);
        }
    }

    /// Ends work that has not begun, asks a task to end, and leaves other work alone.
    pub(crate) fn abort(&self) {
        // One look: work that is begun meanwhile finds the note, or is taken out here.
        let mut state = lock(&self.state);
        state.aborted = true;
        let task = if let Stage::Running(task) = state.stage { task } else { None };
        let work = state.take_work();
        drop(state);
        self.drop_work(work);
        if let Some(key) = task {
            executor::abort(key, self.id);
        }
    }

    /// Ends work that has not begun, and never will.
    pub(crate) fn refuse(&self) {
        let work = lock(&self.state).take_work();
        self.drop_work(work);
    }

    /// Ends as cancelled, if this is the work that was taken out.
    fn drop_work(&self, work: Option<Work<T>>) {
        if let Some(work) = work {
            // Before its end shows, so that whoever joins finds everything released.
            shield(|| drop(work));
            self.end(Err(JoinError::cancelled(self.id)));
        }
    }

    /// The work has ended. Does nothing the second time.
    pub(crate) fn end(&self, output: Result<T, JoinError>) {
        let mut state = lock(&self.state);
        let mut unwanted = None;
        let mut joiner = None;
        if !matches!(state.stage, Stage::Running(_)) || state.detached {
            unwanted = Some(output);
        } else {
            state.stage = Stage::Ended(output);
            joiner = state.joiner.take();
        }
        drop(state);
        shield(|| drop(unwanted));
        if let Some(joiner) = joiner {
            wake(joiner);
        }
    }

    /// The output, when it is there; else who waits for it is remembered, in the place of whoever waited before.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let mut state = lock(&self.state);
        if let Some(output) = state.take() {
            return Poll::Ready(output);
        }
        if state.joiner.as_ref().is_some_and(|joiner| joiner.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        // Cloning and dropping wakers is somebody else's code.
        drop(state);
        let fresh = cx.waker().clone();
        let mut state = lock(&self.state);
        let output = state.take();
        let unused = if output.is_none() { state.joiner.replace(fresh) } else { Some(fresh) };
        drop(state);
        drop(unused);
        output.map_or(Poll::Pending, Poll::Ready)
    }

    /// Has the end wake this waker, in the place of whoever waited before; `false` where it has come.
    pub(crate) fn wake_at_end(&self, waker: &Waker) -> bool {
        let fresh = waker.clone();
        let mut state = lock(&self.state);
        let goes_on = matches!(state.stage, Stage::Queued(_) | Stage::Running(_));
        let unused = if goes_on { state.joiner.replace(fresh) } else { Some(fresh) };
        drop(state);
        drop(unused);
        goes_on
    }

    /// Nobody waits any more. An output that is there dies here, and one that comes later where it comes.
    pub(crate) fn detach(&self) {
        let mut state = lock(&self.state);
        state.detached = true;
        let output = match state.stage {
            Stage::Ended(_) => state.take(),
            _ => None,
        };
        let joiner = state.joiner.take();
        drop(state);
        drop((output, joiner));
    }
}

impl<T> State<T> {
    /// The work that has not begun: whoever gets it does it, or ends the cell.
    fn take_work(&mut self) -> Option<Work<T>> {
        if !matches!(self.stage, Stage::Queued(_)) {
            return None;
        }
        match std::mem::replace(&mut self.stage, Stage::Running(None)) {
            Stage::Queued(work) => Some(work),
            _ => unreachable!("looked at above"),
        }
    }

    /// # Panics
    ///
    /// Where the output was taken before.
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        assert!(!matches!(self.stage, Stage::Taken), "the handle of a task was polled after it had completed");
        if !matches!(self.stage, Stage::Ended(_)) {
            return None;
        }
        match std::mem::replace(&mut self.stage, Stage::Taken) {
            Stage::Ended(output) => Some(output),
            _ => unreachable!("looked at above"),
        }
    }
}

impl<T> fmt::Debug for RemoteCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCell").field("id", &self.id).field("has_ended", &self.has_ended()).finish_non_exhaustive()
    }
}

/// Ends a cell as cancelled when it is dropped, unless the cell has ended before: whoever waits never hangs, whatever
/// becomes of the thread.
pub(crate) struct EndOnDrop<T>(pub(crate) Arc<RemoteCell<T>>);

impl<T> Drop for EndOnDrop<T> {
    fn drop(&mut self) {
        self.0.end(Err(JoinError::cancelled(self.0.id)));
    }
}

/// A cell, whatever its output is.
pub(crate) trait AnyCell: Send + Sync {
    fn begin(self: Arc<Self>);
    fn refuse(&self);
    fn abort(&self);
}

impl<T: Send> AnyCell for RemoteCell<T> {
    fn begin(self: Arc<Self>) {
        Self::begin(&self);
    }

    fn refuse(&self) {
        self.refuse();
    }

    fn abort(&self) {
        self.abort();
    }
}

/// Work on its way to the thread that does it. Dropped on the way, it is refused.
pub(crate) struct Queued(Arc<dyn AnyCell>);

impl Queued {
    pub(crate) fn new<T: Send + 'static>(cell: &Arc<RemoteCell<T>>) -> Self {
        Self(Arc::<RemoteCell<T>>::clone(cell))
    }

    /// Does the work, unless it was aborted.
    pub(crate) fn begin(self) {
        Arc::clone(&self.0).begin();
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.refuse();
    }
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queued").finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
