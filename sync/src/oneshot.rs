//! A channel for one message.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use quoit_sync::oneshot;
//!
//! let (tx, rx) = oneshot::channel();
//! std::thread::spawn(move || tx.send("done").expect("the receiver waits"));
//! assert_eq!(rx.await, Ok("done"));
//! # }
//! ```
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use self::error::{RecvError, TryRecvError};
use self::state::Channel;
use crate::block::block_on;
use crate::cell::Half;
use crate::flavor::{Flavor, Threads};

pub(crate) mod state;

/// Makes a channel for one message.
///
/// # Examples
///
/// ```
/// use quoit_sync::oneshot;
///
/// let (tx, mut rx) = oneshot::channel();
/// assert_eq!(rx.try_recv(), Err(oneshot::error::TryRecvError::Empty));
/// assert_eq!(tx.send(5), Ok(()));
/// assert_eq!(rx.try_recv(), Ok(5));
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    make()
}

/// A channel of either flavor.
#[inline]
pub(crate) fn make<T, F: Flavor>() -> (Sender<T, F>, Receiver<T, F>) {
    let (sends, receives) = Half::pair(Channel::new);
    (Sender { channel: Some(sends) }, Receiver { channel: Some(receives) })
}

/// The sending half: it is used up by [`send`](Self::send). Dropping it tells the receiver that nothing will come.
pub struct Sender<T, F: Flavor = Threads> {
    /// None only while `send` ends.
    channel: Option<Half<F::Channel<T>, F>>,
}

impl<T, F: Flavor> Sender<T, F> {
    /// Sends the message and wakes the receiver. Never waits.
    ///
    /// A message that was sent is not surely received: the receiver may be dropped before it looks.
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver was dropped or closed.
    #[inline]
    pub fn send(mut self, value: T) -> Result<(), T> {
        let channel = self.channel.take().expect("only `send` takes the channel");
        channel.send(value)
    }

    /// Whether the receiver was dropped or closed: a send would fail.
    pub fn is_closed(&self) -> bool {
        self.channel().is_closed()
    }

    /// Completes when the receiver is dropped or closed, for a sender to end work that nobody waits for.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (mut tx, rx) = quoit_sync::oneshot::channel::<()>();
    /// drop(rx);
    /// tx.closed().await;
    /// assert!(tx.is_closed());
    /// # }
    /// ```
    pub async fn closed(&mut self) {
        poll_fn(|context| self.poll_closed(context)).await;
    }

    /// Ready when the receiver is dropped or closed; otherwise the task will be woken when it is. The last task to poll counts.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.channel().poll_closed(context)
    }

    #[inline]
    fn channel(&self) -> &F::Channel<T> {
        self.channel.as_ref().expect("only `send` takes the channel")
    }
}

impl<T, F: Flavor> Drop for Sender<T, F> {
    #[inline]
    fn drop(&mut self) {
        // Mostly it has sent, and nothing is left to do.
        if let Some(channel) = self.channel.take() {
            channel.end();
        }
    }
}

impl<T, F: Flavor> fmt::Debug for Sender<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// The receiving half: a future of the message.
///
/// # Cancel safety
///
/// The receiver is the future: awaiting `&mut receiver` may be given up and taken up again, and loses nothing.
///
/// # Errors
///
/// The future answers [`RecvError`] if the sender was dropped without sending, or the channel was closed before.
///
/// # Panics
///
/// Polling it again after it was ready, or after [`try_recv`](Self::try_recv) ended it, panics.
#[must_use = "a message is received by awaiting"]
pub struct Receiver<T, F: Flavor = Threads> {
    /// None once the message, or that there is none, was told.
    channel: Option<Half<F::Channel<T>, F>>,
}

impl<T, F: Flavor> Receiver<T, F> {
    /// Takes the message if it is there, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] while it may still come; [`TryRecvError::Closed`] if it was taken or never will.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let channel = self.channel.as_ref().ok_or(TryRecvError::Closed)?;
        match channel.take() {
            Poll::Ready(result) => {
                self.channel = None;
                result.map_err(|RecvError(())| TryRecvError::Closed)
            }
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Closes the channel: what was not sent by now cannot be. A message sent before is still there to be received.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, mut rx) = quoit_sync::oneshot::channel();
    /// rx.close();
    /// assert_eq!(tx.send("late"), Err("late"));
    /// ```
    pub fn close(&mut self) {
        let Some(channel) = &self.channel else { return };
        channel.close();
    }

    /// Whether the message, or that there is none, was told: polling again would panic.
    pub fn is_terminated(&self) -> bool {
        self.channel.is_none()
    }

    /// Whether there is no message now. An empty channel may also be a terminated one.
    pub fn is_empty(&self) -> bool {
        !self.channel.as_ref().is_some_and(|channel| channel.is_sent())
    }
}

impl<T> Receiver<T> {
    /// Waits for the message on a plain thread, which is parked meanwhile.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from the sender: await it there.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the sender was dropped without sending.
    ///
    /// # Panics
    ///
    /// If the receiver was ready before.
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        block_on(self)
    }
}

impl<T, F: Flavor> Future for Receiver<T, F> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let channel = self.channel.as_ref().expect("polled again after it was ready");
        let poll = channel.poll_take(context);
        if poll.is_ready() {
            self.channel = None;
        }
        poll
    }
}

impl<T, F: Flavor> Drop for Receiver<T, F> {
    #[inline]
    fn drop(&mut self) {
        // Mostly it was told the message, and nothing is left to do.
        if let Some(channel) = self.channel.take() {
            channel.abandon();
        }
    }
}

impl<T, F: Flavor> fmt::Debug for Receiver<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("terminated", &self.is_terminated())
            .field("empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

/// Why no message was received.
pub mod error {
    use std::error::Error;
    use std::fmt;

    /// The sender was dropped without sending, or the channel closed before it could.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RecvError(pub(crate) ());

    impl fmt::Display for RecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("channel closed")
        }
    }

    impl Error for RecvError {}

    /// There is no message now.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TryRecvError {
        /// It was not sent yet.
        Empty,
        /// It was received before, or never will be sent.
        Closed,
    }

    impl fmt::Display for TryRecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::Empty => "channel empty",
                Self::Closed => "channel closed",
            })
        }
    }

    impl Error for TryRecvError {}
}
