//! The receiving half.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::block::block_on;
use crate::flavor::{Flavor, Threads};

use super::chan::Rx;
use super::error::TryRecvError;
use super::kind::{Bounded, Kind};

/// Receives from a channel: a [`channel`](super::channel), a [`rendezvous`](super::rendezvous), or as [`UnboundedReceiver`] an
/// [`unbounded_channel`](super::unbounded_channel). It is also a [`Stream`] of the messages.
///
/// Dropping it closes the channel and drops the messages in it.
///
/// [`UnboundedReceiver`]: super::UnboundedReceiver
pub struct Receiver<T, K: Kind = Bounded> {
    pub(super) rx: Rx<T, K::Flavor>,
}

impl<T, K: Kind> Receiver<T, K> {
    /// Waits for the next message.
    ///
    /// `None` when there is no message and never will be: all senders are dropped, or the channel is
    /// [closed](Self::close) and all permits are used or dropped. Every later call then says the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no message.
    #[inline]
    pub fn recv(&mut self) -> impl Future<Output = Option<T>> {
        self.rx.recv()
    }

    /// Waits for a message and appends it and those after it that are there to the buffer, up to `limit`. Returns how many.
    ///
    /// Zero when there is no message and never will be, or `limit` is zero.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no message: until it is done the buffer is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (tx, mut rx) = quoit_sync::mpsc::channel(4);
    /// (0..4).for_each(|n| tx.try_send(n).expect("room"));
    /// let mut batch = Vec::new();
    /// assert_eq!(rx.recv_many(&mut batch, 3).await, 3);
    /// assert_eq!(batch, [0, 1, 2]);
    /// # }
    /// ```
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        self.rx.recv_many(buffer, limit).await
    }

    /// Takes the next message if it is there, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if one may still come, [`TryRecvError::Disconnected`] if not.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.rx.try_recv()
    }

    /// Closes the channel: what is not sent or reserved by now cannot be, and senders that wait get their messages back.
    ///
    /// What was sent before is still there to be received, and what permits send is.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, mut rx) = quoit_sync::mpsc::channel(2);
    /// tx.try_send("before").expect("room");
    /// rx.close();
    /// assert!(tx.try_send("after").is_err());
    /// assert_eq!((rx.blocking_recv(), rx.blocking_recv()), (Some("before"), None));
    /// ```
    pub fn close(&mut self) {
        self.rx.close();
    }

    /// Whether it was closed or all senders are dropped. There may still be messages.
    pub fn is_closed(&self) -> bool {
        self.rx.chan().read(|state| state.closed || state.strong == 0)
    }

    /// Whether there is no message in the channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages are in the channel. What senders of a rendezvous offer is not.
    pub fn len(&self) -> usize {
        self.rx.chan().read(|state| state.queue.len())
    }

    /// Ready with the next message, or with `None` as [`recv`](Self::recv); otherwise the task will be woken for it. The last
    /// task to poll counts.
    #[inline]
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.rx.poll_recv(context)
    }

    /// The same for [`recv_many`](Self::recv_many).
    pub fn poll_recv_many(&mut self, context: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        self.rx.poll_recv_many(context, buffer, limit)
    }

    /// How many senders keep the channel open.
    pub fn sender_strong_count(&self) -> usize {
        self.rx.chan().read(|state| state.strong)
    }

    /// How many senders there are that do not keep it open.
    pub fn sender_weak_count(&self) -> usize {
        self.rx.chan().read(|state| state.weak)
    }
}

impl<T, K: Kind<Flavor = Threads>> Receiver<T, K> {
    /// Waits for the next message on a plain thread, which is parked meanwhile.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from the senders: await
    /// [`recv`](Self::recv) there.
    pub fn blocking_recv(&mut self) -> Option<T> {
        block_on(self.recv())
    }

    /// The same as [`recv_many`](Self::recv_many) on a plain thread, which is parked meanwhile.
    pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        block_on(self.recv_many(buffer, limit))
    }
}

impl<T, F: Flavor> Receiver<T, Bounded<F>> {
    /// For how many messages there is room that nobody has reserved. In a rendezvous always zero.
    pub fn capacity(&self) -> usize {
        self.rx.chan().read(|state| state.available())
    }

    /// For how many messages the channel was made.
    pub fn max_capacity(&self) -> usize {
        self.rx.chan().read(|state| state.places())
    }
}

impl<T, K: Kind> Stream for Receiver<T, K> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_recv(context)
    }
}

impl<T, K: Kind> fmt::Debug for Receiver<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::RECEIVER).field("channel", self.rx.chan()).finish()
    }
}
