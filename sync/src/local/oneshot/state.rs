//! What both halves of a local channel for one message share.

use std::cell::Cell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll, Waker};

use crate::oneshot::error::RecvError;
use crate::oneshot::state::Channel;
use crate::wake::wake;

/// The state [as for threads](crate::oneshot::state), but each field is read and written at once, and nothing is borrowed: wakers
/// and messages are moved out before they are woken or dropped, and whatever that runs finds the channel whole.
pub struct State<T> {
    /// How far it is, and who is to be told.
    flags: Cell<u8>,
    /// There while `SENT`.
    value: Cell<Option<T>>,
    /// Who waits for the message. Set by the receiver, taken by the sender.
    receiver: Cell<Option<Waker>>,
    /// Who waits for the close. Set by the sender, taken by the receiver.
    sender: Cell<Option<Waker>>,
}

impl<T> Channel<T> for State<T> {
    #[inline]
    fn new() -> Self {
        Self { flags: Cell::new(0), value: Cell::new(None), receiver: Cell::new(None), sender: Cell::new(None) }
    }

    #[inline]
    fn send(&self, value: T) -> Result<(), T> {
        if self.has(CLOSED) {
            return Err(value);
        }
        self.value.set(Some(value));
        self.sender_leaves(SENT);
        Ok(())
    }

    #[inline]
    fn end(&self) {
        self.sender_leaves(NEVER);
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.has(CLOSED)
    }

    fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        let look = || if self.has(CLOSED) { Poll::Ready(()) } else { Poll::Pending };
        let ready = look();
        if ready.is_ready() { ready } else { self.wait(&self.sender, context, look) }
    }

    #[inline]
    fn take(&self) -> Poll<Result<T, RecvError>> {
        if self.has(SENT) {
            self.flags.set(self.flags.get() - SENT + NEVER);
            return Poll::Ready(Ok(self.value.take().expect("the flag says so")));
        }
        if self.has(CLOSED | NEVER) { Poll::Ready(Err(RecvError(()))) } else { Poll::Pending }
    }

    #[inline]
    fn poll_take(&self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let ready = self.take();
        if ready.is_ready() { ready } else { self.wait(&self.receiver, context, || self.take()) }
    }

    #[inline]
    fn is_sent(&self) -> bool {
        self.has(SENT)
    }

    fn close(&self) {
        self.set(CLOSED);
        wake(self.sender.take());
    }

    #[inline(never)]
    fn abandon(&self) {
        self.flags.set(CLOSED | NEVER);
        // A message that nobody will take is dropped now, not when the sender goes. If the waker panics, as well.
        let _gone = (self.value.take(), self.receiver.take());
        wake(self.sender.take());
    }
}

impl<T> State<T> {
    #[inline]
    fn has(&self, flags: u8) -> bool {
        self.flags.get() & flags != 0
    }

    #[inline]
    fn set(&self, flags: u8) {
        self.flags.set(self.flags.get() | flags);
    }

    /// The sender waits no longer, and wakes the receiver.
    #[inline]
    fn sender_leaves(&self, how: u8) {
        self.set(how);
        if self.has(WAITED) {
            self.wake_receiver();
        }
    }

    #[inline(never)]
    fn wake_receiver(&self) {
        // The sender's waker is dropped last: one that panics does not cost the receiver its wake-up.
        let (receiver, _sender) = (self.receiver.take(), self.sender.take());
        wake(receiver);
    }

    /// Leaves a waker in its place, unless the last look says otherwise.
    #[inline(never)]
    fn wait<R>(&self, place: &Cell<Option<Waker>>, context: &Context<'_>, look: impl Fn() -> Poll<R>) -> Poll<R> {
        let waker = place.take();
        let wakes_us = waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        place.set(waker);
        if wakes_us {
            return Poll::Pending;
        }
        // The clone may do anything, even send: so it is looked at again.
        let fresh = context.waker().clone();
        let ready = look();
        if ready.is_pending() {
            self.set(WAITED);
            drop(place.replace(Some(fresh)));
        }
        ready
    }
}

/// As [`Solo`](crate::flavor::Solo): a panic of foreign code leaves it whole.
impl<T> UnwindSafe for State<T> {}
impl<T> RefUnwindSafe for State<T> {}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

/// The message is there.
const SENT: u8 = 1;

/// It was received, or the sender was dropped without sending.
const NEVER: u8 = 2;

/// The receiver takes nothing that is not sent yet.
const CLOSED: u8 = 4;

/// One of the halves has waited, and may have left a waker.
const WAITED: u8 = 8;
