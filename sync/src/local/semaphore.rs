//! A bound on how many do something at once: [`Semaphore`].

use std::rc::Rc;

use crate::flavor::OneThread;
use crate::permits::{AcquireError, MAX_PERMITS, Permits, TryAcquireError};
use crate::semaphore::permit_type;

/// Hands out permits, and lets those wait who find none.
///
/// It is fair: who waits longest is served first, and permits that come back pile up for it until it has all it asked for.
/// Meanwhile nobody else gets one, even who asks for fewer.
///
/// # Examples
///
/// At most two at once:
///
/// ```
/// # futures_executor::block_on(async {
/// use quoit_sync::local::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(2);
/// let first = semaphore.acquire().await.expect("nobody closes it");
/// let _second = semaphore.acquire().await.expect("nobody closes it");
/// assert_eq!(semaphore.try_acquire().err(), Some(TryAcquireError::NoPermits));
/// drop(first);
/// assert!(semaphore.try_acquire().is_ok());
/// # });
/// ```
#[derive(Debug)]
pub struct Semaphore {
    permits: Permits<OneThread>,
}

impl Semaphore {
    /// The most permits there may be.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// Makes one with so many permits.
    ///
    /// # Panics
    ///
    /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "a semaphore has at most `MAX_PERMITS` permits");
        Self { permits: Permits::alone(permits) }
    }

    /// How many permits can be taken now. None while somebody waits.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds permits for good, also to a semaphore that is closed.
    ///
    /// # Panics
    ///
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would then be available.
    pub fn add_permits(&self, n: usize) {
        self.permits.add(n);
    }

    /// Removes up to `n` of the available permits for good, and returns how many it found.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::local::Semaphore::new(3);
    /// assert_eq!(semaphore.forget_permits(2), 2);
    /// assert_eq!(semaphore.forget_permits(2), 1);
    /// ```
    pub fn forget_permits(&self, n: usize) -> usize {
        self.permits.forget(n)
    }

    /// Waits for one permit.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped loses its place in the queue, but no permit: what it was given goes back.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for `n` permits at once. None is taken, and nobody waited for, if `n` is 0.
    ///
    /// More than there are may be asked for: it waits until somebody [adds](Self::add_permits) enough.
    ///
    /// # Cancel safety
    ///
    /// As with [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// let semaphore = quoit_sync::local::Semaphore::new(5);
    /// let permit = semaphore.acquire_many(3).await.expect("nobody closes it");
    /// assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// # });
    /// ```
    pub async fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.permits.acquire(n as usize).await?;
        Ok(SemaphorePermit::new(self, n as usize))
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// [`NoPermits`](TryAcquireError::NoPermits) if there is none or somebody waits for one, [`Closed`](TryAcquireError::Closed)
    /// if the semaphore is closed.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if there are so many.
    ///
    /// # Errors
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.permits.try_acquire(n as usize)?;
        Ok(SemaphorePermit::new(self, n as usize))
    }

    /// Waits for one permit that keeps the semaphore alive.
    ///
    /// # Cancel safety
    ///
    /// As with [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::rc::Rc;
    ///
    /// use quoit_sync::local::Semaphore;
    ///
    /// let permit = Rc::new(Semaphore::new(1)).acquire_owned().await.expect("nobody closes it");
    /// assert_eq!(permit.semaphore().available_permits(), 0);
    /// # });
    /// ```
    pub async fn acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// Waits for `n` permits at once that keep the semaphore alive.
    ///
    /// # Cancel safety
    ///
    /// As with [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    pub async fn acquire_many_owned(self: Rc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.permits.acquire(n as usize).await?;
        Ok(OwnedSemaphorePermit::new(self, n as usize))
    }

    /// Takes a permit that keeps the semaphore alive, if there is one.
    ///
    /// # Errors
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes `n` permits that keep the semaphore alive, if there are so many.
    ///
    /// # Errors
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many_owned(self: Rc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.permits.try_acquire(n as usize)?;
        Ok(OwnedSemaphorePermit::new(self, n as usize))
    }

    /// Closes it for good: who waits for a permit and who will ask for one gets an error. Permits that are out stay valid.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// let semaphore = quoit_sync::local::Semaphore::new(1);
    /// semaphore.close();
    /// assert!(semaphore.acquire().await.is_err());
    /// # });
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

permit_type! {
    /// Permits of a [`Semaphore`] that is borrowed.
    ///
    /// Dropping it returns them.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::local::Semaphore::new(3);
    /// let mut permit = semaphore.try_acquire_many(2).expect("two permits");
    /// permit.merge(semaphore.try_acquire().expect("the third"));
    /// permit.split(1).expect("one of three").forget();
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    ['a] SemaphorePermit<'a>, &'a Semaphore, &Semaphore, |permit| permit.semaphore
}

permit_type! {
    /// Permits of a [`Semaphore`] that they keep alive.
    ///
    /// Dropping it returns them.
    [] OwnedSemaphorePermit, Rc<Semaphore>, &Rc<Semaphore>, |permit| &permit.semaphore
}
