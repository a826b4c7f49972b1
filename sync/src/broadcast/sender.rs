//! The sending half.

use std::fmt;
use std::future::poll_fn;

use crate::audience::Visit;
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

    /// Completes when there is no receiver, at once if there is none. There may be one again: see [`subscribe`](Self::subscribe).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// let (tx, rx) = quoit_sync::broadcast::channel::<u8>(4);
    /// std::thread::spawn(move || drop(rx));
    /// tx.closed().await;
    /// # });
    /// ```
    pub async fn closed(&self) {
        let mut visit = Visit::new(&*self.state, |state: &mut State<T>| &mut state.closing);
        poll_fn(|context| visit.poll(context, |state| (state.receivers == 0).then_some(()))).await;
    }

    /// A sender that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        self.state.lock().weak_senders += 1;
        WeakSender { state: self.state.clone() }
    }

    /// How many senders keep the channel open.
    pub fn strong_count(&self) -> usize {
        self.state.lock().senders
    }

    /// How many senders there are that do not keep it open.
    pub fn weak_count(&self) -> usize {
        self.state.lock().weak_senders
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

/// A [`Sender`] that does not keep the channel open: it must be upgraded to send.
///
/// # Examples
///
/// ```
/// let (tx, mut rx) = quoit_sync::broadcast::channel(4);
/// let weak = tx.downgrade();
/// weak.upgrade().expect("a sender is left").send(1).expect("a receiver");
/// drop(tx);
/// assert!(weak.upgrade().is_none());
/// assert_eq!(rx.try_recv(), Ok(1));
/// ```
pub struct WeakSender<T> {
    state: Arc<Lock<State<T>>>,
}

impl<T> WeakSender<T> {
    /// A sender, if there is still one that keeps the channel open.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let mut state = self.state.lock();
        if state.senders == 0 {
            return None;
        }
        state.senders += 1;
        Some(Sender { state: self.state.clone() })
    }

    /// How many senders keep the channel open.
    pub fn strong_count(&self) -> usize {
        self.state.lock().senders
    }

    /// How many senders there are that do not keep it open.
    pub fn weak_count(&self) -> usize {
        self.state.lock().weak_senders
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        self.state.lock().weak_senders += 1;
        Self { state: self.state.clone() }
    }
}

impl<T> Drop for WeakSender<T> {
    fn drop(&mut self) {
        self.state.lock().weak_senders -= 1;
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}
