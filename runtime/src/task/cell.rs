//! The cell of a task: its future while it runs, then its output until somebody takes it.
//!
//! One allocation holds both, shared by the executor's table and the join handle, with a count that is not atomic: neither
//! ever leaves its thread. Wakers do, but they hold no reference to the cell: they name a place in the table (see
//! `executor/waker.rs`).
//!
//! # Safety
//!
//! The future is pinned: it is written into the cell when that is made, never moved, and dropped in place. Its memory is
//! reached only through [`TaskCell::with_future`], which hands it to nobody while somebody has it.
#![allow(unsafe_code, reason = "pins a future inside a shared allocation")]

use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::driver::{shield, wake};
use crate::executor::waker::TaskKey;
use crate::task::remote_cell::RemoteCell;
use crate::task::{Id, JoinError, Joinable};

/// A task, whatever its future and output are.
pub(crate) trait Task {
    fn origin(&self) -> &Origin;

    /// Runs the task until it waits. `true` when it has ended; a panic ends it, too.
    fn poll(&self, cx: &mut Context<'_>) -> bool;

    /// Ends the task where it stands: its future is dropped. Does nothing to a task that has ended.
    fn cancel(&self);

    /// The task that waits for the end of this one on the same thread, if that is known.
    fn joiner(&self) -> Option<TaskKey>;
}

/// Which task it is, and where it comes from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) id: Id,
    /// What its spawner calls it.
    pub(crate) name: Option<Box<str>>,
    /// Where it was spawned.
    pub(crate) location: &'static Location<'static>,
}

/// Where the output of a task goes.
pub(crate) trait Outlet<T> {
    /// Called once, when the task has ended.
    fn give(&self, output: Result<T, JoinError>);

    /// The task that waits for it on the same thread, if that is known.
    fn joiner(&self) -> Option<TaskKey> {
        None
    }
}

pub(crate) struct TaskCell<F: Future, O> {
    origin: Origin,
    /// The executor's key of the task, for aborting it.
    key: u64,
    /// The future, until it has ended. Only `with_future` touches it.
    future: UnsafeCell<Option<F>>,
    /// Somebody is inside `with_future`.
    busy: Cell<bool>,
    /// The task has ended, whether or not its output was taken.
    ended: Cell<bool>,
    outlet: O,
}

impl<F: Future, O: Outlet<F::Output>> TaskCell<F, O> {
    pub(crate) fn new(origin: Origin, key: u64, future: F, outlet: O) -> Rc<Self> {
        let (busy, ended) = (Cell::new(false), Cell::new(false));
        Rc::new(Self { origin, key, future: UnsafeCell::new(Some(future)), busy, ended, outlet })
    }

    /// A task whose runtime took no more.
    pub(crate) fn refused(origin: Origin, key: u64, outlet: O) -> Rc<Self> {
        outlet.give(Err(JoinError::cancelled(origin.id)));
        let (busy, ended) = (Cell::new(false), Cell::new(true));
        Rc::new(Self { origin, key, future: UnsafeCell::new(None), busy, ended, outlet })
    }

    /// Gives out the future, if it is still there and nobody else has it.
    fn with_future<T>(&self, run: impl FnOnce(Pin<&mut Option<F>>) -> T) -> Option<T> {
        if self.busy.replace(true) {
            return None;
        }
        struct NotBusy<'a>(&'a Cell<bool>);
        impl Drop for NotBusy<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        let _not_busy = NotBusy(&self.busy);
        // SAFETY: `busy` was false, so no other reference to the future exists, and none is made until it is false again.
        let future = unsafe { &mut *self.future.get() };
        // SAFETY: the cell lives in an `Rc` that is never unwrapped, so the future stays in place until it is dropped there.
        Some(run(unsafe { Pin::new_unchecked(future) }))
    }

    /// Drops the future; a panic of its destructor is its result.
    fn drop_future(&self) -> Result<(), Box<dyn Any + Send>> {
        let drop_it = || self.with_future(|mut future| future.set(None));
        catch_unwind(AssertUnwindSafe(drop_it)).map(drop)
    }

    fn end(&self, output: Result<F::Output, JoinError>) {
        self.ended.set(true);
        self.outlet.give(output);
    }
}

impl<F: Future, O: Outlet<F::Output>> Task for TaskCell<F, O> {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn poll(&self, cx: &mut Context<'_>) -> bool {
        if self.ended.get() {
            return true;
        }
        let poll = || self.with_future(|future| future.as_pin_mut().map(|future| future.poll(cx)));
        let output = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Some(Some(Poll::Ready(output)))) => Ok(output),
            Ok(Some(Some(Poll::Pending)) | None) => return false,
            Ok(Some(None)) => return true,
            Err(payload) => Err(JoinError::panic(self.origin.id, payload)),
        };
        // The future is dropped before its output shows, so that whoever joins finds everything released.
        match (self.drop_future(), output) {
            (Err(payload), Ok(output)) => {
                shield(|| drop(output));
                self.end(Err(JoinError::panic(self.origin.id, payload)));
            }
            (dropped, output) => {
                // The first panic is the one to be told.
                shield(|| drop(dropped));
                self.end(output);
            }
        }
        true
    }

    fn cancel(&self) {
        if self.ended.get() {
            return;
        }
        match self.drop_future() {
            Ok(()) => self.end(Err(JoinError::cancelled(self.origin.id))),
            Err(payload) => self.end(Err(JoinError::panic(self.origin.id, payload))),
        }
    }

    fn joiner(&self) -> Option<TaskKey> {
        self.outlet.joiner()
    }
}

/// The outlet of a task that is joined on its own thread: it keeps the output until that is taken.
pub(crate) struct Here<T> {
    output: RefCell<Option<Result<T, JoinError>>>,
    /// Who waits for the output.
    joiner: Cell<Option<Waker>>,
}

impl<T> Here<T> {
    pub(crate) fn new() -> Self {
        Self { output: RefCell::new(None), joiner: Cell::new(None) }
    }
}

impl<T> Outlet<T> for Here<T> {
    fn give(&self, output: Result<T, JoinError>) {
        *self.output.borrow_mut() = Some(output);
        if let Some(joiner) = self.joiner.take() {
            wake(joiner);
        }
    }

    fn joiner(&self) -> Option<TaskKey> {
        let joiner = self.joiner.take();
        let task = joiner.as_ref().and_then(TaskKey::of_waker);
        self.joiner.set(joiner);
        task
    }
}

/// The outlet of a task that is joined from other threads.
impl<T> Outlet<T> for Arc<RemoteCell<T>> {
    fn give(&self, output: Result<T, JoinError>) {
        self.end(output);
    }
}

impl<F: Future> Joinable<F::Output> for TaskCell<F, Here<F::Output>> {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn key(&self) -> u64 {
        self.key
    }

    fn has_ended(&self) -> bool {
        self.ended.get()
    }

    fn take_output(&self) -> Option<Result<F::Output, JoinError>> {
        self.outlet.output.borrow_mut().take()
    }

    fn set_joiner(&self, waker: &Waker) {
        let joiner = &self.outlet.joiner;
        match joiner.take() {
            Some(same) if same.will_wake(waker) => joiner.set(Some(same)),
            replaced => {
                joiner.set(Some(waker.clone()));
                drop(replaced);
            }
        }
    }
}
