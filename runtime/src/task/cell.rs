//! The cell of a task: its future while it runs, then its output until somebody takes it.
//!
//! One allocation holds both, shared by the executor's table and the join handle, with a count that is not atomic: neither
//! ever leaves its thread. Wakers do, but they hold no reference to the cell: they name a place in the table (see
//! `executor/waker.rs`).
//!
//! ```text
//!   TaskRef, for the executor  -->  [ Header | outlet | future ]  <--  Owner, for the join handle, which knows the outlet
//! ```
//!
//! An owner reaches the header, and a join handle the outlet, without a call through a table. What depends on the future's
//! type goes through the header's.
//!
//! # Safety
//!
//! - **Owners.** A cell is there as long as its count of owners is not zero, and each `TaskRef` and `Owner` is one of them.
//! - **Types.** The header is that of a cell of the very types for which its table of functions was made, and an `Owner<O>` leads
//!   to a cell whose outlet is an `O`. All fields are reached through shared references only, so there may be many.
//! - **Future.** It is pinned: it is written into the cell when that is made, never moved, and dropped in place. Its memory is
//!   reached only through [`TaskCell::with_future`], which hands it to nobody while somebody has it.
#![allow(unsafe_code, reason = "a counted pointer to cells of many types, and a pinned future in each")]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::driver::{shield, wake};
use crate::executor::waker::TaskKey;
use crate::task::memory::{self, Spares};
use crate::task::remote_cell::RemoteCell;
use crate::task::{Id, JoinError};
use crate::timer::Instant;

/// An owner of a task, whatever its future and output are.
pub(crate) struct TaskRef {
    header: NonNull<Header>,
}

/// An owner of a task with an outlet of this type.
pub(crate) struct Owner<O> {
    task: TaskRef,
    outlet: PhantomData<Front<O>>,
}

/// What every task begins with.
pub(crate) struct Header {
    table: &'static Functions,
    /// The executor's key of the task. Set once the executor has taken it in.
    key: Cell<TaskKey>,
    owners: Cell<u32>,
    /// Somebody is inside `with_future`.
    busy: Cell<bool>,
    /// The task has ended, whether or not its output was taken.
    ended: Cell<bool>,
    /// How often it was polled.
    polls: Cell<u64>,
    /// What the clock last showed when it was last polled; without meaning while `polls` is 0.
    polled: Cell<Instant>,
    /// What the clock last showed when it was spawned.
    spawned: Cell<Instant>,
    origin: Origin,
}

/// What depends on the types of a task. Each is to be called with a header of those types.
struct Functions {
    poll: unsafe fn(&TaskRef, &mut Context<'_>) -> bool,
    cancel: unsafe fn(&TaskRef),
    joiner: unsafe fn(&TaskRef) -> Option<TaskKey>,
    /// The last owner is gone.
    destroy: unsafe fn(NonNull<Header>),
}

impl TaskRef {
    /// Runs the task until it waits. `true` when it has ended; a panic ends it, too.
    #[inline]
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> bool {
        // SAFETY: the function is of the cell's types (Types).
        unsafe { (self.table.poll)(self, cx) }
    }

    /// Ends the task where it stands: its future is dropped. Does nothing to a task that has ended.
    pub(crate) fn cancel(&self) {
        // SAFETY: as above (Types).
        unsafe { (self.table.cancel)(self) }
    }

    /// The task that waits for the end of this one on the same thread, if that is known.
    pub(crate) fn joiner(&self) -> Option<TaskKey> {
        // SAFETY: as above (Types).
        unsafe { (self.table.joiner)(self) }
    }

    /// Whether nobody else owns the task: its drop is the end of what is left of it.
    #[inline]
    pub(crate) fn is_last(&self) -> bool {
        self.owners.get() == 1
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: this is an owner (Owners).
        unsafe { self.header.as_ref() }
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        // The table, whoever runs it, and the handle: there are never many.
        self.owners.set(self.owners.get() + 1);
        Self { header: self.header }
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let others = self.owners.get() - 1;
        self.owners.set(others);
        if others == 0 {
            let destroy = self.table.destroy;
            // SAFETY: the function is of the cell's types (Types), and the last owner is gone (Owners).
            unsafe { destroy(self.header) }
        }
    }
}

/// A cell stays where it is, wherever its owners go.
impl<O> Unpin for Owner<O> {}

impl<O> Owner<O> {
    /// For the executor.
    #[inline]
    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    #[inline]
    fn outlet(&self) -> &O {
        // SAFETY: this is an owner (Owners), of a cell that begins so (Types).
        &unsafe { self.task.header.cast::<Front<O>>().as_ref() }.outlet
    }
}

impl Header {
    #[inline]
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The executor's key.
    #[inline]
    pub(crate) fn key(&self) -> TaskKey {
        self.key.get()
    }

