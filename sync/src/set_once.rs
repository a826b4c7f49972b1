//! A value that is set once, and waited for: [`SetOnce`].

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::OnceLock;

use crate::audience::{Audience, Visit};
use crate::shim::Lock;
use crate::wake::WakeBatch;

/// A value that is set once; who needs it waits for it.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// use quoit_sync::SetOnce;
///
/// static ADDRESS: SetOnce<String> = SetOnce::const_new();
/// std::thread::spawn(|| ADDRESS.set("[::1]:80".to_owned()));
/// assert_eq!(ADDRESS.wait().await, "[::1]:80");
/// assert!(ADDRESS.set(String::new()).is_err());
/// # });
/// ```
pub struct SetOnce<T> {
    value: OnceLock<T>,
    /// Those who wait. Called when the value is there.
    audience: Lock<Audience>,
}

impl<T> SetOnce<T> {
    /// Makes one without a value.
    pub fn new() -> Self {
        Self { value: OnceLock::new(), audience: Lock::new(Audience::new()) }
    }

    /// The same as [`new`](Self::new), for statics.
    #[cfg(not(loom))]
    pub const fn const_new() -> Self {
        Self { value: OnceLock::new(), audience: Lock::new(Audience::new()) }
    }

    /// Makes one that has its value already, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(quoit_sync::SetOnce::new_with(Some(1)).get(), Some(&1));
    /// ```
    pub fn new_with(value: Option<T>) -> Self {
        value.map_or_else(Self::new, Self::from)
    }

    /// Whether it has its value.
    pub fn initialized(&self) -> bool {
        self.value.get().is_some()
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Sets the value, and wakes everyone who waits for it.
    ///
    /// # Errors
    ///
    /// Returns the value if there is one already.
    pub fn set(&self, value: T) -> Result<(), SetOnceError<T>> {
        self.value.set(value).map_err(SetOnceError)?;
        let mut wakes = WakeBatch::new();
        self.audience.lock().call(&mut wakes);
        wakes.wake_all();
        Ok(())
    }

    /// The value, if it is there.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Waits for the value, at once if it is there.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub async fn wait(&self) -> &T {
        if let Some(value) = self.value.get() {
            return value;
        }
        let mut visit = Visit::new(&self.audience, |audience| audience);
        // The value is set before its audience is called: what is not seen here calls us.
        poll_fn(|context| visit.poll(context, |_| self.value.get())).await
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for SetOnce<T> {
    fn from(value: T) -> Self {
        Self { value: OnceLock::from(value), audience: Lock::new(Audience::new()) }
    }
}

impl<T: Clone> Clone for SetOnce<T> {
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for SetOnce<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for SetOnce<T> {}

impl<T: fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetOnce").field("value", &self.get()).finish()
    }
}

/// There is a value already; the other comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct SetOnceError<T>(pub T);

impl<T> fmt::Display for SetOnceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetOnceError")
    }
}

impl<T: fmt::Debug> Error for SetOnceError<T> {}
