//! Many readers or one writer, also across an await: [`RwLock`].

use std::sync::Arc;

use crate::block::block_on;
use crate::cell::{Exclusive, Guarded, ManyReaders, Shared};
use crate::guards::holds;
use crate::mutex::TryLockError;

pub use self::guard::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockMappedWriteGuard, RwLockReadGuard,
    RwLockWriteGuard,
};

mod guard;

/// Lends a value to many readers or to one writer. The guards may be held across an await.
///
/// It is fair: who waits longest is next. A reader that comes while a writer waits waits behind it, so that readers do not starve
/// the writers; a task that reads already and asks once more while a writer waits between is a deadlock. There is no poison.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lock = quoit_sync::RwLock::new(1);
/// {
///     let (one, other) = (lock.read().await, lock.read().await);
///     assert_eq!(*one + *other, 2);
/// }
/// *lock.write().await += 1;
/// assert_eq!(lock.into_inner(), 2);
/// # }
/// ```
pub struct RwLock<T: ?Sized> {
    /// With a permit for each reader there may be.
    pub(crate) guarded: Guarded<T, ManyReaders>,
}

impl<T> RwLock<T> {
    /// Makes one that nobody reads or writes.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(quoit_sync::RwLock::new(1).try_write().is_ok());
    /// ```
    pub fn new(value: T) -> Self {
        Self { guarded: Guarded::new(value, MAX_READERS) }
    }

    /// The same as [`new`](Self::new), but more readers than `max_reads` at once wait for each other.
    ///
    /// # Panics
    ///
    /// If that is 0, or more than `u32::MAX >> 3`.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = quoit_sync::RwLock::with_max_readers(1, 1);
    /// let reader = lock.try_read().expect("nobody else");
    /// assert!(lock.try_read().is_err());
    /// # drop(reader);
    /// ```
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> Self {
        assert!(max_reads > 0 && max_reads <= MAX_READERS, "a lock has 1 to {MAX_READERS} readers, not {max_reads}");
        Self { guarded: Guarded::new(value, max_reads) }
    }

    /// The same as [`new`](Self::new), for statics.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::RwLock;
    ///
    /// static LIMIT: RwLock<u32> = RwLock::const_new(10);
    /// *LIMIT.blocking_write() = 20;
    /// assert_eq!(*LIMIT.blocking_read(), 20);
    /// ```
    #[cfg(not(loom))]
    pub const fn const_new(value: T) -> Self {
        Self { guarded: Guarded::new(value, MAX_READERS) }
    }

    /// The same as [`with_max_readers`](Self::with_max_readers), for statics.
    ///
    /// # Panics
    ///
    /// If that is 0, or more than `u32::MAX >> 3`: in a static, when it is compiled.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::RwLock;
    ///
    /// static LOCK: RwLock<u8> = RwLock::const_with_max_readers(1, 2);
    /// let readers = (LOCK.try_read(), LOCK.try_read());
    /// assert!(readers.1.is_ok() && LOCK.try_read().is_err());
    /// ```
    #[cfg(not(loom))]
    #[track_caller]
    pub const fn const_with_max_readers(value: T, max_reads: u32) -> Self {
        assert!(max_reads > 0 && max_reads <= MAX_READERS, "a lock has 1 to `u32::MAX >> 3` readers");
        Self { guarded: Guarded::new(value, max_reads) }
    }

    /// Takes the value out.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::RwLock::new(1).into_inner(), 1);
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
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let lock = quoit_sync::RwLock::new(1);
    /// let readers = (lock.read().await, lock.read().await);
    /// assert_eq!(*readers.0, *readers.1);
    /// # }
    /// ```
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { lock: Shared::wait(self).await.erase() }
    }

    /// Waits until nobody reads or writes, and locks to write.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped loses its place in the queue, but does not keep the lock: that passes to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let lock = quoit_sync::RwLock::new(1);
    /// *lock.write().await += 1;
    /// assert_eq!(*lock.read().await, 2);
    /// # }
    /// ```
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { lock: Exclusive::wait(self).await }
    }

    /// Locks to read in a plain thread, which is parked meanwhile.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from the writer: await
    /// [`read`](Self::read) there.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = quoit_sync::RwLock::new(1);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| *lock.blocking_write() += 1);
    /// });
    /// assert_eq!(*lock.blocking_read(), 2);
    /// ```
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        block_on(self.read())
    }

    /// Locks to write in a plain thread, which is parked meanwhile.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from the readers: await
    /// [`write`](Self::write) there.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = quoit_sync::RwLock::new(1);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| *lock.blocking_write() += 1);
    /// });
    /// assert_eq!(*lock.blocking_write(), 2);
    /// ```
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        block_on(self.write())
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
    /// let lock = quoit_sync::RwLock::new(1);
    /// let reader = lock.try_read().expect("nobody writes");
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// # drop(reader);
    /// ```
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        Ok(RwLockReadGuard { lock: Shared::take(self).ok_or(TryLockError(()))?.erase() })
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
    /// let lock = quoit_sync::RwLock::new(1);
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
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::RwLock;
    ///
    /// let lock = Arc::new(RwLock::new(1));
    /// let reader = lock.clone().read_owned().await;
    /// let thread = std::thread::spawn(move || assert_eq!(*reader, 1));
    /// assert_eq!(*lock.read().await, 1);
    /// # thread.join().expect("no panic");
    /// # }
    /// ```
    pub async fn read_owned(self: Arc<Self>) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard { lock: Shared::wait(self).await }
    }

    /// Locks to write as [`write`](Self::write), with a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// As with [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::RwLock;
    ///
    /// let lock = Arc::new(RwLock::new(1));
    /// let mut writer = lock.clone().write_owned().await;
    /// std::thread::spawn(move || *writer += 1);
    /// assert!([1, 2].contains(&*lock.read().await));
    /// # }
    /// ```
    pub async fn write_owned(self: Arc<Self>) -> OwnedRwLockWriteGuard<T> {
        OwnedRwLockWriteGuard { lock: Exclusive::wait(self).await }
    }

    /// Locks to read as [`try_read`](Self::try_read), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// If somebody writes or waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::RwLock;
    ///
    /// let lock = Arc::new(RwLock::new(1));
    /// let reader = lock.clone().try_read_owned().expect("nobody writes");
    /// assert!(lock.try_read_owned().is_ok());
    /// # drop(reader);
    /// ```
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        Ok(OwnedRwLockReadGuard { lock: Shared::take(self).ok_or(TryLockError(()))? })
    }

    /// Locks to write as [`try_write`](Self::try_write), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// If somebody reads, writes or waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::RwLock;
    ///
    /// let lock = Arc::new(RwLock::new(1));
    /// let writer = lock.clone().try_write_owned().expect("nobody else");
    /// assert!(lock.try_write_owned().is_err());
    /// # drop(writer);
    /// ```
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        Ok(OwnedRwLockWriteGuard { lock: Exclusive::take(self).ok_or(TryLockError(()))? })
    }

    /// Lends the value without locking: nobody else can have it.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lock = quoit_sync::RwLock::new(1);
    /// *lock.get_mut() += 1;
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.guarded.get_mut()
    }
}

holds!(RwLock, try_read);

/// As many readers as tokio has.
pub(crate) const MAX_READERS: u32 = u32::MAX >> 3;
