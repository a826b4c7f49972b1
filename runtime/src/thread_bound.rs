//! A value that may travel, but is touched on its own thread only.
//!
//! # Safety
//!
//! The value was made on the thread `owner`, whose id no other thread will ever have, and every way to it asks for that thread
//! first: so it is touched there and nowhere else, whatever `T` is. Its destructor is no exception: dropped elsewhere, the
//! value is leaked, with its box, so that one that was pinned stays where it is.
#![allow(unsafe_code, reason = "vouches for what it checks when it runs, and drops by hand")]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

/// Makes anything `Send` and `Sync`, for interfaces that ask for it: whoever touches the value on another thread than the one
/// it was made on is met with a panic, at his own line.
///
/// It is a future where the value is one, to be polled on that thread.
///
/// **Dropped on another thread, the value is leaked**: its destructor belongs to its own thread, and a panic in a drop could
/// end the process.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// use quoit_runtime::ThreadBound;
///
/// fn asks_for_send<T: Send + 'static>(value: T) -> T {
///     value
/// }
///
/// let shared = asks_for_send(ThreadBound::new(Rc::new(7)));
/// assert_eq!(**shared.get(), 7);
/// let elsewhere = std::thread::spawn(move || shared.try_get().is_none());
/// assert!(elsewhere.join().unwrap());
/// ```
pub struct ThreadBound<T> {
    /// In a box, which can be left where it is.
    value: ManuallyDrop<Box<T>>,
    owner: ThreadId,
    /// Pinned together with this.
    pinned: PhantomData<T>,
}

// SAFETY: the value is touched on its own thread only, which every way to it asks for.
unsafe impl<T> Send for ThreadBound<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for ThreadBound<T> {}

impl<T> ThreadBound<T> {
    /// Binds a value to this thread.
    pub fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(Box::new(value)), owner: thread::current().id(), pinned: PhantomData }
    }

    /// Whether this is the thread of the value.
    pub fn is_here(&self) -> bool {
        thread::current().id() == self.owner
    }

    /// The value, if this is its thread.
    pub fn try_get(&self) -> Option<&T> {
        self.is_here().then(|| &**self.value)
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// On another thread, with the caller's location.
    #[track_caller]
    pub fn get(&self) -> &T {
        self.check();
        &self.value
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// On another thread, with the caller's location.
    #[track_caller]
    pub fn get_mut(&mut self) -> &mut T {
        self.check();
        &mut self.value
    }

    /// The value itself.
    ///
    /// # Panics
    ///
    /// On another thread, with the caller's location; the value is leaked then.
    #[track_caller]
    pub fn into_inner(self) -> T {
        self.check();
        let mut this = ManuallyDrop::new(self);
        // SAFETY: this is the value's thread, and `this` is not used, and not dropped, from here on.
        *unsafe { ManuallyDrop::take(&mut this.value) }
    }

    #[track_caller]
    fn check(&self) {
        let (owner, here) = (self.owner, thread::current().id());
        assert!(here == owner, "a value that is bound to thread {owner:?} was touched on thread {here:?}");
    }
}

impl<T> Drop for ThreadBound<T> {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: this is the drop, on the value's thread, and the value is not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

impl<F: Future> Future for ThreadBound<F> {
    type Output = F::Output;

    /// # Panics
    ///
    /// On another thread.
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.check();
        // SAFETY: the future is not moved here. It stays in its box until it is dropped or leaked: `into_inner` and `get_mut`
        // cannot be reached through a pin, and what is pinned here is `Unpin` only where the future is.
        let future = unsafe { self.map_unchecked_mut(|this| &mut **this.value) };
        future.poll(cx)
    }
}

impl<T: fmt::Debug> fmt::Debug for ThreadBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_get() {
            Some(value) => f.debug_tuple("ThreadBound").field(value).finish(),
            None => write!(f, "ThreadBound(of {:?})", self.owner),
        }
    }
}
