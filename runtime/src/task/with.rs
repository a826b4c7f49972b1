//! `with`: work on a resource, and a tear-down that runs whatever happens to the work.
//!
//! Two states, one after the other, each of which owns what the tear-down needs:
//!
//! ```text
//!     Working (resource, tear-down)  ----- the work has ended ----->  the tear-down's future, boxed
//!          | dropped                                                       | dropped
//!          +--> a task that runs the tear-down                             +--> the same future goes on as a task
//! ```

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::context;
use crate::driver::shield;
use crate::spawn::spawn;

/// Works with a resource, and tears it down afterwards, whatever happens to the work.
///
/// `work` borrows the resource. When it has ended, `tear_down` gets the resource itself, and an [`Outcome`] that tells how
/// the work ended: it finished (with an error, perhaps), it panicked, or it was dropped. The answer is the work's, once the
/// tear-down has ended; a panic of the work goes on then.
///
/// # Cancel safety
///
/// Dropping this future drops the work where it stands. The tear-down then runs as a task of its own, and a tear-down that
/// has begun goes on as one. A future that was never polled has begun nothing: it only drops the resource.
///
/// The task is one like any other. The runtime does not wait for it at its own end: it drops it, and with it the resource,
/// whose destructor is the last resort. The same happens where this future is dropped outside of a runtime, such as after
/// `block_on`, and where a runtime that is shut down drops it: there is nobody left to run the tear-down, which is dropped
/// with the resource.
///
/// # Panics
///
/// With the panic of the work, after the tear-down; else with that of the tear-down. Where both panic, it is the work's.
///
/// # Examples
///
/// ```
/// use quoit_runtime::task::{self, Outcome};
///
/// quoit_runtime::block_on(async {
///     let mut log = Vec::new();
///     let length = task::with(
///         String::from("resource"),
///         async |text| {
///             text.push('!');
///             text.len()
///         },
///         async |text, outcome| {
///             assert_eq!(text, "resource!");
///             assert!(matches!(outcome, Outcome::Finished(9)));
///         },
///     )
///     .await;
///     log.push(length);
///     assert_eq!(log, [9]);
/// });
/// ```
pub async fn with<R, T, W, D>(resource: R, work: W, tear_down: D) -> T
where
    R: 'static,
    T: 'static,
    W: AsyncFnOnce(&mut R) -> T,
    D: AsyncFnOnce(R, Outcome<'_, T>) + 'static,
{
    let mut working = Working { parts: Some((resource, tear_down)), output: PhantomData };
    let Some((resource, _)) = &mut working.parts else { unreachable!("nobody has taken them yet") };
    let end = caught(async { work(resource).await }).await;
    let Some((resource, tear_down)) = working.parts.take() else { unreachable!("nobody else takes them") };
    match TearDown::new(resource, tear_down, Some(end)).await {
        Some(Ok(output)) => output,
        Some(Err(payload)) => resume_unwind(payload),
        None => unreachable!("the tear-down gives back what it was given"),
    }
}

/// How the work of [`with`] ended.
///
/// # Examples
///
/// See [`with`].
pub enum Outcome<'a, T> {
    /// It gave this output.
    Finished(&'a T),
    /// It panicked. The panic goes on after the tear-down.
    Panicked,
    /// It was dropped before it had ended.
    Dropped,
}

impl<T> Clone for Outcome<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Outcome<'_, T> {}

impl<T> fmt::Debug for Outcome<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Finished(_) => "Finished(..)",
            Outcome::Panicked => "Panicked",
            Outcome::Dropped => "Dropped",
        })
    }
}

/// The output of the work, or what it panicked with.
type End<T> = Result<T, Box<dyn Any + Send>>;

/// A tear-down that runs.
type Tearing<T> = dyn Future<Output = Option<End<T>>>;

/// Runs a future, and catches its panic.
async fn caught<F: Future>(future: F) -> End<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(payload)),
    })
    .await
}

/// The resource while it is worked with, and what is to be done with it then.
struct Working<R: 'static, T: 'static, D>
where
    D: AsyncFnOnce(R, Outcome<'_, T>) + 'static,
{
    /// Taken when the work has ended.
    parts: Option<(R, D)>,
    output: PhantomData<fn() -> T>,
}

impl<R: 'static, T: 'static, D> Drop for Working<R, T, D>
where
    D: AsyncFnOnce(R, Outcome<'_, T>) + 'static,
{
    fn drop(&mut self) {
        // The work was dropped just before: it was declared later.
        if let Some((resource, tear_down)) = self.parts.take() {
            drop(TearDown::new(resource, tear_down, None));
        }
    }
}

/// The tear-down, whose future goes on as a task where this is dropped.
struct TearDown<T: 'static> {
    /// Taken when it has ended.
    future: Option<Pin<Box<Tearing<T>>>>,
}

impl<T> TearDown<T> {
    /// `end` tells how the work ended, and is given back; `None` where it was dropped.
    fn new<R, D>(resource: R, tear_down: D, end: Option<End<T>>) -> Self
    where
        R: 'static,
        D: AsyncFnOnce(R, Outcome<'_, T>) + 'static,
    {
        let future = async move {
            let outcome = match &end {
                Some(Ok(output)) => Outcome::Finished(output),
                Some(Err(_)) => Outcome::Panicked,
                None => Outcome::Dropped,
            };
            let torn_down = caught(async { tear_down(resource, outcome).await }).await;
            match (end, torn_down) {
                (end, Ok(())) => end,
                // Nobody but the task is left to be told.
                (None, Err(payload)) => resume_unwind(payload),
                (Some(Ok(output)), Err(payload)) => {
                    shield(|| drop(output));
                    Some(Err(payload))
                }
                // The first panic is the one to be told.
                (first, second) => {
                    shield(|| drop(second));
                    first
                }
            }
        };
        Self { future: Some(Box::pin(future)) }
    }
}

impl<T> Future for TearDown<T> {
    type Output = Option<End<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else { unreachable!("it is not polled after it has ended") };
        let poll = future.as_mut().poll(cx);
        if poll.is_ready() {
            self.future = None;
        }
        poll
    }
}

impl<T> Drop for TearDown<T> {
    fn drop(&mut self) {
        // The bare future becomes the task: where that is dropped in its turn, there is no other one.
        if let Some(future) = self.future.take()
            && context::try_with(|_| ()).is_some()
        {
            drop(spawn(async move { drop(future.await) }));
        }
    }
}
