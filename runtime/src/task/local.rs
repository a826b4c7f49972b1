//! Values that belong to a task instead of a thread.
//!
//! A value is in the future of its scope while that is not being polled, and in a thread-local place during a poll: so
//! that, wherever the future goes, what it calls finds the value.
//!
//! # Safety
//!
//! The future of a scope is pinned with the scope: it is never moved out, and dropped in place.
#![allow(unsafe_code, reason = "projects a pin to the future inside a scope")]

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

/// Declares values that belong to tasks: each is a [`LocalKey`](crate::task::LocalKey).
///
/// # Examples
///
/// ```
/// quoit_runtime::task_local! {
///     static REQUEST: u64;
///     /// Who asks.
///     pub static USER: String
/// }
///
/// quoit_runtime::block_on(async {
///     let length = USER.scope("somebody".into(), async {
///         REQUEST.scope(7, async { USER.with(String::len) + REQUEST.get() as usize }).await
///     });
///     assert_eq!(length.await, 15);
///     assert!(REQUEST.try_with(|_| ()).is_err());
/// });
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attribute])* $visibility static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $visibility static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static PLACE: ::std::cell::RefCell<::core::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::core::option::Option::None) };
            }
            $crate::task::LocalKey::at(&PLACE)
        };
    };
}

/// A value that belongs to a task, or to a part of one. Declared by [`task_local!`](crate::task_local).
///
/// A task has no value until a [`scope`](Self::scope) gives one; tasks that it spawns do not inherit it. It works on any
/// executor.
///
/// # Examples
///
/// See [`task_local!`](crate::task_local).
pub struct LocalKey<T: 'static> {
    place: &'static thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> LocalKey<T> {
    /// What the macro expands to.
    #[doc(hidden)]
    pub const fn at(place: &'static thread::LocalKey<RefCell<Option<T>>>) -> Self {
        Self { place }
    }

    /// Runs a future that finds this value, and others that find another one around it.
    ///
    /// # Cancel safety
    ///
    /// As that of the future. Its destructor finds the value, too.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> Scope<T, F> {
        Scope { key: self, value: Some(value), future: Some(future), _pinned: PhantomPinned }
    }

    /// Calls a closure that finds this value.
    ///
    /// # Panics
    ///
    /// Inside of [`with`](Self::with) of the same key.
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, call: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        let _placed = Placed::new(self, &mut value);
        call()
    }

    /// Shows the value.
    ///
    /// # Panics
    ///
    /// Outside of a scope, with the caller's location.
    #[track_caller]
    pub fn with<R>(&'static self, look: impl FnOnce(&T) -> R) -> R {
        match self.try_with(look) {
            Ok(answer) => answer,
            Err(error) => panic!("{error}"),
        }
    }

    /// Shows the value.
    ///
    /// # Errors
    ///
    /// Outside of a scope.
    pub fn try_with<R>(&'static self, look: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let look = |place: &RefCell<Option<T>>| place.borrow().as_ref().map(look);
        self.place.try_with(look).ok().flatten().ok_or(AccessError(()))
    }

    /// A clone of the value.
    ///
    /// # Panics
    ///
    /// Outside of a scope, with the caller's location.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// A clone of the value.
    ///
    /// # Errors
    ///
    /// Outside of a scope.
    pub fn try_get(&'static self) -> Result<T, AccessError>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// A future that finds a task-local value. Made by [`LocalKey::scope`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Scope<T: 'static, F> {
    key: &'static LocalKey<T>,
    /// The value, while the future is not being polled.
    value: Option<T>,
    /// The future, until it has ended. Pinned with the scope.
    future: Option<F>,
    _pinned: PhantomPinned,
}

impl<T: 'static, F> Scope<T, F> {
    /// The value, of a scope that is ended or not begun. `None` where it was taken before.
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        // SAFETY: the future is not touched.
        unsafe { self.get_unchecked_mut() }.value.take()
    }

    /// The parts: the key, the value, and the future, which stays pinned.
    fn parts(self: Pin<&mut Self>) -> (&'static LocalKey<T>, &mut Option<T>, Pin<&mut Option<F>>) {
        // SAFETY: the future is not moved: it goes on behind a pin.
        let scope = unsafe { self.get_unchecked_mut() };
        // SAFETY: the future is pinned as long as the scope is, and `Drop` drops it in place.
        let future = unsafe { Pin::new_unchecked(&mut scope.future) };
        (scope.key, &mut scope.value, future)
    }
}

impl<T: 'static, F: Future> Future for Scope<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (key, value, mut future) = self.parts();
        assert!(future.is_some(), "a task-local scope was polled after it had completed");
        let _placed = Placed::new(key, value);
        let output = future.as_mut().as_pin_mut().map(|future| future.poll(cx));
        let Some(Poll::Ready(output)) = output else { return Poll::Pending };
        future.set(None);
        Poll::Ready(output)
    }
}

impl<T: 'static, F> Drop for Scope<T, F> {
    fn drop(&mut self) {
        // SAFETY: the scope is not moved any more once its destructor runs.
        let scope = unsafe { Pin::new_unchecked(self) };
        let (key, value, mut future) = scope.parts();
        // Its destructor may look for the value.
        if future.is_some() {
            let _placed = Placed::try_new(key, value);
            future.set(None);
        }
    }
}

impl<T: 'static, F> fmt::Debug for Scope<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("has_ended", &self.future.is_none()).finish_non_exhaustive()
    }
}

/// While it lives, the value is in the thread's place, and what was there is in the value's.
struct Placed<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<'a, T: 'static> Placed<'a, T> {
    #[track_caller]
    fn new(key: &'static LocalKey<T>, value: &'a mut Option<T>) -> Self {
        match Self::try_new(key, value) {
            Some(placed) => placed,
            None => panic!("a task-local scope was entered while its value was being looked at, or its thread ends"),
        }
    }

    fn try_new(key: &'static LocalKey<T>, value: &'a mut Option<T>) -> Option<Self> {
        swap(key, value).then_some(Self { key, value })
    }
}

impl<T: 'static> Drop for Placed<'_, T> {
    fn drop(&mut self) {
        swap(self.key, self.value);
    }
}

/// Exchanges the value with what is in the thread's place; whether that could be done.
fn swap<T>(key: &LocalKey<T>, value: &mut Option<T>) -> bool {
    let exchange =
        |place: &RefCell<Option<T>>| place.try_borrow_mut().map(|mut place| std::mem::swap(&mut *place, value));
    matches!(key.place.try_with(exchange), Ok(Ok(())))
}

/// There is no value: the code runs outside of a scope. Made by [`LocalKey::try_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task-local value was asked for outside of its scope")
    }
}

impl Error for AccessError {}
