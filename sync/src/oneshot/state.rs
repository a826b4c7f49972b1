//! What both halves of a channel for one message share.
//!
//! Its life is the message, and whether the receiver closed it:
//!
//! ```text
//!          send                take
//! Awaited ──────> Sent(value) ──────> Never
//!    └───────────────────────────────────^
//!               the sender is dropped
//! ```
//!
//! A send after the close fails, a message sent before it can still be taken.
//!
//! Here it is for threads, behind a lock. [For one thread](crate::local::oneshot) it is a few cells, each of which is read and
//! written at once: for a channel that lives as shortly, even the borrow flag counts.

use std::fmt;
use std::mem;
use std::task::{Context, Poll, Waker};

use super::error::RecvError;
use crate::shim::Lock;
use crate::wake::{WakeBatch, poll_unlocked, store_waker, wake};

/// The transitions of a channel. None runs foreign code while it is locked.
pub trait Channel<T> {
    /// Nothing is sent, and nobody waits.
    fn new() -> Self;

    /// Sends, unless it is closed. The sender's last.
    fn send(&self, value: T) -> Result<(), T>;

    /// Tells the receiver that nothing will come. The sender's last, where it has not sent.
    fn end(&self);

    /// Whether a send would fail.
    fn is_closed(&self) -> bool;

    /// Waits for the close.
    fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()>;

    /// Takes the message, or that there will be none.
    fn take(&self) -> Poll<Result<T, RecvError>>;

    /// Waits for the same.
    fn poll_take(&self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>>;

    /// Whether there is a message to take.
    fn is_sent(&self) -> bool;

    /// Lets nothing be sent from now on.
    fn close(&self);

    /// Tells the sender that nobody will receive, and drops the message. The receiver's last, where it has not received.
    fn abandon(&self);
}

/// The state for threads.
pub struct State<T> {
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

impl<T> Channel<T> for Lock<State<T>> {
    #[inline]
    fn new() -> Self {
        Self::new(State { message: Message::Awaited, closed: false, receiver: None, sender: None })
    }

    #[inline]
    fn send(&self, value: T) -> Result<(), T> {
        // The sender's waker is dropped last: one that panics does not cost the receiver its wake-up.
        let (receiver, _sender);
        {
            let mut state = self.lock();
            if state.closed {
                return Err(value);
            }
            state.message = Message::Sent(value);
            receiver = state.receiver.take();
            _sender = state.sender.take();
        }
        wake(receiver);
        Ok(())
    }

    fn end(&self) {
        let mut state = self.lock();
        state.message = Message::Never;
        let (receiver, _sender) = (state.receiver.take(), state.sender.take());
        drop(state);
        wake(receiver);
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        poll_unlocked(context, |fresh| {
            let mut state = self.lock();
            if state.closed {
                return Some(Poll::Ready(()));
            }
            store_waker(&mut state.sender, fresh, context)?;
            Some(Poll::Pending)
        })
    }

    #[inline]
    fn take(&self) -> Poll<Result<T, RecvError>> {
        self.lock().take()
    }

    #[inline]
    fn poll_take(&self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let mut fresh = None;
        loop {
            let mut state = self.lock();
            let poll = state.take();
            if poll.is_ready() || store_waker(&mut state.receiver, &mut fresh, context).is_some() {
                return poll;
            }
            drop(state);
            fresh = Some(context.waker().clone());
        }
    }

    fn is_sent(&self) -> bool {
        matches!(self.lock().message, Message::Sent(_))
    }

    fn close(&self) {
        let mut wakes = WakeBatch::new();
        let mut state = self.lock();
        state.closed = true;
        wakes.take_from(&mut state.sender);
        drop(state);
        wakes.wake_all();
    }

    fn abandon(&self) {
        let mut wakes = WakeBatch::new();
        let mut state = self.lock();
        state.closed = true;
        wakes.take_from(&mut state.sender);
        // A message that nobody will take is dropped now, not when the sender goes.
        let message = mem::replace(&mut state.message, Message::Never);
        let receiver = state.receiver.take();
        drop(state);
        wakes.wake_all();
        drop((message, receiver));
    }
}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
