//! A bound on how many do something at once: [`Semaphore`].

use std::sync::Arc;

use crate::block::block_on;
use crate::permits::{MAX_PERMITS, Permits};

pub(crate) use self::permit::permit as permit_type;
pub use self::permit::{OwnedSemaphorePermit, SemaphorePermit};
pub use crate::permits::{AcquireError, TryAcquireError};

mod permit;

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
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use quoit_sync::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(2);
/// let first = semaphore.acquire().await.expect("nobody closes it");
/// let _second = semaphore.acquire().await.expect("nobody closes it");
/// assert_eq!(semaphore.try_acquire().err(), Some(TryAcquireError::NoPermits));
/// drop(first);
/// assert!(semaphore.try_acquire().is_ok());
/// # }
/// ```
#[derive(Debug)]
pub struct Semaphore {
    permits: Permits,
}

impl Semaphore {
    /// The most permits there may be.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// Makes one with so many permits.
    ///
    /// # Panics
    ///
    /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::Semaphore::new(3).available_permits(), 3);
    /// ```
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "a semaphore has at most {} permits, not {permits}", Self::MAX_PERMITS);
        Self { permits: Permits::new(permits) }
    }

    /// The same as [`new`](Self::new), for statics.
    ///
    /// # Panics
    ///
    /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS): in a static, when it is compiled.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::Semaphore;
    ///
    /// static HANDLES: Semaphore = Semaphore::const_new(100);
    /// assert_eq!(HANDLES.available_permits(), 100);
    /// ```
    #[cfg(not(loom))]
    #[track_caller]
    pub const fn const_new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "a semaphore has at most `MAX_PERMITS` permits");
        Self { permits: Permits::new(permits) }
    }

    /// How many permits can be taken now. None while somebody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(3);
    /// let _permit = semaphore.try_acquire().expect("one of three");
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds permits for good, also to a semaphore that is closed.
    ///
    /// # Panics
    ///
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would then be available.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    pub fn add_permits(&self, n: usize) {
        self.permits.add(n);
    }

    /// Removes up to `n` of the available permits for good, and returns how many it found.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(3);
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
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let semaphore = quoit_sync::Semaphore::new(1);
    /// let permit = semaphore.acquire().await.expect("nobody closes it");
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # }
    /// ```
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for `n` permits at once. None is taken, and nobody waited for, if `n` is 0.
    ///
    /// More than there are may be asked for: it waits until others [add](Self::add_permits) enough.
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
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let semaphore = quoit_sync::Semaphore::new(5);
    /// let permit = semaphore.acquire_many(3).await.expect("nobody closes it");
    /// assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// # }
    /// ```
    pub async fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let count = count(n);
        self.permits.acquire(count).await?;
        Ok(SemaphorePermit::new(self, count))
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// [`NoPermits`](TryAcquireError::NoPermits) if there is none or somebody waits for one, [`Closed`](TryAcquireError::Closed)
    /// if the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(1);
    /// let permit = semaphore.try_acquire();
    /// assert!(permit.is_ok() && semaphore.try_acquire().is_err());
    /// ```
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if there are so many.
    ///
    /// # Errors
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert_eq!(semaphore.try_acquire_many(3).err(), Some(TryAcquireError::NoPermits));
    /// assert!(semaphore.try_acquire_many(2).is_ok());
    /// ```
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let count = count(n);
        self.permits.try_acquire(count)?;
        Ok(SemaphorePermit::new(self, count))
    }

    /// Waits for one permit in a plain thread, which is parked meanwhile.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from who holds the permit: await
    /// [`acquire`](Self::acquire) there.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(0);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| semaphore.add_permits(1));
    ///     assert!(semaphore.blocking_acquire().is_ok());
    /// });
    /// ```
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        block_on(self.acquire())
    }

    /// Waits for `n` permits at once in a plain thread, as [`blocking_acquire`](Self::blocking_acquire) does for one.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(2);
    /// assert_eq!(semaphore.blocking_acquire_many(2).map(|permit| permit.num_permits()).ok(), Some(2));
    /// ```
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        block_on(self.acquire_many(n))
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
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let permit = semaphore.clone().acquire_owned().await.expect("nobody closes it");
    /// std::thread::spawn(move || drop(permit));
    /// let _again = semaphore.acquire().await.expect("nobody closes it");
    /// # }
    /// ```
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
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
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(3));
    /// let permit = semaphore.acquire_many_owned(2).await.expect("nobody closes it");
    /// assert_eq!(permit.semaphore().available_permits(), 1);
    /// # }
    /// ```
    pub async fn acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        let count = count(n);
        self.permits.acquire(count).await?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Waits in a plain thread, as [`blocking_acquire`](Self::blocking_acquire), for one permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(quoit_sync::Semaphore::new(1));
    /// let permit = semaphore.blocking_acquire_owned().expect("nobody closes it");
    /// assert_eq!(permit.semaphore().available_permits(), 0);
    /// ```
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        block_on(self.acquire_owned())
    }

    /// The same for `n` permits at once.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, now or while it waits.
    pub fn blocking_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        block_on(self.acquire_many_owned(n))
    }

    /// Takes a permit that keeps the semaphore alive, if there is one.
    ///
    /// # Errors
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(3));
    /// let permit = semaphore.try_acquire_owned().expect("one of three");
    /// assert_eq!(permit.semaphore().available_permits(), 2);
    /// ```
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes `n` permits that keep the semaphore alive, if there are so many.
    ///
    /// # Errors
    ///
    /// As with [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use quoit_sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(3));
    /// assert!(semaphore.clone().try_acquire_many_owned(4).is_err());
    /// assert!(semaphore.try_acquire_many_owned(3).is_ok());
    /// ```
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let count = count(n);
        self.permits.try_acquire(count)?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Closes it for good: who waits for a permit and who will ask for one gets an error. Permits that are out stay valid.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let semaphore = quoit_sync::Semaphore::new(1);
    /// semaphore.close();
    /// assert!(semaphore.acquire().await.is_err());
    /// # }
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it was closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(1);
    /// assert!(!semaphore.is_closed());
    /// semaphore.close();
    /// assert!(semaphore.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

/// The `u32` is tokio's; permits are counted in `usize`.
fn count(n: u32) -> usize {
    n as usize
}
