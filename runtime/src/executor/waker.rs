//! Wakers that hold nothing: a waker is a number, which names a place in a runtime's table of tasks.
//!
//! ```text
//!   63        52 51                    28 27                         0
//!   [ runtime  ][     generation        ][          index            ]
//! ```
//!
//! Cloning one copies the number, dropping one does nothing: no reference count, no atomic operation, on whatever thread,
//! also when the runtime is long gone. A stale number can only wake a later task of the same place, which finds nothing to
//! do: wakes may be spurious, so this is harmless. The generation makes it rare.
//!
//! Waking looks at a thread-local word: on the runtime's own thread the task is put into the run queue; elsewhere a bit is
//! set in the runtime's inbox ([`Remote`]), which is found in a static table and never goes away.
//!
//! # Safety
//!
//! The vtable's functions treat the data pointer as a number and dereference nothing but the thread's own executor, which
//! [`Entered`] keeps registered only while it is borrowed.
#![allow(unsafe_code, reason = "a raw waker, and a thread-local pointer to the executor that is running")]

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::executor::Executor;
use crate::executor::remote::Remote;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("quoit needs a 64-bit target: a waker is a number of 64 bits");

/// The place of a task, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskKey(u64);

impl TaskKey {
    /// The key of no task.
    pub(crate) const NOBODY: Self = Self(u64::MAX);

    pub(crate) fn new(runtime: RuntimeId, generation: u32, index: u32) -> Self {
        debug_assert!(index <= MOST_INDEX, "the table of tasks is bounded");
        let generation = u64::from(generation) & GENERATIONS;
        Self(u64::from(runtime.0) << 52 | generation << 28 | u64::from(index))
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn runtime(self) -> RuntimeId {
        RuntimeId((self.0 >> 52) as u16)
    }

    #[inline]
    pub(crate) fn index(self) -> u32 {
        (self.0 as u32) & MOST_INDEX
    }

    /// The use of its place.
    #[inline]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 28 & GENERATIONS) as u32
    }

    /// A waker for the task. It needs no drop, so none is paid for.
    #[inline]
    pub(crate) fn waker(self) -> ManuallyDrop<Waker> {
        // SAFETY: the functions of the vtable uphold the contract of `RawWaker` for any number.
        ManuallyDrop::new(unsafe { Waker::from_raw(raw(self)) })
    }

    /// The task that a waker wakes, if it is one of ours: wakers of others may wake anything.
    #[inline]
    pub(crate) fn of_waker(waker: &Waker) -> Option<Self> {
        ptr::eq(waker.vtable(), &VTABLE).then(|| key_of(waker.data()))
    }

    /// Wakes the task, from whatever thread.
    #[inline]
    pub(crate) fn wake(self) {
        let entered = ENTERED.get();
        if entered.runtime == self.runtime() {
            // SAFETY: `Entered` resets the pointer before the borrow that it stands for ends.
            let executor = unsafe { &*entered.executor };
            executor.wake(self);
        } else if let Some(remote) = self.runtime().remote() {
            remote.wake(self.index());
        }
    }
}

/// A clone of a waker; of one of ours, without a call through its table.
#[inline]
pub(crate) fn clone_of(waker: &Waker) -> Waker {
    match TaskKey::of_waker(waker) {
        Some(key) => ManuallyDrop::into_inner(key.waker()),
        None => waker.clone(),
    }
}

/// Drops a waker; one of ours needs none.
#[inline]
pub(crate) fn drop_waker(waker: Waker) {
    if TaskKey::of_waker(&waker).is_some() { std::mem::forget(waker) } else { drop(waker) }
}

/// The greatest index of a task.
pub(crate) const MOST_INDEX: u32 = (1 << 28) - 1;
/// The bits of a generation.
pub(crate) const GENERATIONS: u64 = (1 << 24) - 1;

fn raw(key: TaskKey) -> RawWaker {
    RawWaker::new(ptr::without_provenance(key.0 as usize), &VTABLE)
}

fn key_of(data: *const ()) -> TaskKey {
    TaskKey(data.addr() as u64)
}

