//! A value made once, by an async function: [`OnceCell`].

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use crate::permits::{Permits, TryAcquireError};

/// A value that is made once, by whoever needs it first.
///
/// One at a time makes it and the others wait. If that one fails, panics or is dropped, the turn passes to who waits longest.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use quoit_sync::OnceCell;
///
/// static ANSWER: OnceCell<u32> = OnceCell::const_new();
/// assert_eq!(*ANSWER.get_or_init(|| async { 6 * 7 }).await, 42);
/// assert_eq!(ANSWER.get(), Some(&42));
/// # }
/// ```
pub struct OnceCell<T> {
    /// Written by who has the permit.
    value: OnceLock<T>,
    /// One, the right to make the value; closed when it is there.
    turn: Permits,
}

impl<T> OnceCell<T> {
    /// Makes one without a value.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::OnceCell::<u8>::new().get(), None);
    /// ```
    pub fn new() -> Self {
        Self { value: OnceLock::new(), turn: Permits::new(1) }
    }

    /// The same as [`new`](Self::new), for statics.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::OnceCell;
    ///
    /// static CELL: OnceCell<u8> = OnceCell::const_new();
    /// assert_eq!(CELL.set(1), Ok(()));
    /// ```
    #[cfg(not(loom))]
    pub const fn const_new() -> Self {
        Self { value: OnceLock::new(), turn: Permits::new(1) }
    }

    /// Makes one that has its value already, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::OnceCell::new_with(Some(1)).get(), Some(&1));
    /// ```
    pub fn new_with(value: Option<T>) -> Self {
        value.map_or_else(Self::new, Self::from)
    }

    /// Whether it has its value.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!quoit_sync::OnceCell::<u8>::new().initialized());
    /// assert!(quoit_sync::OnceCell::from(1).initialized());
    /// ```
    pub fn initialized(&self) -> bool {
        self.value.get().is_some()
    }

    /// The value, if it is there.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::OnceCell::from(1).get(), Some(&1));
    /// ```
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if it is there.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::OnceCell::from(1).get_mut(), Some(&mut 1));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// Returns the value if there is one already, or somebody is making one.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::{OnceCell, SetError};
    ///
    /// let cell = OnceCell::new();
    /// assert_eq!(cell.set(1), Ok(()));
    /// assert_eq!(cell.set(2), Err(SetError::AlreadyInitializedError(2)));
    /// ```
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.initialized() {
            return Err(SetError::AlreadyInitializedError(value));
        }
        match self.turn.try_acquire(1) {
            Ok(()) => {
                Turn { cell: self }.set(value);
                Ok(())
            }
            Err(TryAcquireError::NoPermits) => Err(SetError::InitializingError(value)),
            Err(TryAcquireError::Closed) => Err(SetError::AlreadyInitializedError(value)),
        }
    }

    /// The value. If it is not there it is made by `f`, unless somebody else is about to.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped drops what `f` returned, and the turn passes to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cell = quoit_sync::OnceCell::new();
    /// assert_eq!(cell.get_or_init(|| async { 1 }).await, &1);
    /// assert_eq!(cell.get_or_init(|| async { unreachable!("it is made") }).await, &1);
    /// # }
    /// ```
    pub async fn get_or_init<F, Fut>(&self, f: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        let Ok(value) = self.get_or_try_init(|| async { Ok::<_, Infallible>(f().await) }).await;
        value
    }

    /// The value. If it is not there it is made by `f`, unless somebody else is about to.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped drops what `f` returned, and the turn passes to the next.
    ///
    /// # Errors
    ///
    /// What `f` returns, and the turn passes to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let cell = quoit_sync::OnceCell::new();
    /// assert!(cell.get_or_try_init(|| async { "x".parse::<u8>() }).await.is_err());
    /// assert_eq!(cell.get_or_try_init(|| async { "1".parse::<u8>() }).await, Ok(&1));
    /// # }
    /// ```
    pub async fn get_or_try_init<E, F, Fut>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        if self.turn.acquire(1).await.is_err() {
            return Ok(self.value.get().expect("closed when the value is there"));
        }
        let turn = Turn { cell: self };
        let value = f().await?;
        Ok(turn.set(value))
    }

    /// The value, if it is there.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::OnceCell::from(1).into_inner(), Some(1));
    /// ```
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, if it is there. The cell is then as if new.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut cell = quoit_sync::OnceCell::from(1);
    /// assert_eq!(cell.take(), Some(1));
    /// assert_eq!(cell.set(2), Ok(()));
    /// ```
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self { value: OnceLock::from(value), turn: Permits::new(0) };
        cell.turn.close();
        cell
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell").field("value", &self.get()).finish()
    }
}

/// The right to make the value. Dropping it passes it on.
struct Turn<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<'a, T> Turn<'a, T> {
    fn set(self, value: T) -> &'a T {
        let cell = self.cell;
        // Only who has the turn comes here, and after a value there are no turns: it is this value that is set.
        let value = cell.value.get_or_init(|| value);
        // Before the turn goes back, so that nobody gets it.
        cell.turn.close();
        value
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.cell.turn.add(1);
    }
}

/// The value was not set; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// There is a value already.
    AlreadyInitializedError(T),
    /// Somebody is making one.
    InitializingError(T),
}

impl<T> SetError<T> {
    /// Whether there is a value already.
    pub fn is_already_init_err(&self) -> bool {
        matches!(self, Self::AlreadyInitializedError(_))
    }

    /// Whether somebody is making a value.
    pub fn is_initializing_err(&self) -> bool {
        matches!(self, Self::InitializingError(_))
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyInitializedError(_) => "AlreadyInitializedError",
            Self::InitializingError(_) => "InitializingError",
        })
    }
}

impl<T: fmt::Debug> Error for SetError<T> {}
