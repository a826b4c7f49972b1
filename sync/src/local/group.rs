//! Waiting until all that was begun has ended: [`WaitGroup`].

use std::fmt;

use crate::flavor::OneThread;
use crate::group::{self, Group};

/// A piece of work, from [`WaitGroup::add`]. It ends when this is dropped.
pub type WaitGuard = group::WaitGuard<OneThread>;

/// Waits until all that was begun has ended.
///
/// Each piece of work holds a [`WaitGuard`] and drops it when it ends. Clones are the same group.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// let group = quoit_sync::local::WaitGroup::new();
/// let working = [group.add(), group.add()];
/// futures_util::join!(group.wait(), async { drop(working) });
/// assert_eq!(group.count(), 0);
/// # });
/// ```
#[derive(Clone)]
pub struct WaitGroup {
    group: Group<OneThread>,
}

impl WaitGroup {
    /// Makes one that nothing was added to.
    pub fn new() -> Self {
        Self { group: Group::new() }
    }

    /// Adds a piece of work, which ends when the guard is dropped. One that is forgotten never ends.
    pub fn add(&self) -> WaitGuard {
        self.group.add()
    }

    /// Waits until all work has ended, at once if there is none.
    ///
    /// It counts as waiting from its first poll, and is done when from then on there was a moment without work, even if there is
    /// some again.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub async fn wait(&self) {
        self.group.wait().await;
    }

    /// How many pieces of work have not ended.
    pub fn count(&self) -> usize {
        self.group.count()
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}
