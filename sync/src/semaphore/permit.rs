//! Permits of a semaphore, held until they are dropped.

use std::mem;
use std::ptr;
use std::sync::Arc;

use super::Semaphore;

/// Permits of a [`Semaphore`] that is borrowed.
///
/// Dropping it returns them.
#[must_use = "the permits go back when this is dropped"]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    /// How many; zero when they have gone elsewhere.
    count: usize,
}

impl<'a> SemaphorePermit<'a> {
    pub(super) fn new(semaphore: &'a Semaphore, count: usize) -> Self {
        Self { semaphore, count }
    }

    /// Keeps the permits from the semaphore for good.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(2);
    /// semaphore.try_acquire().expect("a permit").forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Adds the permits of another of the same semaphore.
    ///
    /// # Panics
    ///
    /// If it is of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(2);
    /// let mut permit = semaphore.try_acquire().expect("a permit");
    /// permit.merge(semaphore.try_acquire().expect("another"));
    /// assert_eq!(permit.num_permits(), 2);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(ptr::eq(self.semaphore, other.semaphore), "merged permits are of one semaphore");
        self.count += mem::take(&mut other.count);
    }

    /// Splits `n` permits off, or returns `None` and changes nothing if there are fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(2);
    /// let mut permit = semaphore.try_acquire_many(2).expect("two permits");
    /// assert!(permit.split(3).is_none());
    /// let one = permit.split(1).expect("one of two");
    /// assert_eq!((permit.num_permits(), one.num_permits()), (1, 1));
    /// ```
    #[must_use = "the permits go back when what is returned is dropped"]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.count = self.count.checked_sub(n)?;
        Some(Self::new(self.semaphore, n))
    }

    /// How many permits it holds.
    pub fn num_permits(&self) -> usize {
        self.count
    }

    /// Whose permits they are.
    pub fn semaphore(&self) -> &Semaphore {
        self.semaphore
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.add_permits(self.count);
        }
    }
}

/// Permits of a [`Semaphore`] that they keep alive.
///
/// Dropping it returns them.
#[must_use = "the permits go back when this is dropped"]
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    /// How many; zero when they have gone elsewhere.
    count: usize,
}

impl OwnedSemaphorePermit {
    pub(super) fn new(semaphore: Arc<Semaphore>, count: usize) -> Self {
        Self { semaphore, count }
    }

    /// Keeps the permits from the semaphore for good.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(quoit_sync::Semaphore::new(2));
    /// semaphore.clone().try_acquire_owned().expect("a permit").forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Adds the permits of another of the same semaphore.
    ///
    /// # Panics
    ///
    /// If it is of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(quoit_sync::Semaphore::new(2));
    /// let mut permit = semaphore.clone().try_acquire_owned().expect("a permit");
    /// permit.merge(semaphore.clone().try_acquire_owned().expect("another"));
    /// assert_eq!(permit.num_permits(), 2);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "merged permits are of one semaphore");
        self.count += mem::take(&mut other.count);
    }

    /// Splits `n` permits off, or returns `None` and changes nothing if there are fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(quoit_sync::Semaphore::new(2));
    /// let mut permit = semaphore.clone().try_acquire_many_owned(2).expect("two permits");
    /// assert!(permit.split(3).is_none());
    /// let one = permit.split(1).expect("one of two");
    /// assert_eq!((permit.num_permits(), one.num_permits()), (1, 1));
    /// ```
    #[must_use = "the permits go back when what is returned is dropped"]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.count = self.count.checked_sub(n)?;
        Some(Self::new(self.semaphore.clone(), n))
    }

    /// How many permits it holds.
    pub fn num_permits(&self) -> usize {
        self.count
    }

    /// Whose permits they are.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.add_permits(self.count);
        }
    }
}
