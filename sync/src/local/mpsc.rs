//! Channels from many senders to one receiver, on one thread.
//!
//! [`channel`] has a bound: senders wait in the order they came while it is full. [`unbounded_channel`] never makes a sender wait
//! and so grows as long as the receiver is slower. [`rendezvous`] holds nothing: a send ends when the receiver has the message.
//!
//! The halves have the methods of [those for threads](mpsc), but for the blocking ones.
//!
//! # Examples
//!
//! ```
//! # futures_executor::block_on(async {
//! use std::rc::Rc;
//!
//! use quoit_sync::local::mpsc;
//!
//! let (tx, mut rx) = mpsc::channel(8);
//! tx.send(Rc::new(1)).await.expect("a receiver");
//! drop(tx);
//! assert_eq!((rx.recv().await.as_deref(), rx.recv().await), (Some(&1), None));
//! # });
//! ```

use crate::flavor::OneThread;
use crate::mpsc::{self, Bounded, Capacity, Unbounded};

pub use crate::mpsc::error;

/// Sends into a [`channel`] or a [`rendezvous`]. Clone it for another sender.
pub type Sender<T> = mpsc::Sender<T, Bounded<OneThread>>;

/// A [`Sender`] that does not keep the channel open: it must be upgraded to send.
pub type WeakSender<T> = mpsc::WeakSender<T, Bounded<OneThread>>;

/// Receives from a [`channel`] or a [`rendezvous`]. It is also a stream of the messages.
pub type Receiver<T> = mpsc::Receiver<T, Bounded<OneThread>>;

/// Sends into an [`unbounded_channel`]. Clone it for another sender.
pub type UnboundedSender<T> = mpsc::Sender<T, Unbounded<OneThread>>;

/// An [`UnboundedSender`] that does not keep the channel open: it must be upgraded to send.
pub type WeakUnboundedSender<T> = mpsc::WeakSender<T, Unbounded<OneThread>>;

/// Receives from an [`unbounded_channel`]. It is also a stream of the messages.
pub type UnboundedReceiver<T> = mpsc::Receiver<T, Unbounded<OneThread>>;

/// Room for one message, from [`Sender::reserve`]. Dropping it gives the room to the next sender.
pub type Permit<'a, T> = mpsc::Permit<'a, T, OneThread>;

/// Room for one message with its sender, from [`Sender::reserve_owned`]. Dropping it gives the room to the next sender.
pub type OwnedPermit<T> = mpsc::OwnedPermit<T, OneThread>;

/// Room for several messages, from [`Sender::reserve_many`]. Dropping it gives the room to the next sender.
pub type PermitIterator<'a, T> = mpsc::PermitIterator<'a, T, OneThread>;

/// Makes a channel that holds up to `buffer` messages.
///
/// # Panics
///
/// If `buffer` is zero: that is a [`rendezvous`].
///
/// # Examples
///
/// ```
/// let (tx, mut rx) = quoit_sync::local::mpsc::channel(1);
/// assert!(tx.try_send(1).is_ok() && tx.try_send(2).is_err());
/// assert_eq!(rx.try_recv(), Ok(1));
/// ```
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    mpsc::bounded(buffer)
}

/// Makes a channel that holds as many messages as memory does.
///
/// # Examples
///
/// ```
/// let (tx, mut rx) = quoit_sync::local::mpsc::unbounded_channel();
/// (0..3).for_each(|n| tx.send(n).expect("a receiver"));
/// assert_eq!((rx.try_recv(), rx.len()), (Ok(0), 2));
/// ```
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    mpsc::make(Capacity::Unbounded)
}

/// Makes a channel that holds nothing: [`Sender::send`] completes when the receiver has taken the message.
///
/// As with [that for threads](mpsc::rendezvous).
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// let (tx, mut rx) = quoit_sync::local::mpsc::rendezvous();
/// assert!(tx.try_send(1).is_err()); // nobody waits
/// assert_eq!(futures_util::join!(tx.send(2), rx.recv()), (Ok(()), Some(2)));
/// # });
/// ```
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    mpsc::make(Capacity::Rendezvous)
}
