//! A channel that keeps only the latest value.
//!
//! Receivers see the value as it is now, and wait for it to change; what came in between is not kept for them. Sending never
//! waits for a receiver.
//!
//! Looking at the value locks it for reading, and the [`Ref`] that [`borrow`](Receiver::borrow) returns keeps it so: senders wait
//! for it meanwhile, and a thread that sends while it holds one waits for itself. Keep it short, and never across an `await`.
//! The functions given to [`send_modify`](Sender::send_modify), [`send_if_modified`](Sender::send_if_modified) and
//! [`wait_for`](Receiver::wait_for), and the `clone` of the stream, run under that lock too: they must not use the channel.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::watch;
//!
//! let (tx, mut rx) = watch::channel("starting");
//! assert_eq!(*rx.borrow(), "starting");
//! std::thread::spawn(move || tx.send("running").expect("a receiver"));
//! rx.changed().await.expect("a sender that sent");
//! assert_eq!(*rx.borrow_and_update(), "running");
//! assert!(rx.changed().await.is_err()); // the sender is gone, the value is not
//! assert_eq!(*rx.borrow(), "running");
//! # }
//! ```

mod receiver;
mod sender;
mod shared;
mod value;

pub mod error;

pub use self::receiver::Receiver;
pub use self::sender::Sender;
pub use self::value::Ref;

/// Makes a channel with its first value, which the receiver counts as seen.
///
/// # Examples
///
/// ```
/// use quoit_sync::watch;
///
/// let (tx, rx) = watch::channel(1);
/// assert_eq!(rx.has_changed(), Ok(false));
/// tx.send(2).expect("a receiver");
/// tx.send(3).expect("a receiver");
/// assert_eq!((rx.has_changed(), *rx.borrow()), (Ok(true), 3));
/// ```
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    let tx = Sender::new(init);
    let rx = tx.subscribe();
    (tx, rx)
}
