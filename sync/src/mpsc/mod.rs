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
mod permit;
mod receiver;
mod sender;
mod sending;
mod state;
mod unbounded;

pub mod error;

pub use self::permit::{OwnedPermit, Permit};
pub use self::receiver::Receiver;
pub use self::sender::{Sender, WeakSender};
pub use self::unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender};

use self::state::Capacity;

/// Makes a channel that holds up to `buffer` messages.
///
/// # Panics
///
/// If `buffer` is zero: that is a [`rendezvous`].
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    assert!(buffer > 0, "a channel needs room for at least one message; `rendezvous` makes one without room");
    bounded(Capacity::Bounded(buffer))
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
    let (tx, rx) = chan::new(Capacity::Unbounded);
    (UnboundedSender { tx }, UnboundedReceiver { rx })
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
    bounded(Capacity::Rendezvous)
}

fn bounded<T>(capacity: Capacity) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = chan::new(capacity);
    (Sender { tx }, Receiver { rx })
}
