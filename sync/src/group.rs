//! Waiting until all that was begun has ended: `WaitGroup`.

use std::fmt;
use std::future::poll_fn;

use crate::audience::{Audience, Visit};
use crate::flavor::{Flavor, Latch, Threads};
use crate::wake::WakeBatch;

/// Waits until all that was begun has ended.
///
/// Each piece of work holds a [`WaitGuard`] and drops it when it ends. Clones are the same group.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// use quoit_sync::WaitGroup;
///
/// let group = WaitGroup::new();
/// for _ in 0..4 {
///     let working = group.add();
///     std::thread::spawn(move || drop(working));
/// }
/// group.wait().await;
/// assert_eq!(group.count(), 0);
/// # });
/// ```
#[derive(Clone)]
pub struct WaitGroup {
    group: Group<Threads>,
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

/// A piece of work, from a group's `add`. It ends when this is dropped.
#[must_use = "dropped, it ends at once"]
pub struct WaitGuard<F: Flavor = Threads> {
    group: Group<F>,
}

impl<F: Flavor> Drop for WaitGuard<F> {
    fn drop(&mut self) {
        let mut wakes = WakeBatch::new();
        let mut state = self.group.state.lock();
        state.count -= 1;
        if state.count == 0 {
            state.ends = state.ends.wrapping_add(1);
            state.audience.call(&mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }
}

impl<F: Flavor> fmt::Debug for WaitGuard<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGuard").finish_non_exhaustive()
    }
}

/// A group of either flavor.
pub(crate) struct Group<F: Flavor> {
    state: F::Shared<F::Lock<State>>,
}

pub(crate) struct State {
    /// Pieces of work.
    count: usize,
    /// How often the last piece of work has ended: who has waited since before passes, even if there is work again.
    ends: usize,
    audience: Audience,
}

impl<F: Flavor> Group<F> {
    pub(crate) fn new() -> Self {
        Self { state: F::share(Latch::around(State { count: 0, ends: 0, audience: Audience::new() })) }
    }

    pub(crate) fn add(&self) -> WaitGuard<F> {
        self.state.lock().count += 1;
        WaitGuard { group: self.clone() }
    }

    pub(crate) async fn wait(&self) {
        let begun = self.state.lock().ends;
        let mut visit = Visit::new(&*self.state, |state: &mut State| &mut state.audience);
        poll_fn(|context| visit.poll(context, |state| (state.count == 0 || state.ends != begun).then_some(()))).await;
    }

    pub(crate) fn count(&self) -> usize {
        self.state.lock().count
    }
}

impl<F: Flavor> Clone for Group<F> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone() }
    }
}
