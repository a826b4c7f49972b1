//! A channel in which every receiver gets every message.
//!
//! It keeps a bounded number of messages, each until all receivers have it. A send never waits: into a full channel it drops the
//! oldest message, and receivers that had yet to get that one are told that they [lagged](error::RecvError::Lagged) and go on
//! with the oldest there is.
//!
//! A receiver gets a clone, made under the lock of that message alone: while it clones, receivers of the same message wait for
//! it, the channel does not. Messages need be [`Send`], not [`Sync`]. A `clone` must not receive the message that it clones.
//! What the receivers share of a message is one allocation.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::broadcast;
//! use quoit_sync::broadcast::error::RecvError;
//!
//! let (tx, mut one) = broadcast::channel(2);
//! let mut other = tx.subscribe();
//! assert_eq!(tx.send("a"), Ok(2));
//! assert_eq!(one.recv().await, Ok("a"));
//! for message in ["b", "c"] {
//!     tx.send(message).expect("receivers");
//! }
//! drop(tx);
//! assert_eq!(one.recv().await, Ok("b"));
//! assert_eq!(other.recv().await, Err(RecvError::Lagged(1)));
//! assert_eq!(other.recv().await, Ok("b"));
//! assert_eq!(other.recv().await, Ok("c"));
//! assert_eq!(other.recv().await, Err(RecvError::Closed));
//! # }
//! ```

mod receiver;
mod sender;
mod state;

pub mod error;

pub use self::receiver::Receiver;
pub use self::sender::{Sender, WeakSender};

/// Makes a channel that keeps up to `capacity` messages, rounded up to a power of two.
///
/// # Panics
///
/// If `capacity` is zero or more than `usize::MAX / 2`.
///
/// # Examples
///
/// ```
/// use quoit_sync::broadcast;
///
/// let (tx, mut rx) = broadcast::channel(3);
/// (0..4).for_each(|n| drop(tx.send(n)));
/// assert_eq!(rx.try_recv(), Ok(0)); // there was room for four
/// ```
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let tx = Sender::new(capacity);
    let rx = tx.subscribe();
    (tx, rx)
}
