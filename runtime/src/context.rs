//! The runtime that runs on this thread now.
//!
//! # Safety
//!
//! The thread-local pointer is set only while a [`Current`] borrows what it points to, and it is followed only by
//! [`try_with`], whose closure cannot let a reference out.
#![allow(unsafe_code, reason = "a thread-local pointer to a borrowed value")]

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use crate::driver::Driver;
use crate::runtime::Core;

thread_local! {
    // Without a destructor, so that it can be read at any time, also while the thread's other locals are being destroyed.
    static CURRENT: Cell<*const Core> = const { Cell::new(ptr::null()) };
}

/// While it lives, its runtime is the current one of this thread.
pub(crate) struct Current<'a> {
    core: &'a Core,
    before: *const Core,
}

impl<'a> Current<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        Self { core, before: CURRENT.replace(core) }
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        debug_assert!(ptr::eq(CURRENT.get(), self.core), "runtimes are left in the order of entering");
        CURRENT.set(self.before);
    }
}

/// Hands out the current runtime, if there is one.
#[inline]
pub(crate) fn try_with<T>(run: impl FnOnce(&Core) -> T) -> Option<T> {
    // SAFETY: not null only while a `Current` borrows it, and that outlives this call: it is further down the stack.
    let core = unsafe { CURRENT.get().as_ref() }?;
    Some(run(core))
}

/// Hands out the current runtime.
///
/// # Panics
///
/// Where there is none, with the caller's location.
#[track_caller]
pub(crate) fn with<T>(run: impl FnOnce(&Core) -> T) -> T {
    match try_with(run) {
        Some(value) => value,
        None => no_runtime(),
    }
}

/// The driver of the current runtime.
///
/// # Panics
///
/// Where there is none, with the caller's location.
#[track_caller]
pub(crate) fn driver() -> Rc<Driver> {
    with(|core| Rc::clone(&core.driver))
}

#[track_caller]
fn no_runtime() -> ! {
    panic!(
        "there is no quoit runtime on this thread: operations, timers and `spawn` work inside `#[quoit::main]`, \
         `#[quoit::test]` or `Runtime::block_on`"
    )
}
