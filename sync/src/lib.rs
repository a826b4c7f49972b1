//! Channels and notification for any executor.
//!
//! Everything here works on every executor and every thread, and needs no runtime: a task waits through its waker, a plain
//! thread through the `blocking_` methods. Names, errors and semantics are those of `tokio::sync`.
//!
//! | to pass | use |
//! |---|---|
//! | one message, once | [`oneshot`] |
//! | messages from many to one, with a bound | [`mpsc::channel`] |
//! | the same without a bound | [`mpsc::unbounded_channel`] |
//! | the same hand to hand | [`mpsc::rendezvous`] |
//! | only the news that something happened | [`Notify`] |
//!
//! Dropping a future that waits never loses a message or a wake-up: a message not yet sent goes with its future, one not yet
//! received stays in the channel, and a wake-up meant for who is gone passes to the next. No lock is held while foreign code
//! runs, be it a waker or the destructor of a message. Once the queues have grown to their size, messages allocate nothing.
//!
//! # Examples
//!
//! One message:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::oneshot;
//!
//! let (tx, rx) = oneshot::channel();
//! std::thread::spawn(move || tx.send(6 * 7));
//! assert_eq!(rx.await, Ok(42));
//! # }
//! ```
//!
//! Many senders, a bound, one receiver:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::mpsc;
//!
//! let (tx, mut rx) = mpsc::channel(2);
//! for name in ["a", "b"] {
//!     let tx = tx.clone();
//!     std::thread::spawn(move || (0..10).for_each(|n| tx.blocking_send((name, n)).expect("a receiver")));
//! }
//! drop(tx);
//! let mut received = 0;
//! while let Some((_name, _n)) = rx.recv().await {
//!     received += 1;
//! }
//! assert_eq!(received, 20);
//! # }
//! ```
//!
//! Hand to hand:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::mpsc;
//!
//! let (tx, mut rx) = mpsc::rendezvous();
//! let taker = std::thread::spawn(move || rx.blocking_recv());
//! tx.send("now").await.expect("a receiver"); // returns when the other thread has it
//! assert_eq!(taker.join().expect("no panic"), Some("now"));
//! # }
//! ```
//!
//! No message at all:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::Notify;
//!
//! static RELOAD: Notify = Notify::const_new();
//! std::thread::spawn(|| RELOAD.notify_one());
//! RELOAD.notified().await;
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod mpsc;
pub mod oneshot;

mod block;
mod notify;
mod shim;
mod waiters;
mod wake;

pub use self::notify::{Notified, Notify};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[cfg(all(test, not(loom)))]
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
