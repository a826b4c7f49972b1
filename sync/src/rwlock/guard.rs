//! Guards of a read-write lock: dropping one unlocks.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::RwLock;
use crate::cell::{Exclusive, Shared};

/// An [`RwLock`] locked to read. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    pub(super) lock: Shared<&'a RwLock<T>>,
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An [`RwLock`] locked to write. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    pub(super) lock: Exclusive<&'a RwLock<T>, T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Keeps reading and lets other readers in, without a writer between.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = quoit_sync::RwLock::new(1);
    /// let reader = lock.try_write().expect("nobody else").downgrade();
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// # drop(reader);
    /// ```
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { lock: self.lock.downgrade() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.lock
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An [`RwLock`] locked to read, which the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedRwLockReadGuard<T: ?Sized> {
    pub(super) lock: Shared<Arc<RwLock<T>>>,
}

impl<T: ?Sized> OwnedRwLockReadGuard<T> {
    /// The lock. Not a method, so that it hides none of the value's.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.lock.handle()
    }
}

impl<T: ?Sized> Deref for OwnedRwLockReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedRwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for OwnedRwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An [`RwLock`] locked to write, which the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    pub(super) lock: Exclusive<Arc<RwLock<T>>, T>,
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// The lock. Not a method, so that it hides none of the value's.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.lock.handle()
    }

    /// Keeps reading and lets other readers in, without a writer between.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = std::sync::Arc::new(quoit_sync::RwLock::new(1));
    /// let reader = lock.clone().try_write_owned().expect("nobody else").downgrade();
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// # drop(reader);
    /// ```
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard { lock: self.lock.downgrade() }
    }
}

impl<T: ?Sized> Deref for OwnedRwLockWriteGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock
    }
}

impl<T: ?Sized> DerefMut for OwnedRwLockWriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.lock
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
