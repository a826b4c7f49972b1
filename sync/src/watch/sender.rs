//! The sending half.

use std::fmt;
use std::mem;

use crate::shim::Arc;

use super::error::SendError;
use super::receiver::Receiver;
use super::shared::Shared;
use super::value::Ref;

/// Sets the value of a [`channel`](super::channel). The channel is open as long as there is one.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Makes a channel without receivers; [`subscribe`](Self::subscribe) makes them.
    pub fn new(init: T) -> Self {
        Self { shared: Arc::new(Shared::new(init)) }
    }

    /// Sets the value and wakes the receivers that wait for it.
    ///
    /// # Errors
    ///
    /// Returns the value, and leaves the old one, if there is no receiver. [`send_replace`](Self::send_replace) does not ask.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = quoit_sync::watch::channel(1);
    /// assert!(tx.send(2).is_ok());
    /// drop(rx);
    /// assert!(tx.send(3).is_err());
    /// assert_eq!(*tx.borrow(), 2);
    /// ```
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Changes the value in place and wakes the receivers that wait for it, whether there are any or not.
    ///
    /// If the function panics, receivers find the value as it left it, but are told of no change.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = quoit_sync::watch::channel(vec![1]);
    /// tx.send_modify(|list| list.push(2));
    /// assert_eq!(*rx.borrow(), [1, 2]);
    /// ```
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.shared.change(|value| {
            modify(value);
            true
        });
    }

    /// The same as [`send_modify`](Self::send_modify), of which the receivers are told only if the function answers true. Returns
    /// its answer.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = quoit_sync::watch::channel(5);
    /// let rise = |to: i32| tx.send_if_modified(|highest| to > std::mem::replace(highest, to.max(*highest)));
    /// assert!(!rise(4));
    /// assert_eq!(rx.has_changed(), Ok(false));
    /// assert!(rise(6));
    /// assert_eq!(rx.has_changed(), Ok(true));
    /// ```
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        self.shared.change(modify)
    }

    /// Sets the value, whether there are receivers or not, and returns the one before.
    ///
    /// # Examples
    ///
    /// ```
    /// let tx = quoit_sync::watch::Sender::new("old");
    /// assert_eq!(tx.send_replace("new"), "old");
    /// assert_eq!(*tx.subscribe().borrow(), "new");
    /// ```
    pub fn send_replace(&self, mut value: T) -> T {
        self.shared.change(|current| {
            mem::swap(current, &mut value);
            true
        });
        value
    }

    /// Looks at the value.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref::new(self.shared.value.read(), false)
    }

    /// Makes a receiver, which counts the value of now as seen.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.shared.state.lock();
        state.receivers += 1;
        Receiver::new(self.shared.clone(), state.version)
    }

    /// Whether there is no receiver. There may be one again: see [`subscribe`](Self::subscribe).
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Completes when there is no receiver, at once if there is none.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (tx, rx) = quoit_sync::watch::channel(());
    /// std::thread::spawn(move || drop(rx));
    /// tx.closed().await;
    /// # }
    /// ```
    pub async fn closed(&self) {
        self.shared.closed().await;
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.state.lock().receivers
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.state.lock().senders
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.state.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.with(|state, wakes| {
            state.senders -= 1;
            if state.senders == 0 {
                state.changes.call(wakes);
            }
        });
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("channel", &*self.shared).finish()
    }
}
