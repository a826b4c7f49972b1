//! `Co` and `Yield`: the body's side of a generator.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::handover::Handover;

/// What the body of a generator yields with.
///
/// It belongs to its body. In another task it is of no use: whoever polls the generator would not be woken by it.
///
/// # Examples
///
/// See [`generator`](crate::generator()).
pub struct Co<Y, In = ()> {
    handover: Rc<Handover<Y, In>>,
}

impl<Y, In> Co<Y, In> {
    pub(crate) fn new(handover: Rc<Handover<Y, In>>) -> Self {
        Self { handover }
    }

    /// Hands out a value, and waits until the generator is asked for the next one. What it is asked with is the answer.
    ///
    /// Nothing happens before the future is polled: a yield that is not awaited yields nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the body has let its generator go on, the value is not handed out. Dropped afterwards, it was; then
    /// the input is dropped.
    ///
    /// # Panics
    ///
    /// Where another yield of this body is under way, as in `join!(co.yield_(1), co.yield_(2))`: values go out one at a
    /// time.
    ///
    /// # Examples
    ///
    /// See [`generator`](crate::generator()).
    pub fn yield_(&self, value: Y) -> Yield<'_, Y, In> {
        Yield { handover: &self.handover, step: Step::Begin(value) }
    }

    /// Waits for the first input.
    pub(crate) async fn first(&self) -> In {
        poll_fn(|_| self.handover.receive(0).map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl<Y, In> fmt::Debug for Co<Y, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Co").finish_non_exhaustive()
    }
}

/// The future of [`Co::yield_`].
#[must_use = "a yield does nothing unless it is awaited"]
pub struct Yield<'a, Y, In = ()> {
    handover: &'a Handover<Y, In>,
    step: Step<Y>,
}

enum Step<Y> {
    Begin(Y),
    /// The number of its offer.
    Offered(u64),
    End,
}

// The value is moved out, never pinned.
impl<Y, In> Unpin for Yield<'_, Y, In> {}

impl<Y, In> Future for Yield<'_, Y, In> {
    type Output = In;

    /// # Panics
    ///
    /// Polled again after it has ended; and where another yield is under way.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<In> {
        match std::mem::replace(&mut self.step, Step::End) {
            Step::Begin(value) => match self.handover.offer(value) {
                Ok(offer) => self.step = Step::Offered(offer),
                Err(value) => {
                    drop(value);
                    panic!("a generator yields one value at a time: await a `yield_` before the next one");
                }
            },
            Step::Offered(offer) => match self.handover.receive(offer) {
                Some(input) => return Poll::Ready(input),
                None => self.step = Step::Offered(offer),
            },
            Step::End => panic!("`Yield` polled after it had ended"),
        }
        let replaced = self.handover.wait(cx.waker().clone());
        drop(replaced);
        Poll::Pending
    }
}

impl<Y, In> Drop for Yield<'_, Y, In> {
    fn drop(&mut self) {
        if let Step::Offered(offer) = self.step {
            drop(self.handover.abandon(offer));
        }
    }
}

impl<Y, In> fmt::Debug for Yield<'_, Y, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yield").finish_non_exhaustive()
    }
}
