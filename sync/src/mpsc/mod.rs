//! Channels from many senders to one receiver.
//!
//! [`channel`] has a bound: senders wait in the order they came while it is full. [`unbounded_channel`] never makes a sender wait
//! and so grows as long as the receiver is slower. [`rendezvous`] holds nothing: a send ends when the receiver has the message.
//!
//! The channel ends when all senders are dropped, and the receiver then gets what is left and `None`; or when the receiver is
//! [closed](Receiver::close) or dropped, and senders then get their messages back.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::mpsc;
//!
//! let (tx, mut rx) = mpsc::channel(8);
//! tx.send("one").await.expect("a receiver");
//! tx.try_send("two").expect("room");
//! drop(tx);
//! assert_eq!(rx.recv().await, Some("one"));
//! assert_eq!(rx.recv().await, Some("two"));
//! assert_eq!(rx.recv().await, None);
//! # }
//! ```

mod chan;
mod kind;
mod permit;
mod receiver;
mod sender;
mod sending;
mod state;

pub mod error;

pub use self::kind::{Bounded, Kind, Unbounded};
pub use self::permit::{OwnedPermit, Permit, PermitIterator};
pub use self::receiver::Receiver;
pub use self::sender::{Sender, WeakSender};

use crate::flavor::Flavor;

pub(crate) use self::state::Capacity;

/// Sends into an [`unbounded_channel`].
pub type UnboundedSender<T> = Sender<T, Unbounded>;

/// An [`UnboundedSender`] that does not keep the channel open: it must be upgraded to send.
pub type WeakUnboundedSender<T> = WeakSender<T, Unbounded>;

/// Receives from an [`unbounded_channel`].
pub type UnboundedReceiver<T> = Receiver<T, Unbounded>;

/// Makes a channel that holds up to `buffer` messages.
///
/// # Panics
///
/// If `buffer` is zero: that is a [`rendezvous`].
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    bounded(buffer)
}

/// Makes a channel that holds as many messages as memory does.
///
/// # Examples
///
/// ```
/// use quoit_sync::mpsc;
///
/// let (tx, mut rx) = mpsc::unbounded_channel();
/// (0..3).for_each(|n| tx.send(n).expect("a receiver"));
/// assert_eq!((rx.try_recv(), rx.len()), (Ok(0), 2));
/// ```
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    make(Capacity::Unbounded)
}

/// Makes a channel that holds nothing: [`Sender::send`] completes when the receiver has taken the message.
///
/// The message of a send that is dropped before goes with it. What does not wait for the receiver, [`Sender::try_send`] and a
/// permit, finds room for one message while the receiver waits and nobody else has answered it; should the receiver then be
/// dropped in its wait, that message is there for the next one. [`Receiver::poll_recv`] and the stream cannot tell that they were
/// given up: they count as waiting until the next message.
///
/// # Examples
///
/// ```
/// use quoit_sync::mpsc;
///
/// let (tx, mut rx) = mpsc::rendezvous();
/// assert!(tx.try_send(1).is_err()); // nobody waits
/// let sender = std::thread::spawn(move || tx.blocking_send(2));
/// assert_eq!(rx.blocking_recv(), Some(2));
/// sender.join().expect("no panic").expect("it was taken");
/// ```
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    make(Capacity::Rendezvous)
}

/// A bounded channel of either flavor.
#[track_caller]
pub(crate) fn bounded<T, F: Flavor>(buffer: usize) -> (Sender<T, Bounded<F>>, Receiver<T, Bounded<F>>) {
    assert!(buffer > 0, "a channel needs room for at least one message; `rendezvous` makes one without room");
    make(Capacity::Bounded(buffer))
}

/// A channel of any kind.
pub(crate) fn make<T, K: Kind>(capacity: Capacity) -> (Sender<T, K>, Receiver<T, K>) {
    let (tx, rx) = chan::new(capacity);
    (Sender { tx }, Receiver { rx })
}
