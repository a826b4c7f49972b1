//! A value behind permits: what mutex and read-write lock have in common, and the crate's only unsafe code.
//!
//! The permits decide who may touch the value: one of them lets read, all of them let write. A [`Claim`] is the only way to take
//! them, and returns them when it is dropped; [`Shared`] and [`Exclusive`] wrap one and lend the value out.
//!
//! # Safety
//!
//! **Exclusion.** A cell's permits are private to this file, which takes them in `Claim` and returns in its `Drop` just what it
//! took. `Permits` never hands out more than it was made with (`permits.rs`: what is free and what is out add up to that, and
//! only what was taken is returned). So who holds all of them is alone, and who holds one is together with readers only. A
//! claim that is forgotten keeps its permits for good, which excludes more than it must.
//!
//! **Place.** A claim finds its cell through a [`Handle`], whose contract is that the cell stays what and where it is while the
//! handle lives. The value is lent for no longer than the guard is borrowed, so not longer than the handle and the claim live.
//!
//! **Threads.** A value behind a lock that only lends it exclusively is in one thread at a time: `Send` will do. One that is
//! shared is seen by several: `Sync` too. [`Handle::Access`] says which, and [`Shared`] is made for the latter only.
#![allow(unsafe_code, reason = "lends `&mut T` from `&self`, as the lock allows it")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::mutex::Mutex;
use crate::permits::Permits;
use crate::rwlock::RwLock;

/// A value, and the permits to touch it.
pub(crate) struct Guarded<T: ?Sized, A> {
    permits: Permits,
    /// How many permits there are, at least one. Never changes.
    all: u32,
    access: PhantomData<A>,
    value: UnsafeCell<T>,
}

// SAFETY: who shares the lock gets `&mut T` in one thread at a time, see Threads and Exclusion above.
unsafe impl<T: ?Sized + Send> Sync for Guarded<T, OneAtATime> {}

// SAFETY: beside that it gets `&T` in several threads, see Threads and Exclusion above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Guarded<T, ManyReaders> {}

/// The value is lent exclusively only.
pub(crate) struct OneAtATime;

/// The value is also shared.
pub(crate) struct ManyReaders;

