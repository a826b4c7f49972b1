//! The sending halves of a bounded channel and of a rendezvous.

use std::fmt;

use crate::block::block_on;

use super::chan::{Tx, WeakTx};
use super::error::{SendError, TrySendError};
use super::permit::{OwnedPermit, Permit};

/// Sends into a [`channel`](super::channel) or a [`rendezvous`](super::rendezvous). Clone it for another sender.
pub struct Sender<T> {
    pub(super) tx: Tx<T>,
}

impl<T> Sender<T> {
    /// Sends a message, and waits for room in the channel first. Senders get room in the order in which they came to wait.
    ///
    /// In a rendezvous it completes when the receiver has taken the message.
    ///
    /// # Cancel safety
    ///
    /// A send that is dropped before it is done has not sent: the message is dropped with it, and the place in the queue is lost.
    /// To keep the message, [`reserve`](Self::reserve) a place first.
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is closed or dropped.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.tx.send(value).await
    }

    /// Sends a message if there is room now. It overtakes nobody who waits.
    ///
    /// # Errors
    ///
    /// Returns the message if the channel is full, or if the receiver is closed or dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_sync::mpsc::{self, error::TrySendError};
    ///
    /// let (tx, rx) = mpsc::channel(1);
    /// assert_eq!(tx.try_send('a'), Ok(()));
    /// assert_eq!(tx.try_send('b'), Err(TrySendError::Full('b')));
    /// drop(rx);
    /// assert_eq!(tx.try_send('c'), Err(TrySendError::Closed('c')));
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.tx.try_send(message)
    }

    /// Sends a message from a plain thread, which is parked while the channel is full.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from the receiver: await
    /// [`send`](Self::send) there.
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is closed or dropped.
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        block_on(self.send(value))
    }

    /// Waits for room for one message, and keeps it for the permit. After a close the permit still sends.
    ///
    /// In a rendezvous it waits for the receiver to wait. There is one such permit at a time, and until it is used or dropped
    /// the receiver waits for it.
    ///
    /// # Cancel safety
    ///
    /// One that is dropped loses its place in the queue, nothing else.
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (tx, mut rx) = quoit_sync::mpsc::channel(1);
    /// let permit = tx.reserve().await.expect("a receiver");
    /// assert_eq!(tx.capacity(), 0);
    /// permit.send("made once there was room for it");
    /// assert!(rx.recv().await.is_some());
    /// # }
    /// ```
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        self.tx.reserve().await?;
        Ok(Permit { sender: self })
    }

    /// The same as [`reserve`](Self::reserve) for a permit that owns its sender.
    ///
    /// # Cancel safety
    ///
    /// One that is dropped drops the sender too.
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        self.tx.reserve().await?;
        Ok(OwnedPermit { sender: Some(self) })
    }

    /// Keeps room for one message, if there is some now. It overtakes nobody who waits.
    ///
    /// # Errors
    ///
    /// If the channel is full, or the receiver closed or dropped.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.tx.try_reserve()?;
        Ok(Permit { sender: self })
    }

    /// The same as [`try_reserve`](Self::try_reserve) for a permit that owns its sender.
    ///
    /// # Errors
    ///
    /// Returns the sender if the channel is full, or the receiver closed or dropped.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.tx.try_reserve() {
            Ok(()) => Ok(OwnedPermit { sender: Some(self) }),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(self)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(self)),
        }
    }

    /// Completes when the receiver is closed or dropped, for senders to end work that nobody waits for.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub async fn closed(&self) {
        self.tx.closed().await;
    }

    /// Whether the receiver is closed or dropped.
    pub fn is_closed(&self) -> bool {
        self.tx.chan().read(|state| state.closed)
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.tx.same_channel(&other.tx)
    }

    /// For how many messages there is room that nobody has reserved. In a rendezvous always zero.
    pub fn capacity(&self) -> usize {
        self.tx.chan().read(|state| state.free())
    }

    /// For how many messages the channel was made.
    pub fn max_capacity(&self) -> usize {
        self.tx.chan().read(|state| state.places())
    }

    /// A sender that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { tx: self.tx.downgrade() }
    }

    /// How many senders keep the channel open.
    pub fn strong_count(&self) -> usize {
        self.tx.chan().read(|state| state.strong)
    }

    /// How many senders there are that do not keep it open.
    pub fn weak_count(&self) -> usize {
        self.tx.chan().read(|state| state.weak)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("channel", self.tx.chan()).finish()
    }
}

/// A [`Sender`] that does not keep the channel open: it must be upgraded to send.
///
/// # Examples
///
/// ```
/// let (tx, mut rx) = quoit_sync::mpsc::channel(1);
/// let weak = tx.downgrade();
/// weak.upgrade().expect("a sender is left").try_send(1).expect("room");
/// drop(tx);
/// assert!(weak.upgrade().is_none());
/// assert_eq!((rx.blocking_recv(), rx.blocking_recv()), (Some(1), None));
/// ```
pub struct WeakSender<T> {
    tx: WeakTx<T>,
}

impl<T> WeakSender<T> {
    /// A sender, if there is still one that keeps the channel open.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.tx.upgrade().map(|tx| Sender { tx })
    }

    /// How many senders keep the channel open.
    pub fn strong_count(&self) -> usize {
        self.tx.chan().read(|state| state.strong)
    }

    /// How many senders there are that do not keep it open.
    pub fn weak_count(&self) -> usize {
        self.tx.chan().read(|state| state.weak)
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}
