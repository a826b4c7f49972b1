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
// The channel's life is the `Message` and whether the receiver closed it:
//
//            send                take
//   Awaited ──────> Sent(value) ──────> Never
//      └───────────────────────────────────^
//                 the sender is dropped
//
// A send after the close fails, a message sent before it can still be taken.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use self::error::{RecvError, TryRecvError};
use crate::block::block_on;
use crate::cell::Half;
use crate::flavor::{Flavor, Latch, Threads};
use crate::wake::{WakeBatch, poll_unlocked, store_waker, wake};

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
    let (sends, receives) =
        Half::pair(|| Latch::around(State { message: Message::Awaited, closed: false, receiver: None, sender: None }));
    (Sender { channel: Some(sends) }, Receiver { channel: Some(receives) })
}

/// What a half keeps.
type Channel<T, F> = Half<<F as Flavor>::Lock<State<T>>, F>;

/// The sending half: it is used up by [`send`](Self::send). Dropping it tells the receiver that nothing will come.
pub struct Sender<T, F: Flavor = Threads> {
    /// None only while `send` ends.
    channel: Option<Channel<T, F>>,
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
        // The sender's waker is dropped last: one that panics does not cost the receiver its wake-up.
        let (receiver, _sender);
        {
            let mut state = channel.lock();
            if state.closed {
                return Err(value);
            }
            state.message = Message::Sent(value);
            receiver = state.receiver.take();
            _sender = state.sender.take();
        }
        if let Some(waker) = receiver {
            waker.wake();
        }
        Ok(())
    }

    /// Whether the receiver was dropped or closed: a send would fail.
    pub fn is_closed(&self) -> bool {
        self.channel().lock().closed
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
        let channel = self.channel();
        poll_unlocked(context, |fresh| {
            let mut state = channel.lock();
            if state.closed {
                return Some(Poll::Ready(()));
            }
            store_waker(&mut state.sender, fresh, context)?;
            Some(Poll::Pending)
        })
    }

    #[inline]
    fn channel(&self) -> &F::Lock<State<T>> {
        self.channel.as_ref().expect("only `send` takes the channel")
    }
}

impl<T, F: Flavor> Drop for Sender<T, F> {
    #[inline]
    fn drop(&mut self) {
        // Mostly it has sent, and nothing is left to do.
        if let Some(channel) = self.channel.take() {
            abandon_receiver(&*channel);
        }
    }
}

/// Tells the receiver that nothing will come.
fn abandon_receiver<T>(channel: &impl Latch<State<T>>) {
    let mut state = channel.lock();
    state.message = Message::Never;
    let (receiver, _sender) = (state.receiver.take(), state.sender.take());
    drop(state);
    wake(receiver);
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
    channel: Option<Channel<T, F>>,
}

impl<T, F: Flavor> Receiver<T, F> {
    /// Takes the message if it is there, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] while it may still come; [`TryRecvError::Closed`] if it was taken or never will.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let channel = self.channel.as_ref().ok_or(TryRecvError::Closed)?;
        let taken = channel.lock().take();
        match taken {
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
        let mut wakes = WakeBatch::new();
        let mut state = channel.lock();
        state.closed = true;
        wakes.take_from(&mut state.sender);
        drop(state);
        wakes.wake_all();
    }

    /// Whether the message, or that there is none, was told: polling again would panic.
    pub fn is_terminated(&self) -> bool {
        self.channel.is_none()
    }

    /// Whether there is no message now. An empty channel may also be a terminated one.
    pub fn is_empty(&self) -> bool {
        self.channel.as_ref().is_none_or(|channel| !matches!(channel.lock().message, Message::Sent(_)))
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
        let mut fresh = None;
        let poll = loop {
            let mut state = channel.lock();
            let poll = state.take();
            if poll.is_ready() || store_waker(&mut state.receiver, &mut fresh, context).is_some() {
                break poll;
            }
            drop(state);
            fresh = Some(context.waker().clone());
        };
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
            abandon_sender(&*channel);
        }
    }
}

/// Tells the sender that nobody will receive.
fn abandon_sender<T>(channel: &impl Latch<State<T>>) {
    let mut wakes = WakeBatch::new();
    let mut state = channel.lock();
    state.closed = true;
    wakes.take_from(&mut state.sender);
    // A message that nobody will take is dropped now, not when the sender goes.
    let message = mem::replace(&mut state.message, Message::Never);
    let receiver = state.receiver.take();
    drop(state);
    wakes.wake_all();
    drop((message, receiver));
}

impl<T, F: Flavor> fmt::Debug for Receiver<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("terminated", &self.is_terminated())
            .field("empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

/// What both halves share.
struct State<T> {
    message: Message<T>,
    /// The receiver takes nothing that is not sent yet. Set by the receiver.
    closed: bool,
    /// Who waits for the message. Set by the receiver, taken by the sender.
    receiver: Option<Waker>,
    /// Who waits for the close. Set by the sender, taken by the receiver.
    sender: Option<Waker>,
}

enum Message<T> {
    /// Not sent yet.
    Awaited,
    /// Sent, not received.
    Sent(T),
    /// Received, or the sender was dropped without sending.
    Never,
}

impl<T> State<T> {
    /// Takes the message, or that there will be none.
    #[inline]
    fn take(&mut self) -> Poll<Result<T, RecvError>> {
        if let Message::Awaited = self.message {
            return if self.closed { Poll::Ready(Err(RecvError(()))) } else { Poll::Pending };
        }
        Poll::Ready(match mem::replace(&mut self.message, Message::Never) {
            Message::Sent(value) => Ok(value),
            Message::Never | Message::Awaited => Err(RecvError(())),
        })
    }
}

/// Why no message was received.
pub mod error {
    use std::error::Error;
    use std::fmt;

    /// The sender was dropped without sending, or the channel closed before it could.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RecvError(pub(super) ());

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
