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
use std::task::{Context, Poll, Waker};

use crate::driver::{shield, wake};
use crate::task::{Id, JoinError, Joinable};

/// A task, whatever its future and output are.
pub(crate) trait Task {
    fn id(&self) -> Id;

    /// Runs the task until it waits. `true` when it has ended; a panic ends it, too.
    fn poll(&self, cx: &mut Context<'_>) -> bool;

    /// Ends the task where it stands: its future is dropped. Does nothing to a task that has ended.
    fn cancel(&self);
}

pub(crate) struct TaskCell<F: Future> {
    id: Id,
    /// Where it was spawned.
    location: &'static Location<'static>,
    /// The executor's key of the task, for aborting it.
    key: u64,
    /// The future, until it has ended. Only `with_future` touches it.
    future: UnsafeCell<Option<F>>,
    /// Somebody is inside `with_future`.
    busy: Cell<bool>,
    /// The output, from the end of the future until it is taken.
    output: RefCell<Option<Result<F::Output, JoinError>>>,
    /// The task has ended, whether or not its output was taken.
    ended: Cell<bool>,
    /// Who waits for the output.
    joiner: Cell<Option<Waker>>,
}

impl<F: Future> TaskCell<F> {
    pub(crate) fn new(id: Id, key: u64, location: &'static Location<'static>, future: F) -> Rc<Self> {
        Self::with(id, key, location, Some(future), None)
    }

    /// A task whose runtime took no more.
    pub(crate) fn refused(id: Id, key: u64, location: &'static Location<'static>) -> Rc<Self> {
        Self::with(id, key, location, None, Some(Err(JoinError::cancelled(id))))
    }

    fn with(
        id: Id,
        key: u64,
        location: &'static Location<'static>,
        future: Option<F>,
        output: Option<Result<F::Output, JoinError>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            location,
            key,
            future: UnsafeCell::new(future),
            busy: Cell::new(false),
            ended: Cell::new(output.is_some()),
            output: RefCell::new(output),
            joiner: Cell::new(None),
        })
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
        *self.output.borrow_mut() = Some(output);
        if let Some(joiner) = self.joiner.take() {
            wake(joiner);
        }
    }
}

impl<F: Future> Task for TaskCell<F> {
    fn id(&self) -> Id {
        self.id
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
            Err(payload) => Err(JoinError::panic(self.id, payload)),
        };
        // The future is dropped before its output shows, so that whoever joins finds everything released.
        match (self.drop_future(), output) {
            (Err(payload), Ok(output)) => {
                shield(|| drop(output));
                self.end(Err(JoinError::panic(self.id, payload)));
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
            Ok(()) => self.end(Err(JoinError::cancelled(self.id))),
            Err(payload) => self.end(Err(JoinError::panic(self.id, payload))),
        }
    }
}

impl<F: Future> Joinable<F::Output> for TaskCell<F> {
    fn id(&self) -> Id {
        self.id
    }

    fn key(&self) -> u64 {
        self.key
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }

    fn has_ended(&self) -> bool {
        self.ended.get()
    }

    fn take_output(&self) -> Option<Result<F::Output, JoinError>> {
        self.output.borrow_mut().take()
    }

    fn set_joiner(&self, waker: &Waker) {
        match self.joiner.take() {
            Some(joiner) if joiner.will_wake(waker) => self.joiner.set(Some(joiner)),
            replaced => {
                self.joiner.set(Some(waker.clone()));
                drop(replaced);
            }
        }
    }
}
