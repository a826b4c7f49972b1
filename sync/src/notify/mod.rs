//! Waking tasks without a message: [`Notify`].

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::flavor::{Flavor, Threads};

pub(crate) use self::core::{Core, Order, Stage};

mod core;

/// Wakes one task or all that wait.
///
/// It holds at most one *permit*: [`notify_one`](Self::notify_one) with nobody waiting leaves it, and the next to wait takes it
/// instead of waiting. [`notify_waiters`](Self::notify_waiters) wakes everyone there is and leaves no permit.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::sync::Arc;
///
/// use quoit_sync::Notify;
///
/// let notify = Arc::new(Notify::new());
/// let waker = notify.clone();
/// std::thread::spawn(move || waker.notify_one());
/// notify.notified().await;
/// # }
/// ```
pub struct Notify {
    core: Core<Threads>,
}

impl Notify {
    /// Makes one that nobody was notified by.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { core: Core::new() }
    }

    /// The same for loom, whose primitives cannot be made in a constant.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { core: Core::new() }
    }

    /// The same as [`new`](Self::new), under tokio's name for statics.
    #[cfg(not(loom))]
    pub const fn const_new() -> Self {
        Self::new()
    }

    /// Waits for a notification.
    ///
    /// From its creation, before it is polled, the future is reached by [`notify_waiters`](Self::notify_waiters). For
    /// [`notify_one`](Self::notify_one) it queues when it is first polled or [enabled](Notified::enable).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped loses its place in the queue, but no permit: the one it was given passes to the next.
    #[inline]
    pub fn notified(&self) -> Notified<'_> {
        Notified::of(&self.core)
    }

    /// The same as [`notified`](Self::notified), in a future that keeps the `Notify` alive.
    ///
    /// # Cancel safety
    ///
    /// As with [`notified`](Self::notified).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::sync::Arc;
    ///
    /// let notify = Arc::new(quoit_sync::Notify::new());
    /// let waits = tokio::spawn(notify.clone().notified_owned());
    /// notify.notify_one();
    /// waits.await.expect("no panic");
    /// # }
    /// ```
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        let stage = self.core.begin();
        OwnedNotified { notify: self, stage }
    }

    /// Wakes who waits longest, or leaves a permit if nobody waits. Permits do not add up.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let notify = quoit_sync::Notify::new();
    /// notify.notify_one();
    /// notify.notified().await; // takes the permit
    /// # }
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        self.core.notify(Order::Fifo);
    }

    /// Wakes who came last, or leaves a permit if nobody waits.
    pub fn notify_last(&self) {
        self.core.notify(Order::Lifo);
    }

    /// Wakes everyone who waits, and every [`Notified`] made before. Leaves no permit, and takes none away.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let notify = quoit_sync::Notify::new();
    /// let (first, second) = (notify.notified(), notify.notified());
    /// notify.notify_waiters();
    /// first.await;
    /// second.await;
    /// # }
    /// ```
    pub fn notify_waiters(&self) {
        self.core.notify_waiters();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (permit, waited_for) = self.core.status();
        f.debug_struct("Notify").field("permit", &permit).field("waited_for", &waited_for).finish_non_exhaustive()
    }
}

/// The future of [`Notify::notified`].
///
/// Once ready it stays ready.
#[must_use = "it waits only when awaited"]
pub struct Notified<'a, F: Flavor = Threads> {
    core: &'a Core<F>,
    stage: Stage,
}

impl<'a, F: Flavor> Notified<'a, F> {
    #[inline]
    pub(crate) fn of(core: &'a Core<F>) -> Self {
        Self { core, stage: core.begin() }
    }

    /// Queues without polling, and tells whether it is notified already.
    ///
    /// For a check that must come after queueing and before waiting: what notifies between the two is then not missed.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let notify = quoit_sync::Notify::new();
    /// let mut notified = std::pin::pin!(notify.notified());
    /// assert!(!notified.as_mut().enable());
    /// notify.notify_one(); // finds it waiting: no permit is left
    /// assert!(notified.as_mut().enable());
    /// notified.await;
    /// # }
    /// ```
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let Self { core, stage } = self.get_mut();
        core.enable(stage)
    }
}

impl<F: Flavor> Future for Notified<'_, F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { core, stage } = self.get_mut();
        core.poll(stage, context)
    }
}

impl<F: Flavor> Drop for Notified<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.core.leave(&mut self.stage);
    }
}

impl<F: Flavor> fmt::Debug for Notified<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// The future of [`Notify::notified_owned`].
///
/// Once ready it stays ready.
#[must_use = "it waits only when awaited"]
pub struct OwnedNotified {
    notify: Arc<Notify>,
    stage: Stage,
}

impl OwnedNotified {
    /// Queues without polling, and tells whether it is notified already, as [`Notified::enable`].
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let Self { notify, stage } = self.get_mut();
        notify.core.enable(stage)
    }
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { notify, stage } = self.get_mut();
        notify.core.poll(stage, context)
    }
}

impl Drop for OwnedNotified {
    fn drop(&mut self) {
        self.notify.core.leave(&mut self.stage);
    }
}

impl fmt::Debug for OwnedNotified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedNotified").field("stage", &self.stage).finish_non_exhaustive()
    }
}
