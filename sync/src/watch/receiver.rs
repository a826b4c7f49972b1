//! The receiving half.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::audience::{Place, leave_seat, poll_seat};
use crate::shim::Arc;
use crate::waiters::Key;

use super::error::RecvError;
use super::shared::{Shared, State};
use super::value::Ref;

/// Sees the value of a [`channel`](super::channel), and remembers which it has seen.
///
/// It is also a [`Stream`]: of the value at its first poll, seen before or not, and then of each change it finds, until all
/// senders are dropped. A clone has seen what the original has, and is a stream from its own first poll.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version it has seen.
    seen: u64,
    /// Whether the stream has given its first value.
    streams: bool,
    /// The stream's place among those who wait for a change.
    seat: Option<Key>,
}

impl<T> Receiver<T> {
    /// One that the state already counts.
    pub(super) fn new(shared: Arc<Shared<T>>, seen: u64) -> Self {
        Self { shared, seen, streams: false, seat: None }
    }

    /// Looks at the value, which does not count as seen by that.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.look(self.seen).0
    }

    /// Looks at the value and counts it as seen.
    ///
    /// In a loop around [`changed`](Self::changed) take this rather than [`borrow`](Self::borrow): a value set between the two is
    /// then not seen twice.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let (value, version) = self.shared.look(self.seen);
        self.seen = version;
        value
    }

    /// Whether there is a value it has not seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are dropped, even if it has not seen their last value.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let state = self.shared.state.lock();
        if state.senders == 0 { Err(RecvError(())) } else { Ok(state.version != self.seen) }
    }

    /// Counts the value of now as not seen.
    ///
    /// # Examples
    ///
    /// ```
    /// let (_tx, mut rx) = quoit_sync::watch::channel(1);
    /// rx.mark_changed();
    /// assert_eq!(rx.has_changed(), Ok(true));
    /// rx.mark_unchanged();
    /// assert_eq!(rx.has_changed(), Ok(false));
    /// ```
    pub fn mark_changed(&mut self) {
        // Never the version of now, which is the one seen or later.
        self.seen = self.seen.wrapping_sub(1);
    }

    /// Counts the value of now as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.state.lock().version;
    }

    /// Waits until there is a value it has not seen, and counts it as seen. At once if there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it counts nothing as seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are dropped and it has seen their last value.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.shared.changed(&mut self.seen).await
    }

    /// Waits until the value is as wanted, and looks at it. At once if it is, seen before or not.
    ///
    /// All values it asks about count as seen.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time: the value of now is always asked about.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are dropped and their last value is not as wanted.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (tx, mut rx) = quoit_sync::watch::channel(0);
    /// std::thread::spawn(move || (1..=3).for_each(|n| drop(tx.send(n))));
    /// assert_eq!(*rx.wait_for(|n| *n > 2).await.expect("it comes to that"), 3);
    /// # }
    /// ```
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        let (shared, seen) = (&*self.shared, &mut self.seen);
        loop {
            {
                let (value, version) = shared.look(*seen);
                *seen = version;
                if wanted(&value) {
                    return Ok(value);
                }
            }
            // Leaves it to the look to count the new value as seen, and to tell so.
            shared.changed(&mut { *seen }).await?;
        }
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        if this.streams {
            let mut seen = this.seen;
            let news = poll_seat(&this.shared.state, CHANGES, &mut this.seat, context, |state| state.news(&mut seen));
            if ready!(news).is_err() {
                return Poll::Ready(None);
            }
        }
        this.streams = true;
        Poll::Ready(Some(this.borrow_and_update().clone()))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.state.lock().receivers += 1;
        Self::new(self.shared.clone(), self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        leave_seat(&self.shared.state, CHANGES, &mut self.seat);
        self.shared.with(|state, wakes| {
            state.receivers -= 1;
            if state.receivers == 0 {
                state.closing.call(wakes);
            }
        });
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("channel", &*self.shared).field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// Where the stream waits.
const CHANGES: Place<State> = |state| &mut state.changes;
