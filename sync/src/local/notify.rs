//! Waking tasks without a message: [`Notify`].

use std::fmt;

use crate::flavor::OneThread;
use crate::notify::{self, Core, Order};

/// The future of [`Notify::notified`].
pub type Notified<'a> = notify::Notified<'a, OneThread>;

/// Wakes one task or all that wait.
///
/// It holds at most one *permit*: [`notify_one`](Self::notify_one) with nobody waiting leaves it, and the next to wait takes it
/// instead of waiting. [`notify_waiters`](Self::notify_waiters) wakes everyone there is and leaves no permit.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// let notify = quoit_sync::local::Notify::new();
/// futures_util::join!(notify.notified(), async { notify.notify_one() });
/// # });
/// ```
pub struct Notify {
    core: Core<OneThread>,
}

impl Notify {
    /// Makes one that nobody was notified by.
    pub const fn new() -> Self {
        Self { core: Core::alone() }
    }

    /// Waits for a notification.
    ///
    /// From its creation, before it is polled, the future is reached by [`notify_waiters`](Self::notify_waiters). For
    /// [`notify_one`](Self::notify_one) it queues when it is first polled or [enabled](Notified::enable).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped loses its place in the queue, but no permit: the one it was given passes to the next.
    pub fn notified(&self) -> Notified<'_> {
        Notified::of(&self.core)
    }

    /// Wakes who waits longest, or leaves a permit if nobody waits. Permits do not add up.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// let notify = quoit_sync::local::Notify::new();
    /// notify.notify_one();
    /// notify.notified().await; // takes the permit
    /// # });
    /// ```
    pub fn notify_one(&self) {
        self.core.notify(Order::Fifo);
    }

    /// Wakes who came last, or leaves a permit if nobody waits.
    pub fn notify_last(&self) {
        self.core.notify(Order::Lifo);
    }

    /// Wakes everyone who waits, and every [`Notified`] made before. Leaves no permit, and takes none away.
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
