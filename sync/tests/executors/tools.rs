//! Impatient futures, counted messages, dice.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Knuth's MMIX generator.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// Patience without end: waits for wake-ups, and is not polled without.
pub(crate) const ENDLESS: usize = usize::MAX;

/// Polls a future so many times, on turns of its own, and then drops it wherever that left it.
pub(crate) async fn impatiently<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    struct Impatient<F> {
        future: Pin<Box<F>>,
        polls: usize,
    }

    impl<F: Future> Future for Impatient<F> {
        type Output = Option<F::Output>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
            if self.polls == 0 {
                return Poll::Ready(None);
            }
            self.polls -= 1;
            if let Poll::Ready(output) = self.future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    if polls == ENDLESS {
        return Some(future.await);
    }
    Impatient { future: Box::pin(future), polls }.await
}

/// Lets the other tasks run, so many times.
pub(crate) async fn yield_times(times: usize) {
    let _never = impatiently(times, std::future::pending::<()>()).await;
}

/// What became of the messages of a test.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) made: Cell<usize>,
    pub(crate) dropped: Cell<usize>,
}

/// A message that is tallied. It is not `Send`.
pub(crate) struct Message {
    pub(crate) number: usize,
    tally: Rc<Tally>,
}

impl Message {
    pub(crate) fn new(number: usize, tally: &Rc<Tally>) -> Self {
        tally.made.set(tally.made.get() + 1);
        Self { number, tally: tally.clone() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.tally.dropped.set(self.tally.dropped.get() + 1);
    }
}
