//! Guards of a mutex: dropping one unlocks.

use std::sync::Arc;

use super::Mutex;
use crate::cell::Exclusive;
use crate::guards::writes;
use crate::permits::Permits;

/// A locked [`Mutex`] that is borrowed. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) lock: Exclusive<&'a Mutex<T>, T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex it locks. Not a method, so that it hides none of the value's.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.try_lock().expect("nobody else");
    /// assert!(std::ptr::eq(MutexGuard::mutex(&guard), &mutex));
    /// ```
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.lock.handle()
    }

    /// Keeps the lock, and lends a part of the value only. Not a method, so that it hides none of the value's.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new((1, 2));
    /// let mut second = MutexGuard::map(mutex.try_lock().expect("nobody else"), |pair| &mut pair.1);
    /// *second += 1;
    /// assert!(mutex.try_lock().is_err());
    /// drop(second);
    /// assert_eq!(mutex.into_inner(), (1, 3));
    /// ```
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&mut T) -> &mut U) -> MappedMutexGuard<'a, U> {
        MappedMutexGuard { lock: this.lock.map(f).erase() }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new(vec![1]);
    /// let guard = mutex.try_lock().expect("nobody else");
    /// let guard = MutexGuard::try_map(guard, |list| list.get_mut(1)).expect_err("there is one only");
    /// assert_eq!(MutexGuard::try_map(guard, |list| list.get_mut(0)).map(|first| *first).ok(), Some(1));
    /// ```
    pub fn try_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(MappedMutexGuard { lock: lock.erase() }),
            Err(lock) => Err(Self { lock }),
        }
    }
}

/// A part of the value of a locked [`Mutex`], by [`MutexGuard::map`]. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    lock: Exclusive<&'a Permits, T>,
}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// Lends a part of the part only, as [`MutexGuard::map`].
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&mut T) -> &mut U) -> MappedMutexGuard<'a, U> {
        MappedMutexGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(MappedMutexGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
    }
}

/// A locked [`Mutex`] that the guard keeps alive. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedMutexGuard<T: ?Sized> {
    pub(super) lock: Exclusive<Arc<Mutex<T>>, T>,
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// The mutex it locks. Not a method, so that it hides none of the value's.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::{Mutex, OwnedMutexGuard};
    ///
    /// let guard = Arc::new(Mutex::new(1)).try_lock_owned().expect("nobody else");
    /// let mutex = OwnedMutexGuard::mutex(&guard).clone();
    /// drop(guard);
    /// assert_eq!(*mutex.blocking_lock(), 1);
    /// ```
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        this.lock.handle()
    }

    /// Keeps the lock, and lends a part of the value only, as [`MutexGuard::map`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::{Mutex, OwnedMutexGuard};
    ///
    /// let guard = Arc::new(Mutex::new((1, 2))).try_lock_owned().expect("nobody else");
    /// let second = OwnedMutexGuard::map(guard, |pair| &mut pair.1);
    /// std::thread::spawn(move || assert_eq!(*second, 2)).join().expect("no panic");
    /// ```
    pub fn map<U: ?Sized>(this: Self, f: impl FnOnce(&mut T) -> &mut U) -> OwnedMappedMutexGuard<T, U> {
        OwnedMappedMutexGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<U: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<OwnedMappedMutexGuard<T, U>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(OwnedMappedMutexGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
    }
}

/// A part of the value of a locked [`Mutex`] that the guard keeps alive, by [`OwnedMutexGuard::map`]. Dropping it unlocks.
#[must_use = "dropped, it unlocks at once"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    lock: Exclusive<Arc<Mutex<T>>, U>,
}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    /// Lends a part of the part only, as [`MutexGuard::map`].
    pub fn map<S: ?Sized>(this: Self, f: impl FnOnce(&mut U) -> &mut S) -> OwnedMappedMutexGuard<T, S> {
        OwnedMappedMutexGuard { lock: this.lock.map(f) }
    }

    /// The same as [`map`](Self::map) if there is such a part.
    ///
    /// # Errors
    ///
    /// Returns the guard if there is none.
    pub fn try_map<S: ?Sized>(
        this: Self,
        f: impl FnOnce(&mut U) -> Option<&mut S>,
    ) -> Result<OwnedMappedMutexGuard<T, S>, Self> {
        match this.lock.try_map(f) {
            Ok(lock) => Ok(OwnedMappedMutexGuard { lock }),
            Err(lock) => Err(Self { lock }),
        }
    }
}

writes!(['a, T: ?Sized] MutexGuard<'a, T> => T);
writes!(['a, T: ?Sized] MappedMutexGuard<'a, T> => T);
writes!([T: ?Sized] OwnedMutexGuard<T> => T);
writes!([T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);
