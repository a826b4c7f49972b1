//! The sending half.

use std::fmt;

use crate::shim::{Arc, Lock};
use crate::wake::WakeBatch;

use super::error::SendError;
use super::receiver::Receiver;
use super::state::{State, print};

/// Sends to all receivers of a [`channel`](super::channel). The channel is open as long as there is one.
pub struct Sender<T> {
    state: Arc<Lock<State<T>>>,
}

impl<T> Sender<T> {
    /// Makes a channel without receivers; [`subscribe`](Self::subscribe) makes them.
    ///
    /// # Panics
    ///
    /// If `capacity` is zero or more than `usize::MAX / 2`.
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a broadcast channel needs room for at least one message");
        assert!(capacity <= usize::MAX / 2, "a broadcast channel has room for at most `usize::MAX / 2` messages");
        Self { state: Arc::new(Lock::new(State::new(capacity.next_power_of_two()))) }
    }

    /// Sends a message to all receivers of now, and returns how many they are. Never waits.
    ///
    /// A message that was sent is not surely received: a receiver may lag or be dropped.
    ///
    /// # Errors
    ///
    /// Returns the message if there is no receiver. Later there may be: see [`subscribe`](Self::subscribe).
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = quoit_sync::broadcast::channel(4);
    /// assert_eq!(tx.send(1), Ok(1));
    /// drop(rx);
    /// assert!(tx.send(2).is_err());
    /// ```
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let mut wakes = WakeBatch::new();
        let mut state = self.state.lock();
        let sent = state.send(value, &mut wakes);
        drop(state);
        wakes.wake_all();
        // The message that made room is dropped here.
        sent.map(|(receivers, _oldest)| receivers).map_err(SendError)
    }

    /// Makes a receiver of what is sent from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, mut early) = quoit_sync::broadcast::channel(4);
    /// tx.send(1).expect("a receiver");
    /// let mut late = tx.subscribe();
    /// tx.send(2).expect("receivers");
    /// assert_eq!((early.try_recv(), late.try_recv()), (Ok(1), Ok(2)));
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.state)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.state.lock().receivers
    }

    /// How many messages the channel holds that some receiver has yet to get.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, mut one) = quoit_sync::broadcast::channel(4);
    /// let mut other = tx.subscribe();
    /// tx.send("news").expect("receivers");
    /// one.try_recv().expect("a message");
    /// assert_eq!(tx.len(), 1);
    /// other.try_recv().expect("a message");
    /// assert!(tx.is_empty());
    /// ```
    pub fn len(&self) -> usize {
        self.state.lock().len()
    }

    /// Whether every receiver has every message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.state.lock().senders += 1;
        Self { state: self.state.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut wakes = WakeBatch::new();
        let mut state = self.state.lock();
        state.senders -= 1;
        if state.senders == 0 {
            state.audience.call(&mut wakes);
        }
        drop(state);
        wakes.wake_all();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print("Sender", &self.state, f)
    }
}
