//! Guards of a read-write lock: dropping one unlocks.

use std::sync::Arc;

use super::RwLock;
use crate::cell::{Exclusive, Shared};
use crate::guards::{reads, writes};
use crate::permits::Permits;

/// An [`RwLock`] locked to read. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    pub(super) lock: Shared<&'a Permits, T>,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// Keeps the lock, and lends a part of the value only. Not a method, so that it hides none of the value's.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::{RwLock, RwLockReadGuard};
    ///
    /// let lock = RwLock::new((1, 2));
    /// let second = RwLockReadGuard::map(lock.try_read().expect("nobody writes"), |pair| &pair.1);
    /// assert_eq!(*second, 2);
    /// ```
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&T) -> &U) -> RwLockReadGuard<'a, U> {
        RwLockReadGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<U: ?Sized>(this: Self, f: impl FnOnce(&T) -> Option<&U>) -> Result<RwLockReadGuard<'a, U>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(RwLockReadGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
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
        RwLockReadGuard { lock: self.lock.downgrade().erase() }
    }

    /// Keeps reading a part of the value, as [`downgrade`](Self::downgrade) and [`RwLockReadGuard::map`].
    pub fn downgrade_map<U: ?Sized>(this: Self, f: impl FnOnce(&T) -> &U) -> RwLockReadGuard<'a, U> {
        RwLockReadGuard::map(this.downgrade(), f)
    }

    /// The same as [`downgrade_map`](Self::downgrade_map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard, still locked to write, if there is none.
    pub fn try_downgrade_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<RwLockReadGuard<'a, U>, Self> {
        match this.lock.try_downgrade_map(f) {
            Ok(lock) => Ok(RwLockReadGuard { lock: lock.erase() }),
            Err(lock) => Err(Self { lock }),
        }
    }

    /// Keeps the lock, and lends a part of the value only. Not a method, so that it hides none of the value's.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new((1, 2));
    /// *RwLockWriteGuard::map(lock.try_write().expect("nobody else"), |pair| &mut pair.1) += 1;
    /// assert_eq!(lock.into_inner(), (1, 3));
    /// ```
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&mut T) -> &mut U) -> RwLockMappedWriteGuard<'a, U> {
        RwLockMappedWriteGuard { lock: this.lock.map(f).erase() }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(RwLockMappedWriteGuard { lock: lock.erase() }),
            Err(lock) => Err(Self { lock }),
        }
    }

    /// The same guard under the type of those that lend a part, of the whole.
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        RwLockMappedWriteGuard { lock: this.lock.erase() }
    }
}

/// A part of the value of an [`RwLock`] locked to write, by [`RwLockWriteGuard::map`]. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    lock: Exclusive<&'a Permits, T>,
}

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    /// Lends a part of the part only, as [`RwLockWriteGuard::map`].
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&mut T) -> &mut U) -> RwLockMappedWriteGuard<'a, U> {
        RwLockMappedWriteGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(RwLockMappedWriteGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
    }
}

/// An [`RwLock`] locked to read, which the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedRwLockReadGuard<T: ?Sized, U: ?Sized = T> {
    pub(super) lock: Shared<Arc<RwLock<T>>, U>,
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    /// The lock. Not a method, so that it hides none of the value's.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.lock.handle()
    }

    /// Keeps the lock, and lends a part of the value only, as [`RwLockReadGuard::map`].
    pub fn map<V: ?Sized>(this: Self, f: impl FnOnce(&U) -> &V) -> OwnedRwLockReadGuard<T, V> {
        OwnedRwLockReadGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<V: ?Sized>(
        this: Self,
        f: impl FnOnce(&U) -> Option<&V>,
    ) -> Result<OwnedRwLockReadGuard<T, V>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(OwnedRwLockReadGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
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

    /// Keeps reading a part of the value, as [`downgrade`](Self::downgrade) and [`OwnedRwLockReadGuard::map`].
    pub fn downgrade_map<U: ?Sized>(this: Self, f: impl FnOnce(&T) -> &U) -> OwnedRwLockReadGuard<T, U> {
        OwnedRwLockReadGuard::map(this.downgrade(), f)
    }

    /// The same as [`downgrade_map`](Self::downgrade_map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard, still locked to write, if there is none.
    pub fn try_downgrade_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<OwnedRwLockReadGuard<T, U>, Self> {
        match this.lock.try_downgrade_map(f) {
            Ok(lock) => Ok(OwnedRwLockReadGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
    }

    /// Keeps the lock, and lends a part of the value only, as [`RwLockWriteGuard::map`].
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&mut T) -> &mut U) -> OwnedRwLockMappedWriteGuard<T, U> {
        OwnedRwLockMappedWriteGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, U>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(OwnedRwLockMappedWriteGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
    }

    /// The same guard under the type of those that lend a part, of the whole.
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        OwnedRwLockMappedWriteGuard { lock: this.lock }
    }
}

/// A part of the value of an [`RwLock`] locked to write, which the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized, U: ?Sized = T> {
    lock: Exclusive<Arc<RwLock<T>>, U>,
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockMappedWriteGuard<T, U> {
    /// The lock. Not a method, so that it hides none of the value's.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.lock.handle()
    }

    /// Lends a part of the part only, as [`RwLockWriteGuard::map`].
    pub fn map<V: ?Sized>(this: Self, f: impl FnOnce(&mut U) -> &mut V) -> OwnedRwLockMappedWriteGuard<T, V> {
        OwnedRwLockMappedWriteGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<V: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut U) -> Option<&mut V>,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, V>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(OwnedRwLockMappedWriteGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
    }
}

reads!(['a, T: ?Sized] RwLockReadGuard<'a, T> => T);
writes!(['a, T: ?Sized] RwLockWriteGuard<'a, T> => T);
writes!(['a, T: ?Sized] RwLockMappedWriteGuard<'a, T> => T);
reads!([T: ?Sized, U: ?Sized] OwnedRwLockReadGuard<T, U> => U);
writes!([T: ?Sized] OwnedRwLockWriteGuard<T> => T);
writes!([T: ?Sized, U: ?Sized] OwnedRwLockMappedWriteGuard<T, U> => U);
