//! Channels, locks and notification for any executor.
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
//! | every message to every receiver | [`broadcast`] |
//! | the latest value, from many to many | [`watch`] |
//! | only the news that something happened | [`Notify`] |
//! | the news that something happened to what a mutex guards | [`Condvar`] |
//! | the news that all work has ended | [`WaitGroup`] |
//! | the request to stop, to a whole tree of tasks | [`CancellationToken`] |
//!
//! | to share | use |
//! |---|---|
//! | a value, one at a time, across awaits | [`Mutex`] |
//! | the same with many readers | [`RwLock`] |
//! | a value that is made once, by who needs it first | [`OnceCell`] |
//! | a value that is set once, and waited for | [`SetOnce`] |
//! | the right to be one of so many at once | [`Semaphore`] |
//! | a point to be reached together | [`Barrier`] |
//!
//! [`local`] has most of it for one thread, without atomics.
//!
//! Dropping a future that waits never loses a message or a wake-up: a message not yet sent goes with its future, one not yet
//! received stays in the channel, and a wake-up meant for who is gone passes to the next. No lock is held while foreign code
//! runs, be it a waker or the destructor of a message. Once the queues have grown to their size, messages allocate nothing.
//! (What [`watch`] and [`broadcast`] do under the lock of a single value, and what a broadcast message costs, they say.)
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

#![deny(unsafe_code)]

pub mod broadcast;
pub mod local;
pub mod mpsc;
pub mod oneshot;
pub mod watch;

mod audience;
mod barrier;
mod block;
mod cancellation;
mod cell;
mod condvar;
mod flavor;
mod group;
mod guards;
mod mutex;
mod notify;
mod once_cell;
mod permits;
mod rwlock;
mod semaphore;
mod set_once;
mod shim;
mod waiters;
mod wake;

pub use self::barrier::{Barrier, BarrierWaitResult};
pub use self::cancellation::{CancellationToken, DropGuard, WaitForCancellationFuture, WaitForCancellationFutureOwned};
pub use self::condvar::Condvar;
pub use self::group::{WaitGroup, WaitGuard};
pub use self::mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard, TryLockError};
pub use self::notify::{Notified, Notify, OwnedNotified};
pub use self::once_cell::{OnceCell, SetError};
pub use self::rwlock::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockMappedWriteGuard,
    RwLockReadGuard, RwLockWriteGuard,
};
pub use self::semaphore::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};
pub use self::set_once::{SetOnce, SetOnceError};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[cfg(all(test, not(loom)))]
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
