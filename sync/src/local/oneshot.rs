//! A channel for one message, on one thread.
//!
//! # Examples
//!
//! ```
//! # futures_executor::block_on(async {
//! use std::rc::Rc;
//!
//! use quoit_sync::local::oneshot;
//!
//! let (tx, rx) = oneshot::channel();
//! let (received, sent) = futures_util::join!(rx, async { tx.send(Rc::new("done")) });
//! assert_eq!((received.as_deref(), sent), (Ok(&"done"), Ok(())));
//! # });
//! ```

use crate::flavor::OneThread;
use crate::oneshot;

pub use crate::oneshot::error;

pub(crate) mod state;

/// The sending half, [as for threads](oneshot::Sender).
pub type Sender<T> = oneshot::Sender<T, OneThread>;

/// The receiving half, [as for threads](oneshot::Receiver): a future of the message.
pub type Receiver<T> = oneshot::Receiver<T, OneThread>;

/// Makes a channel for one message.
///
/// # Examples
///
/// ```
/// let (tx, mut rx) = quoit_sync::local::oneshot::channel();
/// assert_eq!(tx.send(5), Ok(()));
/// assert_eq!(rx.try_recv(), Ok(5));
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    oneshot::make()
}
