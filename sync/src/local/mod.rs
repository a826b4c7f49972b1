//! The same for one thread, without atomics.
//!
//! Neither the things here nor what they carry need be `Send`, and the things never are: the compiler keeps them on the thread
//! that made them. They work on every executor that runs their tasks on one thread, and names and semantics are those of their
//! siblings that threads share.
//!
//! | to pass | use |
//! |---|---|
//! | one message, once | [`oneshot`] |
//! | messages from many to one | [`mpsc::channel`], [`mpsc::unbounded_channel`], [`mpsc::rendezvous`] |
//! | only the news that something happened | [`Notify`], or [`Event`] if it is to stay |
//! | the news that all work has ended | [`WaitGroup`] |
//!
//! | to share | use |
//! |---|---|
//! | a value, one at a time, across awaits | [`Mutex`] |
//! | the same with many readers | [`RwLock`] |
//! | the right to be one of so many at once | [`Semaphore`] |
//!
//! # Examples
//!
//! ```
//! # futures_executor::block_on(async {
//! use std::rc::Rc;
//!
//! use quoit_sync::local::mpsc;
//!
//! let (tx, mut rx) = mpsc::channel(1);
//! let send = async move {
//!     for name in ["one", "two"] {
//!         tx.send(Rc::<str>::from(name)).await.expect("a receiver");
//!     }
//! };
//! let receive = async move {
//!     assert_eq!(rx.recv().await.as_deref(), Some("one"));
//!     assert_eq!(rx.recv().await.as_deref(), Some("two"));
//!     assert_eq!(rx.recv().await, None);
//! };
//! futures_util::join!(send, receive);
//! # });
//! ```
//!
//! What is made on one thread stays there:
//!
//! ```compile_fail
//! let notify = quoit_sync::local::Notify::new();
//! std::thread::spawn(move || notify.notify_one());
//! ```

pub mod mpsc;
pub mod oneshot;

mod event;
mod group;
mod mutex;
mod notify;
mod rwlock;
mod semaphore;

pub use self::event::Event;
pub use self::group::{WaitGroup, WaitGuard};
pub use self::mutex::{Mutex, MutexGuard, OwnedMutexGuard};
pub use self::notify::{Notified, Notify};
pub use self::rwlock::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use self::semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use crate::mutex::TryLockError;
pub use crate::permits::{AcquireError, TryAcquireError};
