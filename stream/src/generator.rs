//! `Generator`: what a body yields, for whoever polls it.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_core::{FusedStream, Stream};

use crate::handover::Handover;
use crate::yielding::Co;

/// A stream of what `body` yields.
///
/// It is lazy: nothing of the body runs before the first item is asked for, and then only up to the next yield. The stream
/// ends with the body; afterwards, and after a panic of the body, it answers `None` for ever.
///
/// # Cancel safety
///
/// A `next()` that is dropped loses no item: the next one gets it. Dropping the generator drops the body where it stands.
///
/// # Panics
///
/// Polling it goes on with a panic of the body.
///
/// # Examples
///
/// ```
/// use futures_util::StreamExt as _;
/// use quoit_stream::{Generator, generator};
///
/// fn fibonacci() -> Generator<u64> {
///     generator(|co| async move {
///         let (mut a, mut b) = (0, 1);
///         loop {
///             co.yield_(a).await;
///             (a, b) = (b, a + b);
///         }
///     })
/// }
///
/// # futures_util::FutureExt::now_or_never(async {
/// let first: Vec<u64> = fibonacci().take(8).collect().await;
/// assert_eq!(first, [0, 1, 1, 2, 3, 5, 8, 13]);
/// # }).expect("it never waits");
/// ```
pub fn generator<Y, B, F>(body: B) -> Generator<Y>
where
    Y: 'static,
    B: FnOnce(Co<Y>) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    generator_with(|co, ()| body(co))
}

/// A generator that gets a value for each one that it gives: `resume(input)` answers what the body yields next.
///
/// The first input is an argument of the body, each later one the answer of a yield. It is lazy, as [`generator`] is.
///
/// # Examples
///
/// ```
/// use quoit_stream::generator_with;
///
/// let mut sums = generator_with(|co, first: i32| async move {
///     let mut sum = first;
///     while sum < 10 {
///         sum += co.yield_(sum).await;
///     }
/// });
/// # futures_util::FutureExt::now_or_never(async {
/// assert_eq!(sums.resume(3).await, Some(3));
/// assert_eq!(sums.resume(4).await, Some(7));
/// assert_eq!(sums.resume(5).await, None);
/// # }).expect("it never waits");
/// ```
pub fn generator_with<Y, In, B, F>(body: B) -> Generator<Y, In>
where
    Y: 'static,
    In: 'static,
    B: FnOnce(Co<Y, In>, In) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let handover = Rc::new(Handover::new());
    let co = Co::new(Rc::clone(&handover));
    let body = async move {
        let first = co.first().await;
        body(co, first).await;
    };
    Generator { body: Some(Box::pin(body)), handover }
}

/// A body that yields. Made by [`generator`], which is a [`Stream`], and [`generator_with`], which is asked by
/// [`resume`](Generator::resume).
#[must_use = "a generator does nothing unless it is polled"]
pub struct Generator<Y, In = ()> {
    /// Until it has ended, or panicked.
    body: Option<Pin<Box<dyn Future<Output = ()>>>>,
    handover: Rc<Handover<Y, In>>,
}

/// What a poll of the body has brought.
enum Polled<Y> {
    Yielded(Y),
    Pending,
    Ended,
}

impl<Y, In> Generator<Y, In> {
    /// Lets the body go on with `input`, and waits for what it yields next; `None` where it ends instead.
    ///
    /// The input of a generator that has ended is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first poll, it has done nothing. Dropped later, the body has its input and goes on with it at the
    /// next `resume`; what it yields as the answer is dropped then, so that each answer belongs to the input of its own
    /// call. To wait with a deadline and lose nothing, keep the future and pass `&mut future`.
    ///
    /// # Panics
    ///
    /// Goes on with a panic of the body.
    ///
    /// # Examples
    ///
    /// See [`generator_with`].
    pub fn resume(&mut self, input: In) -> Resume<'_, Y, In> {
        Resume { generator: self, step: Step::Begin(input) }
    }

    /// Whether the body has ended.
    pub fn is_finished(&self) -> bool {
        self.body.is_none()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Polled<Y> {
        // It comes back only if it waits: a body that panics is gone.
        let Some(mut body) = self.body.take() else { return Polled::Ended };
        if body.as_mut().poll(cx).is_pending() {
            self.body = Some(body);
        }
        match self.handover.take() {
            Some(value) => Polled::Yielded(value),
            None if self.body.is_some() => Polled::Pending,
            None => Polled::Ended,
        }
    }

    /// Gives an input to the body; gives it back where the body is still busy with the one before.
    fn give(&self, input: In, cx: &mut Context<'_>) -> Result<(), In> {
        let waker = self.handover.resume(input)?;
        // The body is polled next, by us. Only within a future that polls its parts by their own wakers is there somebody
        // else to be told.
        if let Some(waker) = waker.filter(|waker: &Waker| !waker.will_wake(cx.waker())) {
            waker.wake();
        }
        Ok(())
    }
}

impl<Y> Stream for Generator<Y> {
    type Item = Y;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Y>> {
        // Where it is busy, somebody has asked before and gone away: this is his item.
        let _ = self.give((), cx);
        match self.poll_body(cx) {
            Polled::Yielded(value) => Poll::Ready(Some(value)),
            Polled::Pending => Poll::Pending,
            Polled::Ended => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.is_finished().then_some(0))
    }
}

impl<Y> FusedStream for Generator<Y> {
    fn is_terminated(&self) -> bool {
        self.is_finished()
    }
}

impl<Y, In> fmt::Debug for Generator<Y, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("is_finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// The future of [`Generator::resume`].
#[must_use = "a generator does nothing unless it is polled"]
pub struct Resume<'a, Y, In> {
    generator: &'a mut Generator<Y, In>,
    step: Step<In>,
}

enum Step<In> {
    /// The body has not got its input yet.
    Begin(In),
    /// The body works on it.
    Given,
    End,
}

// The input is moved out, never pinned.
impl<Y, In> Unpin for Resume<'_, Y, In> {}

impl<Y, In> Future for Resume<'_, Y, In> {
    type Output = Option<Y>;

    /// # Panics
    ///
    /// Polled again after it has ended; and with a panic of the body.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Y>> {
        loop {
            let (step, is_given) = match std::mem::replace(&mut self.step, Step::End) {
                Step::Begin(input) => match self.generator.give(input, cx) {
                    Ok(()) => (Step::Given, true),
                    Err(input) => (Step::Begin(input), false),
                },
                Step::Given => (Step::Given, true),
                Step::End => panic!("`Resume` polled after it had ended"),
            };
            match self.generator.poll_body(cx) {
                Polled::Yielded(value) if is_given => return Poll::Ready(Some(value)),
                // The answer to an input whose call was dropped; after it, the body waits for ours.
                Polled::Yielded(value) => {
                    self.step = step;
                    drop(value);
                }
                Polled::Pending => {
                    self.step = step;
                    return Poll::Pending;
                }
                Polled::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl<Y, In> fmt::Debug for Resume<'_, Y, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resume").field("generator", &self.generator).finish_non_exhaustive()
    }
}