impl<T, A> Guarded<T, A> {
    /// `all` is how many may read at once, at least one.
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T, all: u32) -> Self {
        Self { permits: Permits::new(all as usize), all, access: PhantomData, value: UnsafeCell::new(value) }
    }

    #[cfg(loom)]
    pub(crate) fn new(value: T, all: u32) -> Self {
        Self { permits: Permits::new(all as usize), all, access: PhantomData, value: UnsafeCell::new(value) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, A> Guarded<T, A> {
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Leads to a cell.
///
/// # Safety
///
/// `guarded` returns the same cell each time, and it stays there, borrowed by nobody but through `&`, as long as the handle
/// lives, also while the handle is moved.
pub(crate) unsafe trait Handle {
    /// What the cell holds.
    type Value: ?Sized;
    /// [`OneAtATime`] or [`ManyReaders`].
    type Access;

    fn guarded(&self) -> &Guarded<Self::Value, Self::Access>;
}

// SAFETY: a field of what is borrowed for the life of the handle.
unsafe impl<T: ?Sized> Handle for &Mutex<T> {
    type Value = T;
    type Access = OneAtATime;

    fn guarded(&self) -> &Guarded<T, OneAtATime> {
        &self.guarded
    }
}

// SAFETY: a field of what the handle keeps alive; an `Arc` lends `&mut` only if there is no other handle.
unsafe impl<T: ?Sized> Handle for Arc<Mutex<T>> {
    type Value = T;
    type Access = OneAtATime;

    fn guarded(&self) -> &Guarded<T, OneAtATime> {
        &self.guarded
    }
}

// SAFETY: a field of what is borrowed for the life of the handle.
unsafe impl<T: ?Sized> Handle for &RwLock<T> {
    type Value = T;
    type Access = ManyReaders;

    fn guarded(&self) -> &Guarded<T, ManyReaders> {
        &self.guarded
    }
}

// SAFETY: a field of what the handle keeps alive; an `Arc` lends `&mut` only if there is no other handle.
unsafe impl<T: ?Sized> Handle for Arc<RwLock<T>> {
    type Value = T;
    type Access = ManyReaders;

    fn guarded(&self) -> &Guarded<T, ManyReaders> {
        &self.guarded
    }
}

/// Permits of a cell.
struct Claim<H: Handle> {
    handle: H,
    /// How many.
    count: u32,
}

impl<H: Handle> Claim<H> {
    /// Waits for so many.
    async fn wait(handle: H, count: u32) -> Self {
        let acquired = handle.guarded().permits.acquire(count as usize).await;
        acquired.expect("nobody closes a lock");
        Self { handle, count }
    }

    fn take(handle: H, count: u32) -> Option<Self> {
        handle.guarded().permits.try_acquire(count as usize).ok()?;
        Some(Self { handle, count })
    }

    fn value(&self) -> *mut H::Value {
        self.handle.guarded().value.get()
    }
}

impl<H: Handle> Drop for Claim<H> {
    fn drop(&mut self) {
        self.handle.guarded().permits.add(self.count as usize);
    }
}

/// The right to read.
pub(crate) struct Shared<H: Handle>(Claim<H>);

impl<H: Handle<Access = ManyReaders>> Shared<H> {
    pub(crate) async fn wait(handle: H) -> Self {
        Self(Claim::wait(handle, 1).await)
    }

    pub(crate) fn take(handle: H) -> Option<Self> {
        Claim::take(handle, 1).map(Self)
    }
}

impl<H: Handle> Shared<H> {
    pub(crate) fn handle(&self) -> &H {
        &self.0.handle
    }
}

impl<H: Handle> Deref for Shared<H> {
    type Target = H::Value;

    fn deref(&self) -> &H::Value {
        // SAFETY: the claim has a permit, so nobody has all (Exclusion); the cell is there while it is borrowed (Place).
        unsafe { &*self.0.value() }
    }
}

/// The right to write.
pub(crate) struct Exclusive<H: Handle<Value = T>, T: ?Sized> {
    claim: Claim<H>,
    /// Shares and sends as `&mut T` would, whatever the handle. Not `H::Value`, which would fix the handle's lifetime.
    value: PhantomData<T>,
}

impl<H: Handle<Value = T>, T: ?Sized> Exclusive<H, T> {
    pub(crate) async fn wait(handle: H) -> Self {
        let all = handle.guarded().all;
        Self { claim: Claim::wait(handle, all).await, value: PhantomData }
    }

    pub(crate) fn take(handle: H) -> Option<Self> {
        let all = handle.guarded().all;
        Some(Self { claim: Claim::take(handle, all)?, value: PhantomData })
    }

    pub(crate) fn handle(&self) -> &H {
        &self.claim.handle
    }
}

impl<H: Handle<Value = T, Access = ManyReaders>, T: ?Sized> Exclusive<H, T> {
    /// Keeps the right to read, and nobody writes between.
    pub(crate) fn downgrade(self) -> Shared<H> {
        let mut claim = self.claim;
        let returned = claim.count - 1;
        claim.count = 1;
        claim.handle.guarded().permits.add(returned as usize);
        Shared(claim)
    }
}

impl<H: Handle<Value = T>, T: ?Sized> Deref for Exclusive<H, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the claim has all permits, and `&mut` of the value only with `&mut self` (Exclusion); the cell is there while
        // it is borrowed (Place).
        unsafe { &*self.claim.value() }
    }
}

impl<H: Handle<Value = T>, T: ?Sized> DerefMut for Exclusive<H, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the claim has all permits, and this is its only borrow (Exclusion); the cell is there while it is borrowed
        // (Place).
        unsafe { &mut *self.claim.value() }
    }
}

impl<H: Handle<Value: fmt::Debug>> fmt::Debug for Shared<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<H: Handle<Value = T>, T: ?Sized + fmt::Debug> fmt::Debug for Exclusive<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
