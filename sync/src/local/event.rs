//! A fact to wait for: [`Event`].

use std::fmt;
use std::future::poll_fn;

use crate::audience::{Audience, Visit};
use crate::flavor::{Latch, Solo};
use crate::wake::WakeBatch;

/// Is set or not; who waits for it passes while it is set.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// use quoit_sync::local::Event;
///
/// let ready = Event::new();
/// futures_util::join!(ready.wait(), ready.wait(), async { ready.set() });
/// assert!(ready.is_set());
/// ready.wait().await; // at once
/// ready.reset();
/// assert!(!ready.is_set());
/// # });
/// ```
pub struct Event {
    state: Solo<State>,
}

struct State {
    set: bool,
    /// How often it was set: who has waited since before the last time passes, even if it was reset meanwhile.
    times: u64,
    audience: Audience,
}

impl Event {
    /// Makes one that is not set.
    pub const fn new() -> Self {
        Self { state: Solo::new(State { set: false, times: 0, audience: Audience::new() }) }
    }

    /// Sets it, and wakes everyone who waits. They all pass, also if it is reset before they run.
    pub fn set(&self) {
        let mut wakes = WakeBatch::new();
        let mut state = self.state.lock();
        if !state.set {
            state.set = true;
            state.times += 1;
            state.audience.call(&mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }

    /// Makes it as if it had not been set, for those to come.
    pub fn reset(&self) {
        self.state.lock().set = false;
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.state.lock().set
    }

    /// Waits until it is set, at once if it is.
    ///
    /// It counts as waiting from its first poll.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub async fn wait(&self) {
        let begun = self.state.lock().times;
        let mut visit = Visit::new(&self.state, |state| &mut state.audience);
        poll_fn(|context| visit.poll(context, |state| (state.set || state.times != begun).then_some(()))).await;
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish_non_exhaustive()
    }
}
