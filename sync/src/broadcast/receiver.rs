//! The receiving half.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::audience::{Audience, Visit, leave_seat, poll_seat};
use crate::block::block_on;
use crate::shim::{Arc, Lock};
use crate::waiters::Key;
use crate::wake::WakeBatch;

use super::error::{RecvError, TryRecvError};
use super::state::{Message, State, print};

/// Receives every message sent to a [`channel`](super::channel) since it was made.
///
/// It is also a [`Stream`], which ends when all senders are dropped; that it lagged is an item of it.
pub struct Receiver<T> {
    state: Arc<Lock<State<T>>>,
    /// The number of its next message.
    next: u64,
    /// The stream's place among those who wait for a message.
    seat: Option<Key>,
}

impl<T> Receiver<T> {
    pub(super) fn new(state: &Arc<Lock<State<T>>>) -> Self {
        let next = state.lock().subscribe();
        Self { state: state.clone(), next, seat: None }
    }

    /// Makes another receiver, of what is sent from now on: it gets nothing of what this one has yet to get.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = quoit_sync::broadcast::channel(4);
    /// tx.send(1).expect("a receiver");
    /// let other = rx.resubscribe();
    /// assert_eq!((rx.len(), other.len()), (1, 0));
    /// ```
    #[must_use = "a receiver is there to receive"]
    pub fn resubscribe(&self) -> Self {
        Self::new(&self.state)
    }

    /// How many messages were sent that it has not got. If it lags they are more than the channel holds.
    pub fn len(&self) -> usize {
        self.state.lock().len_from(self.next)
    }

    /// Whether it has got all messages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all senders are dropped. There may still be messages.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, mut rx) = quoit_sync::broadcast::channel(4);
    /// tx.send("last").expect("a receiver");
    /// drop(tx);
    /// assert!(rx.is_closed());
    /// assert_eq!(rx.try_recv(), Ok("last"));
    /// ```
    pub fn is_closed(&self) -> bool {
        self.sender_strong_count() == 0
    }

    /// How many senders keep the channel open.
    pub fn sender_strong_count(&self) -> usize {
        self.state.lock().senders
    }

    /// How many senders there are that do not keep it open.
    pub fn sender_weak_count(&self) -> usize {
        self.state.lock().weak_senders
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next message.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no message.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] if messages were dropped from the full channel before this receiver got them: it goes on with the
    /// oldest there is. [`RecvError::Closed`] if all senders are dropped and it got all their messages.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (tx, mut rx) = quoit_sync::broadcast::channel(4);
    /// std::thread::spawn(move || tx.send("news"));
    /// assert_eq!(rx.recv().await, Ok("news"));
    /// assert!(rx.recv().await.is_err());
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let Self { state, next, .. } = self;
        let received = {
            let mut visit = Visit::new(&**state, audience);
            poll_fn(|context| visit.poll(context, |state| state.receive(next))).await
        };
        received.map(open)
    }

    /// Takes the next message if it is there, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is none, and the others as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let received = self.state.lock().receive(&mut self.next);
        match received {
            Some(received) => Ok(open(received?)),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for the next message on a plain thread, which is parked meanwhile.
    ///
    /// In an async task it would keep the executor's thread from everything else, perhaps from the senders: await
    /// [`recv`](Self::recv) there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        block_on(self.recv())
    }
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = Result<T, RecvError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { state, next, seat } = self.get_mut();
        Poll::Ready(match ready!(poll_seat(&**state, audience, seat, context, |state| state.receive(next))) {
            Err(RecvError::Closed) => None,
            received => Some(received.map(open)),
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        leave_seat(&*self.state, audience, &mut self.seat);
        let mut wakes = WakeBatch::new();
        let left = self.state.lock().unsubscribe(self.next, &mut wakes);
        wakes.wake_all();
        drop(left);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print("Receiver", &self.state, f)
    }
}

/// Where receivers wait.
fn audience<T>(state: &mut State<T>) -> &mut Audience {
    &mut state.audience
}

/// Clones a message for one receiver. Who has it last drops it.
fn open<T: Clone>(message: Message<T>) -> T {
    message.lock().clone()
}