static VTABLE: RawWakerVTable =
    RawWakerVTable::new(|data| raw(key_of(data)), |data| key_of(data).wake(), |data| key_of(data).wake(), |_| {});

/// Names a runtime among those that live in this process, and its inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeId(u16);

impl RuntimeId {
    /// No runtime.
    const NONE: Self = Self(u16::MAX);

    /// Takes a free place for a runtime. `None` with more than 4,096 at once.
    pub(crate) fn take() -> Option<(Self, &'static Remote)> {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let number = free.returned.pop().or_else(|| {
            let fresh = free.fresh;
            (usize::from(fresh) < MOST_RUNTIMES).then(|| {
                free.fresh += 1;
                fresh
            })
        })?;
        Some((Self(number), REMOTES[usize::from(number)].get_or_init(|| Box::new(Remote::new()))))
    }

    /// Gives the place back. The inbox stays, for wakers that come too late and for the next runtime.
    pub(crate) fn give_back(self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).returned.push(self.0);
    }

    /// The inbox.
    pub(crate) fn remote(self) -> Option<&'static Remote> {
        REMOTES.get(usize::from(self.0))?.get().map(|remote| &**remote)
    }
}

/// The inboxes of all runtimes that this process ever had at once. None is ever freed.
static REMOTES: [OnceLock<Box<Remote>>; MOST_RUNTIMES] = [const { OnceLock::new() }; MOST_RUNTIMES];

/// Runtimes that one process may have at the same time.
const MOST_RUNTIMES: usize = 1 << 12;

struct Free {
    /// Places of runtimes that are gone.
    returned: Vec<u16>,
    /// The first place that has never been taken.
    fresh: u16,
}

static FREE: Mutex<Free> = Mutex::new(Free { returned: Vec::new(), fresh: 0 });

/// The executor that runs on this thread now.
#[derive(Clone, Copy)]
struct OnThread {
    runtime: RuntimeId,
    /// Valid while `runtime` is not `NONE`.
    executor: *const Executor,
}

thread_local! {
    // Without a destructor, so that it can be read at any time, also while the thread's other locals are being destroyed.
    static ENTERED: Cell<OnThread> = const { Cell::new(OnThread { runtime: RuntimeId::NONE, executor: ptr::null() }) };
}

/// While it lives, wakes on this thread go straight to the executor.
pub(crate) struct Entered<'a> {
    executor: &'a Executor,
    before: OnThread,
}

impl<'a> Entered<'a> {
    pub(crate) fn new(executor: &'a Executor) -> Self {
        let before = ENTERED.replace(OnThread { runtime: executor.runtime(), executor });
        Self { executor, before }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        debug_assert!(ptr::eq(ENTERED.get().executor, self.executor), "runtimes are left in the order of entering");
        ENTERED.set(self.before);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_parts() {
        let key = TaskKey::new(RuntimeId(4095), 0xFFAB_CDEF, MOST_INDEX);
        assert_eq!((key.runtime(), key.index()), (RuntimeId(4095), MOST_INDEX));
        assert_eq!(key.generation(), 0x00AB_CDEF, "of 24 bits");
    }

    #[test]
    fn clones_of_a_waker_are_the_same_waker() {
        let (one, other) = (TaskKey::new(RuntimeId(3), 1, 2), TaskKey::new(RuntimeId(3), 2, 2));
        let waker = Waker::clone(&one.waker());
        assert!(waker.will_wake(&one.waker()));
        assert!(!waker.will_wake(&other.waker()));
    }

    #[test]
    fn a_waker_tells_its_task_and_that_of_somebody_else_none() {
        let key = TaskKey::new(RuntimeId(3), 1, 2);
        assert_eq!(TaskKey::of_waker(&key.waker()), Some(key));
        assert_eq!(TaskKey::of_waker(Waker::noop()), None);
    }

    #[test]
    fn a_waker_of_a_runtime_that_never_was_does_nothing() {
        Waker::clone(&TaskKey::new(RuntimeId(4000), 1, 2).waker()).wake();
    }
}
