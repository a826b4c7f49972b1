//! Many readers or one writer, also across an await: [`RwLock`].

use std::rc::Rc;

use crate::cell::{Exclusive, Guarded, ManyReaders, Shared};
use crate::flavor::OneThread;
use crate::guards::{holds, reads, writes};
use crate::mutex::TryLockError;
use crate::rwlock::MAX_READERS;

/// Lends a value to many readers or to one writer. The guards may be held across an await.
///
/// It is fair: who waits longest is next. A reader that comes while a writer waits waits behind it, so that readers do not starve
/// the writers; a task that reads already and asks once more while a writer waits between is a deadlock. There is no poison.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// let lock = quoit_sync::local::RwLock::new(1);
/// {
///     let (one, other) = (lock.read().await, lock.read().await);
///     assert_eq!(*one + *other, 2);
/// }
/// *lock.write().await += 1;
/// assert_eq!(lock.into_inner(), 2);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    /// With a permit for each reader there may be.
    pub(crate) guarded: Guarded<T, ManyReaders, OneThread>,
}

impl<T> RwLock<T> {
    /// Makes one that nobody reads or writes.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(quoit_sync::local::RwLock::new(1).try_write().is_ok());
    /// ```
    pub const fn new(value: T) -> Self {
        Self { guarded: Guarded::alone(value, MAX_READERS) }
    }

    /// Takes the value out.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::local::RwLock::new(1).into_inner(), 1);
    /// ```
    pub fn into_inner(self) -> T {
        self.guarded.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, nor waits to write since longer, and locks to read.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped loses its place in the queue, but does not keep the lock: that passes to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// let lock = quoit_sync::local::RwLock::new(1);
    /// let readers = (lock.read().await, lock.read().await);
    /// assert_eq!(*readers.0, *readers.1);
    /// # });
    /// ```
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { lock: Shared::wait(self).await }
    }

    /// Waits until nobody reads or writes, and locks to write.
    ///
    /// # Cancel safety
    ///
    /// As with [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// let lock = quoit_sync::local::RwLock::new(1);
    /// *lock.write().await += 1;
    /// assert_eq!(*lock.read().await, 2);
    /// # });
    /// ```
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { lock: Exclusive::wait(self).await }
    }

    /// Locks to read if nobody writes or waits.
    ///
    /// # Errors
    ///
    /// If somebody does.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = quoit_sync::local::RwLock::new(1);
    /// let reader = lock.try_read().expect("nobody writes");
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// # drop(reader);
    /// ```
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        Ok(RwLockReadGuard { lock: Shared::take(self).ok_or(TryLockError(()))? })
    }

    /// Locks to write if nobody reads, writes or waits.
    ///
    /// # Errors
    ///
    /// If somebody does.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = quoit_sync::local::RwLock::new(1);
    /// let writer = lock.try_write().expect("nobody else");
    /// assert!(lock.try_read().is_err() && lock.try_write().is_err());
    /// # drop(writer);
    /// ```
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        Ok(RwLockWriteGuard { lock: Exclusive::take(self).ok_or(TryLockError(()))? })
    }

    /// Locks to read as [`read`](Self::read), with a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// As with [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::rc::Rc;
    ///
    /// let lock = Rc::new(quoit_sync::local::RwLock::new(1));
    /// let reader = lock.clone().read_owned().await;
    /// assert!(lock.try_write().is_err());
    /// # drop(reader);
    /// # });
    /// ```
    pub async fn read_owned(self: Rc<Self>) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard { lock: Shared::wait(self).await }
    }

    /// Locks to write as [`write`](Self::write), with a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// As with [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::rc::Rc;
    ///
    /// let lock = Rc::new(quoit_sync::local::RwLock::new(1));
    /// *lock.clone().write_owned().await += 1;
    /// assert_eq!(*lock.read().await, 2);
    /// # });
    /// ```
    pub async fn write_owned(self: Rc<Self>) -> OwnedRwLockWriteGuard<T> {
        OwnedRwLockWriteGuard { lock: Exclusive::wait(self).await }
    }

    /// Lends the value without locking: nobody else can have it.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lock = quoit_sync::local::RwLock::new(1);
    /// *lock.get_mut() += 1;
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.guarded.get_mut()
    }
}

holds!(RwLock, try_read);

/// An [`RwLock`] locked to read. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: Shared<&'a RwLock<T>, T>,
}

/// An [`RwLock`] locked to write. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: Exclusive<&'a RwLock<T>, T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Keeps reading and lets other readers in, without a writer between.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = quoit_sync::local::RwLock::new(1);
    /// let reader = lock.try_write().expect("nobody else").downgrade();
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// # drop(reader);
    /// ```
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { lock: self.lock.downgrade() }
    }
}

/// An [`RwLock`] locked to read, which the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedRwLockReadGuard<T: ?Sized> {
    lock: Shared<Rc<RwLock<T>>, T>,
}

/// An [`RwLock`] locked to write, which the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    lock: Exclusive<Rc<RwLock<T>>, T>,
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// Keeps reading and lets other readers in, without a writer between.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard { lock: self.lock.downgrade() }
    }
}

reads!(['a, T: ?Sized] RwLockReadGuard<'a, T> => T);
writes!(['a, T: ?Sized] RwLockWriteGuard<'a, T> => T);
reads!([T: ?Sized] OwnedRwLockReadGuard<T> => T);
writes!([T: ?Sized] OwnedRwLockWriteGuard<T> => T);
