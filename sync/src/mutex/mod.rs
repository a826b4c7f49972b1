//! One at a time, also across an await: [`Mutex`].

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::block::block_on;
use crate::cell::{Exclusive, Guarded, OneAtATime};
use crate::guards::holds;

pub use self::guard::{MappedMutexGuard, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard};

mod guard;

/// Lends a value to one at a time. The guard may be held across an await.
///
/// It is fair: who waits longest is next. There is no poison: a panic while it is locked unlocks it, and the next finds the value
/// as it was left.
///
/// Where nothing is awaited under the lock, `std::sync::Mutex` is the better choice.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::sync::Arc;
///
/// use quoit_sync::Mutex;
///
/// let count = Arc::new(Mutex::new(0));
/// let other = count.clone();
/// let adder = std::thread::spawn(move || *other.blocking_lock() += 1);
/// *count.lock().await += 1;
/// adder.join().expect("no panic");
/// assert_eq!(*count.lock().await, 2);
/// # }
/// ```
pub struct Mutex<T: ?Sized> {
    /// With one permit.
    pub(crate) guarded: Guarded<T, OneAtATime>,
}

impl<T> Mutex<T> {
    /// Makes one that is not locked.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(quoit_sync::Mutex::new(1).try_lock().is_ok());
    /// ```
    pub fn new(value: T) -> Self {
        Self { guarded: Guarded::new(value, 1) }
    }

    /// The same as [`new`](Self::new), for statics.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::Mutex;
    ///
    /// static NAMES: Mutex<Vec<String>> = Mutex::const_new(Vec::new());
    /// NAMES.blocking_lock().push("a".to_owned());
    /// ```
    #[cfg(not(loom))]
    pub const fn const_new(value: T) -> Self {
        Self { guarded: Guarded::new(value, 1) }
    }

    /// Takes the value out.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::Mutex::new(1).into_inner(), 1);
    /// ```
    pub fn into_inner(self) -> T {
        self.guarded.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for its turn and locks.
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
    /// let mutex = quoit_sync::Mutex::new(vec![1]);
    /// mutex.lock().await.push(2);
    /// assert_eq!(*mutex.lock().await, [1, 2]);
    /// # }
    /// ```
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: Exclusive::wait(self).await }
    }

    /// Locks in a plain thread, which is parked until it is its turn.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from who holds the lock: await
    /// [`lock`](Self::lock) there.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = quoit_sync::Mutex::new(0);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| *mutex.blocking_lock() += 1);
    ///     scope.spawn(|| *mutex.blocking_lock() += 1);
    /// });
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        block_on(self.lock())
    }

    /// Locks if nobody holds the lock or waits for it.
    ///
    /// # Errors
    ///
    /// If somebody does.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = quoit_sync::Mutex::new(1);
    /// let guard = mutex.try_lock().expect("nobody else");
    /// assert!(mutex.try_lock().is_err());
    /// # drop(guard);
    /// ```
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        Ok(MutexGuard { lock: Exclusive::take(self).ok_or(TryLockError(()))? })
    }

    /// Waits for its turn and locks, with a guard that keeps the mutex alive.
    ///
    /// # Cancel safety
    ///
    /// As with [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::Mutex;
    ///
    /// let mut guard = Arc::new(Mutex::new(1)).lock_owned().await;
    /// std::thread::spawn(move || *guard += 1).join().expect("no panic");
    /// # }
    /// ```
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        OwnedMutexGuard { lock: Exclusive::wait(self).await }
    }

    /// Locks in a plain thread as [`blocking_lock`](Self::blocking_lock), with a guard that keeps the mutex alive.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::Mutex;
    ///
    /// let mutex = Arc::new(Mutex::new(1));
    /// let guard = mutex.clone().blocking_lock_owned();
    /// assert!(mutex.try_lock().is_err());
    /// # drop(guard);
    /// ```
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        block_on(self.lock_owned())
    }

    /// Locks if nobody holds the lock or waits for it, with a guard that keeps the mutex alive.
    ///
    /// # Errors
    ///
    /// If somebody does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::Mutex;
    ///
    /// let mutex = Arc::new(Mutex::new(1));
    /// let guard = mutex.clone().try_lock_owned().expect("nobody else");
    /// assert!(mutex.try_lock_owned().is_err());
    /// # drop(guard);
    /// ```
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        Ok(OwnedMutexGuard { lock: Exclusive::take(self).ok_or(TryLockError(()))? })
    }

    /// Lends the value without locking: nobody else can have it.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut mutex = quoit_sync::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.guarded.get_mut()
    }
}

holds!(Mutex, try_lock);

/// The lock is held or waited for by somebody else.
#[derive(Debug)]
pub struct TryLockError(pub(crate) ());

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("operation would block")
    }
}

impl Error for TryLockError {}