    /// The executor has taken it in.
    #[inline]
    pub(crate) fn taken_in(&self, key: TaskKey, now: Instant) {
        self.key.set(key);
        self.spawned.set(now);
    }

    /// It is about to be polled.
    #[inline]
    pub(crate) fn polled_at(&self, now: Instant) {
        self.polls.set(self.polls.get() + 1);
        self.polled.set(now);
    }

    /// How often it was polled.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// What the clock last showed when it was last polled; without meaning while that was never.
    pub(crate) fn polled(&self) -> Instant {
        self.polled.get()
    }

    /// What the clock last showed when it was spawned.
    pub(crate) fn spawned(&self) -> Instant {
        self.spawned.get()
    }

    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }
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

/// The cell, as far as a join handle knows it.
#[repr(C)]
struct Front<O> {
    header: Header,
    outlet: O,
}

#[repr(C)]
pub(crate) struct TaskCell<F: Future, O> {
    /// First, so that a pointer to the cell is one to it, and to the header.
    front: Front<O>,
    /// The future, until it has ended. Only `with_future` touches it.
    future: UnsafeCell<Option<F>>,
}

impl<F: Future, O: Outlet<F::Output>> TaskCell<F, O> {
    const FUNCTIONS: &Functions =
        &Functions { poll: Self::poll, cancel: Self::cancel, joiner: Self::joiner, destroy: Self::destroy };

    #[inline]
    pub(crate) fn make(origin: Origin, future: F, outlet: O, spares: &Spares) -> Owner<O> {
        Self::put(origin, Some(future), outlet, spares)
    }

    /// A task whose runtime took no more.
    pub(crate) fn refused(origin: Origin, outlet: O, spares: &Spares) -> Owner<O> {
        outlet.give(Err(JoinError::cancelled(origin.id)));
        Self::put(origin, None, outlet, spares)
    }

    #[inline]
    fn put(origin: Origin, future: Option<F>, outlet: O, spares: &Spares) -> Owner<O> {
        let header = Header {
            table: Self::FUNCTIONS,
            key: Cell::new(TaskKey::NOBODY),
            owners: Cell::new(1),
            busy: Cell::new(false),
            ended: Cell::new(future.is_none()),
            polls: Cell::new(0),
            polled: Cell::new(Instant::from_nanos(0)),
            spawned: Cell::new(Instant::from_nanos(0)),
            origin,
        };
        let cell = spares.take::<Self>();
        // SAFETY: the memory is ours, and for a cell.
        unsafe { cell.write(Self { front: Front { header, outlet }, future: UnsafeCell::new(future) }) };
        Owner { task: TaskRef { header: cell.cast() }, outlet: PhantomData }
    }

    /// # Safety
    ///
    /// It is a task of these types.
    #[inline]
    unsafe fn of(task: &TaskRef) -> &Self {
        // SAFETY: the caller vouches for the types, and has an owner (Owners).
        unsafe { task.header.cast::<Self>().as_ref() }
    }

    unsafe fn poll(task: &TaskRef, cx: &mut Context<'_>) -> bool {
        // SAFETY: the caller vouches for the types.
        let cell = unsafe { Self::of(task) };
        if cell.front.header.ended.get() {
            return true;
        }
        let mut output = None;
        let polled = cell.with_future(|mut future| {
            if let Some(Poll::Ready(value)) = future.as_mut().as_pin_mut().map(|future| future.poll(cx)) {
                output = Some(value);
                // The future is dropped before its output shows, so that whoever joins finds everything released.
                future.set(None);
            }
        });
        match (polled, output) {
            (Ok(()), None) => return false,
            (Ok(()), Some(output)) => cell.end(Ok(output)),
            (Err(payload), output) => cell.end_by_panic(payload, output),
        }
        true
    }

