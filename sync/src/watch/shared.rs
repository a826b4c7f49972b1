//! What all halves of a channel share: the value, and who waits for it.

use std::fmt;
use std::future::poll_fn;

use crate::audience::{Audience, Visit};
use crate::shim::Lock;
use crate::wake::WakeBatch;

use super::error::RecvError;
use super::value::{Ref, Value};

/// The value and the state. Where both locks are needed, the value's comes first; the state's is never held by users' code.
pub(super) struct Shared<T> {
    pub(super) value: Value<T>,
    pub(super) state: Lock<State>,
}

/// All but the value.
pub(super) struct State {
    /// Counts the changes. It changes only while the value is locked for writing.
    pub(super) version: u64,
    pub(super) senders: usize,
    pub(super) receivers: usize,
    /// Receivers that wait for a change, or for the last sender to go.
    pub(super) changes: Audience,
    /// Senders that wait for the last receiver to go.
    pub(super) closing: Audience,
}

impl<T> Shared<T> {
    /// Of one sender and no receiver.
    pub(super) fn new(init: T) -> Self {
        let (changes, closing) = (Audience::new(), Audience::new());
        let state = State { version: 0, senders: 1, receivers: 0, changes, closing };
        Self { value: Value::new(init), state: Lock::new(state) }
    }

    /// Looks at the value, and whether it is another than the one seen.
    pub(super) fn look(&self, seen: u64) -> (Ref<'_, T>, u64) {
        let value = self.value.read();
        let version = self.state.lock().version;
        (Ref::new(value, version != seen), version)
    }

    /// Changes the value and wakes who waits for that, unless `change` tells that it did not. What it panics out of, it did not.
    pub(super) fn change(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut wakes = WakeBatch::new();
        {
            let mut value = self.value.write();
            if !change(&mut value) {
                return false;
            }
            let mut state = self.state.lock();
            state.version = state.version.wrapping_add(1);
            state.changes.call(&mut wakes);
        }
        wakes.wake_all();
        true
    }

    /// Waits for a version other than the one seen, which then is.
    pub(super) async fn changed(&self, seen: &mut u64) -> Result<(), RecvError> {
        let mut visit = Visit::new(&self.state, |state| &mut state.changes);
        poll_fn(|context| visit.poll(context, |state| state.news(seen))).await
    }

    pub(super) async fn closed(&self) {
        let mut visit = Visit::new(&self.state, |state| &mut state.closing);
        poll_fn(|context| visit.poll(context, |state| (state.receivers == 0).then_some(()))).await;
    }

    /// Runs a change of the state, then wakes whom it names.
    pub(super) fn with(&self, transition: impl FnOnce(&mut State, &mut WakeBatch)) {
        let mut wakes = WakeBatch::new();
        transition(&mut self.state.lock(), &mut wakes);
        wakes.wake_all();
    }
}

impl State {
    /// What a receiver that has seen a version has to be told.
    pub(super) fn news(&self, seen: &mut u64) -> Option<Result<(), RecvError>> {
        if self.version != *seen {
            *seen = self.version;
            return Some(Ok(()));
        }
        (self.senders == 0).then_some(Err(RecvError(())))
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let (version, senders, receivers) = (state.version, state.senders, state.receivers);
        drop(state);
        f.debug_struct("Channel")
            .field("version", &version)
            .field("senders", &senders)
            .field("receivers", &receivers)
            .finish_non_exhaustive()
    }
}
