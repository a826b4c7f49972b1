//! One at a time, also across an await: [`Mutex`].

use std::rc::Rc;

use crate::cell::{Exclusive, Guarded, OneAtATime};
use crate::flavor::OneThread;
use crate::guards::{holds, writes};
use crate::mutex::TryLockError;

/// Lends a value to one at a time. The guard may be held across an await.
///
/// It is fair: who waits longest is next. There is no poison: a panic while it is locked unlocks it, and the next finds the value
/// as it was left. Where nothing is awaited under the lock, a `RefCell` is the better choice.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// use std::rc::Rc;
///
/// use quoit_sync::local::Mutex;
///
/// let count = Rc::new(Mutex::new(0));
/// *count.lock().await += 1;
/// assert_eq!(*count.lock().await, 1);
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    /// With one permit.
    pub(crate) guarded: Guarded<T, OneAtATime, OneThread>,
}

impl<T> Mutex<T> {
    /// Makes one that is not locked.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(quoit_sync::local::Mutex::new(1).try_lock().is_ok());
    /// ```
    pub const fn new(value: T) -> Self {
        Self { guarded: Guarded::alone(value, 1) }
    }

    /// Takes the value out.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::local::Mutex::new(1).into_inner(), 1);
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
    /// # futures_executor::block_on(async {
    /// let mutex = quoit_sync::local::Mutex::new(vec![1]);
    /// mutex.lock().await.push(2);
    /// assert_eq!(*mutex.lock().await, [1, 2]);
    /// # });
    /// ```
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: Exclusive::wait(self).await }
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
    /// let mutex = quoit_sync::local::Mutex::new(1);
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
    /// # futures_executor::block_on(async {
    /// use std::rc::Rc;
    ///
    /// use quoit_sync::local::Mutex;
    ///
    /// let mut guard = Rc::new(Mutex::new(1)).lock_owned().await;
    /// *guard += 1;
    /// # });
    /// ```
    pub async fn lock_owned(self: Rc<Self>) -> OwnedMutexGuard<T> {
        OwnedMutexGuard { lock: Exclusive::wait(self).await }
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
    /// use std::rc::Rc;
    ///
    /// use quoit_sync::local::Mutex;
    ///
    /// let mutex = Rc::new(Mutex::new(1));
    /// let guard = mutex.clone().try_lock_owned().expect("nobody else");
    /// assert!(mutex.try_lock_owned().is_err());
    /// # drop(guard);
    /// ```
    pub fn try_lock_owned(self: Rc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        Ok(OwnedMutexGuard { lock: Exclusive::take(self).ok_or(TryLockError(()))? })
    }

    /// Lends the value without locking: nobody else can have it.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut mutex = quoit_sync::local::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.guarded.get_mut()
    }
}

holds!(Mutex, try_lock);

/// A locked [`Mutex`] that is borrowed. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: Exclusive<&'a Mutex<T>, T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex it locks. Not a method, so that it hides none of the value's.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.lock.handle()
    }
}

/// A locked [`Mutex`] that the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedMutexGuard<T: ?Sized> {
    lock: Exclusive<Rc<Mutex<T>>, T>,
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// The mutex it locks. Not a method, so that it hides none of the value's.
    pub fn mutex(this: &Self) -> &Rc<Mutex<T>> {
        this.lock.handle()
    }
}

writes!(['a, T: ?Sized] MutexGuard<'a, T> => T);
writes!([T: ?Sized] OwnedMutexGuard<T> => T);