    unsafe fn cancel(task: &TaskRef) {
        // SAFETY: the caller vouches for the types.
        let cell = unsafe { Self::of(task) };
        if cell.front.header.ended.get() {
            return;
        }
        let id = cell.front.header.origin.id;
        match cell.drop_future() {
            Ok(()) => cell.end(Err(JoinError::cancelled(id))),
            Err(payload) => cell.end(Err(JoinError::panic(id, payload))),
        }
    }

    unsafe fn joiner(task: &TaskRef) -> Option<TaskKey> {
        // SAFETY: the caller vouches for the types.
        unsafe { Self::of(task) }.front.outlet.joiner()
    }

    unsafe fn destroy(header: NonNull<Header>) {
        /// Gives the memory back, also if a destructor panics.
        struct Freed<T>(NonNull<T>);
        impl<T> Drop for Freed<T> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: it came from there, and what was in it is gone.
                unsafe { memory::give_back(self.0) }
            }
        }
        let freed = Freed(header.cast::<Self>());
        // SAFETY: the last owner is gone (Owners), and the caller vouches for the types.
        unsafe { ptr::drop_in_place(freed.0.as_ptr()) }
    }

    /// Gives out the future, if it is still there and nobody else has it. What it panics with is caught.
    #[inline]
    fn with_future(&self, run: impl FnOnce(Pin<&mut Option<F>>)) -> Result<(), Box<dyn Any + Send>> {
        let busy = &self.front.header.busy;
        if busy.replace(true) {
            return Ok(());
        }
        // SAFETY: `busy` was false, so no other reference to the future exists, and none is made until it is false again
        // (Future).
        let future = unsafe { &mut *self.future.get() };
        // SAFETY: nothing is moved out of a cell, so the future stays in place until it is dropped there (Future).
        let future = unsafe { Pin::new_unchecked(future) };
        let caught = catch_unwind(AssertUnwindSafe(|| run(future)));
        busy.set(false);
        caught
    }

    /// Drops the future; a panic of its destructor is its result.
    fn drop_future(&self) -> Result<(), Box<dyn Any + Send>> {
        self.with_future(|mut future| future.set(None))
    }

    fn end(&self, output: Result<F::Output, JoinError>) {
        self.front.header.ended.set(true);
        self.front.outlet.give(output);
    }

    /// The future, or its destructor, has panicked.
    #[cold]
    fn end_by_panic(&self, payload: Box<dyn Any + Send>, output: Option<F::Output>) {
        // The first panic is the one to be told.
        shield(|| drop(output));
        let dropped = self.drop_future();
        shield(|| drop(dropped));
        self.end(Err(JoinError::panic(self.front.header.origin.id, payload)));
    }
}

/// The outlet of a task that is joined on its own thread: it keeps the output until that is taken.
pub(crate) struct Here<T> {
    output: Cell<Option<Result<T, JoinError>>>,
    /// Who waits for the output.
    joiner: Cell<Option<Waker>>,
}

impl<T> Here<T> {
    pub(crate) fn new() -> Self {
        Self { output: Cell::new(None), joiner: Cell::new(None) }
    }
}

impl<T> Outlet<T> for Here<T> {
    fn give(&self, output: Result<T, JoinError>) {
        let before = self.output.replace(Some(output));
        debug_assert!(before.is_none(), "a task ends once");
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

/// What a join handle does with a task.
impl<T> Owner<Here<T>> {
    /// The output, once the task has ended; `None` in its place where it was taken. Until then it is this waker that is woken at
    /// the end.
    #[inline]
    pub(crate) fn poll_output(&self, waker: &Waker) -> Poll<Option<Result<T, JoinError>>> {
        if self.task.has_ended() {
            return Poll::Ready(self.outlet().output.take());
        }
        self.set_joiner(waker);
        Poll::Pending
    }

    /// Whom to wake at the end, in the place of whoever waited before.
    #[inline]
    pub(crate) fn set_joiner(&self, waker: &Waker) {
        let joiner = &self.outlet().joiner;
        match joiner.take() {
            Some(same) if same.will_wake(waker) => joiner.set(Some(same)),
            replaced => {
                joiner.set(Some(waker.clone()));
                drop(replaced);
            }
        }
    }
}
