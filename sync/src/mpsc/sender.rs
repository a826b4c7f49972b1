//! The sending halves.

use std::fmt;

use crate::block::block_on;
use crate::flavor::Flavor;

use super::chan::{Tx, WeakTx};
use super::error::{SendError, TrySendError};
use super::kind::{Bounded, Kind, Unbounded};
use super::permit::{OwnedPermit, Permit, PermitIterator};
use super::state::State;

/// Sends into a channel: a [`channel`](super::channel), a [`rendezvous`](super::rendezvous), or as [`UnboundedSender`] an
/// [`unbounded_channel`](super::unbounded_channel). Clone it for another sender.
///
/// [`UnboundedSender`]: super::UnboundedSender
pub struct Sender<T, K: Kind = Bounded> {
    pub(super) tx: Tx<T, K::Flavor>,
}

impl<T, F: Flavor> Sender<T, Bounded<F>> {
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
    #[inline]
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
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.tx.try_send(message)
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
    pub async fn reserve(&self) -> Result<Permit<'_, T, F>, SendError<()>> {
        self.tx.reserve(1).await?;
        Ok(Permit { sender: self })
    }

    /// Waits for room for `n` messages at once, and keeps it for as many permits. Meanwhile nobody else gets room.
    ///
    /// # Cancel safety
    ///
    /// One that is dropped loses its place in the queue, nothing else.
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped, or the channel will never have so much room: a rendezvous has room for one.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (tx, mut rx) = quoit_sync::mpsc::channel(3);
    /// for (permit, n) in tx.reserve_many(2).await.expect("a receiver").zip(1..) {
    ///     permit.send(n);
    /// }
    /// assert_eq!((rx.recv().await, rx.recv().await), (Some(1), Some(2)));
    /// assert!(tx.reserve_many(4).await.is_err());
    /// # }
    /// ```
    pub async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T, F>, SendError<()>> {
        if n > self.tx.chan().read(State::most) {
            return Err(SendError(()));
        }
        if n == 0 && self.is_closed() {
            return Err(SendError(()));
        }
        if n > 0 {
            self.tx.reserve(n).await?;
        }
        Ok(PermitIterator::new(self, n))
    }

    /// Keeps room for `n` messages, if there is so much now. It overtakes nobody who waits.
    ///
    /// # Errors
    ///
    /// If there is not enough room, or the receiver closed or dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, _rx) = quoit_sync::mpsc::channel::<u8>(3);
    /// let permits = tx.try_reserve_many(2).expect("room");
    /// assert_eq!((permits.len(), tx.capacity()), (2, 1));
    /// assert!(tx.try_reserve_many(2).is_err());
    /// # drop(permits);
    /// ```
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T, F>, TrySendError<()>> {
        if n == 0 {
            return if self.is_closed() { Err(TrySendError::Closed(())) } else { Ok(PermitIterator::new(self, 0)) };
        }
        if n > self.tx.chan().read(State::most) {
            return Err(TrySendError::Full(()));
        }
        self.tx.try_reserve(n)?;
        Ok(PermitIterator::new(self, n))
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
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T, F>, SendError<()>> {
        self.tx.reserve(1).await?;
        Ok(OwnedPermit { sender: Some(self) })
    }

    /// Keeps room for one message, if there is some now. It overtakes nobody who waits.
    ///
    /// # Errors
    ///
    /// If the channel is full, or the receiver closed or dropped.
    pub fn try_reserve(&self) -> Result<Permit<'_, T, F>, TrySendError<()>> {
        self.tx.try_reserve(1)?;
        Ok(Permit { sender: self })
    }

    /// The same as [`try_reserve`](Self::try_reserve) for a permit that owns its sender.
    ///
    /// # Errors
    ///
    /// Returns the sender if the channel is full, or the receiver closed or dropped.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T, F>, TrySendError<Self>> {
        match self.tx.try_reserve(1) {
            Ok(()) => Ok(OwnedPermit { sender: Some(self) }),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(self)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(self)),
        }
    }

    /// For how many messages there is room that nobody has reserved. In a rendezvous always zero.
    pub fn capacity(&self) -> usize {
        self.tx.chan().read(|state| state.available())
    }

    /// For how many messages the channel was made.
    pub fn max_capacity(&self) -> usize {
        self.tx.chan().read(|state| state.places())
    }
}

impl<T> Sender<T, Bounded> {
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
}

impl<T, F: Flavor> Sender<T, Unbounded<F>> {
    /// Sends a message. Never waits.
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is closed or dropped.
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.tx.try_send(message).map_err(|error| SendError(error.into_inner()))
    }
}

impl<T, K: Kind> Sender<T, K> {
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

    /// A sender that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T, K> {
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

impl<T, K: Kind> Clone for Sender<T, K> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone() }
    }
}

impl<T, K: Kind> fmt::Debug for Sender<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::SENDER).field("channel", self.tx.chan()).finish()
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
pub struct WeakSender<T, K: Kind = Bounded> {
    tx: WeakTx<T, K::Flavor>,
}

impl<T, K: Kind> WeakSender<T, K> {
    /// A sender, if there is still one that keeps the channel open.
    pub fn upgrade(&self) -> Option<Sender<T, K>> {
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

impl<T, K: Kind> Clone for WeakSender<T, K> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone() }
    }
}

impl<T, K: Kind> fmt::Debug for WeakSender<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::WEAK_SENDER).finish_non_exhaustive()
    }
}
