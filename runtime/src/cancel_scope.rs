//! Cancel scopes: asking the operations that are polled inside a future to stop.
//!
//! While a scope polls a future, it is the current one of its runtime. What is polled meanwhile and stays pending looks at
//! it: an operation that the kernel has is then [cancelled](crate::op::InFlight::cancel) and waits on for its true answer,
//! a wait for a socket's queue just ends. Neither is dropped, so buffers come back. An operation that begins in a scope
//! which is cancelled already does not begin.
//!
//! Who is polled by the very waker that polls the scope needs no registration: whoever cancels the scope polls it next, and
//! so everything in it. What has a waker of its own (the futures inside of a `FuturesUnordered`) takes a seat in the scope,
//! is woken when it is cancelled, and looks at it again when it is polled. The same holds for a scope inside another one.
//!
//! Code outside of all scopes pays for them with one look at the runtime's current scope for each operation that begins or
//! is pending.

mod seats;
mod stop;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::cancel_scope::seats::Seats;
use crate::context;

pub(crate) use crate::cancel_scope::seats::Watch;
pub(crate) use crate::cancel_scope::stop::error_of;
pub use crate::cancel_scope::stop::{Stop, is_cancelled, transferred, with_transferred};

/// A scope: the owner polls a future inside of it, and may cancel the operations there.
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use std::pin::pin;
///
/// use quoit_runtime::cancel_scope::{CancelScope, Stop, is_cancelled, stoppable};
///
/// # quoit_runtime::block_on(async {
/// let mut scope = CancelScope::new();
/// scope.cancel(Stop::Token);
/// // A wait for something that never comes.
/// let mut wait = pin!(stoppable::<(), _>(|_| std::task::Poll::Pending));
/// let answer = poll_fn(|cx| scope.poll(cx, |cx| wait.as_mut().poll(cx))).await;
/// assert!(is_cancelled(&answer.unwrap_err()));
/// # });
/// ```
pub struct CancelScope {
    scope: Rc<Scope>,
    /// Where the scope around this one finds it.
    watch: Watch,
}

/// What a scope and those inside of it share.
pub(crate) struct Scope {
    /// Who cancelled it, once somebody has.
    stop: Cell<Option<Stop>>,
    /// Writes go on, also new ones: only what waits for others is asked to stop.
    spares_writes: Cell<bool>,
    /// The waker by which the scope is polled.
    waker: Cell<Option<Waker>>,
    /// Those inside that have a waker of their own.
    seats: Seats,
}

impl CancelScope {
    /// A scope that is not cancelled.
    pub fn new() -> Self {
        Self { scope: Rc::new(Scope::new()), watch: Watch::default() }
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.scope.stop.get().is_some()
    }

    /// Whether it was cancelled, and spares no writes: there is nothing left that could be asked to stop.
    pub fn is_cancelled_for_good(&self) -> bool {
        self.scope.stop_of(true).is_some()
    }

    /// Asks what is inside to stop: at the next [`poll`](Self::poll), which is the caller's to make. The first call counts.
    pub fn cancel(&self, stop: Stop) {
        if !self.is_cancelled_for_good() {
            self.scope.cancel(stop, false);
        }
    }

    /// Polls something inside of the scope. In a scope that is cancelled, this one is, too.
    pub fn poll<T>(&mut self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        if !self.is_cancelled_for_good()
            && let Some((stop, spares_writes)) = self.watch.look_around(cx)
            && !(spares_writes && self.is_cancelled())
        {
            self.scope.cancel(stop, spares_writes);
        }
        self.scope.polled_by(cx.waker());
        let before = enter(Some(Rc::clone(&self.scope)));
        let _leave = Leave { before };
        poll(cx)
    }
}

impl Default for CancelScope {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope").field("stop", &self.scope.stop.get()).finish_non_exhaustive()
    }
}

impl Scope {
    fn new() -> Self {
        Self { stop: Cell::new(None), spares_writes: Cell::new(false), waker: Cell::new(None), seats: Seats::default() }
    }

    fn cancel(&self, stop: Stop, spares_writes: bool) {
        self.stop.set(Some(stop));
        self.spares_writes.set(spares_writes);
        self.seats.wake();
    }

    /// Who asks this kind of operation to stop.
    fn stop_of(&self, is_write: bool) -> Option<Stop> {
        self.stop.get().filter(|_| !is_write || !self.spares_writes.get())
    }

    /// Takes note of who polls it now.
    fn polled_by(&self, waker: &Waker) {
        match self.waker.take() {
            Some(known) if known.will_wake(waker) => self.waker.set(Some(known)),
            replaced => {
                self.waker.set(Some(waker.clone()));
                drop(replaced);
            }
        }
    }

    /// Whether waking this waker polls the scope.
    fn is_polled_by(&self, waker: &Waker) -> bool {
        let known = self.waker.take();
        let answer = known.as_ref().is_some_and(|known| known.will_wake(waker));
        self.waker.set(known);
        answer
    }
}

/// A scope around many tasks, for a server that ends gracefully: cancelled, it asks what waits for others (receives, accepts) to
/// stop, and spares writes. So who has a request in hand can still answer it.
#[derive(Clone)]
pub struct GracefulScope(Rc<Scope>);

impl GracefulScope {
    /// A scope that is not cancelled.
    pub fn new() -> Self {
        Self(Rc::new(Scope::new()))
    }

    /// Asks the tasks to come to an end, and wakes them.
    pub fn cancel(&self) {
        self.0.cancel(Stop::Token, true);
    }

    /// Polls a part of it inside of it, by way of a scope of that part's own.
    pub fn poll<T>(&self, own: &mut CancelScope, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let _leave = Leave { before: enter(Some(Rc::clone(&self.0))) };
        own.poll(cx, poll)
    }
}

impl Default for GracefulScope {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for GracefulScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GracefulScope").field("stop", &self.0.stop.get()).finish_non_exhaustive()
    }
}

/// Restores the scope around the one that is left, also when what was polled has panicked.
struct Leave {
    before: Option<Rc<Scope>>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let _left = enter(self.before.take());
    }
}

/// Makes this the current scope, and gives back the one before. Outside of a runtime there is none.
fn enter(scope: Option<Rc<Scope>>) -> Option<Rc<Scope>> {
    context::try_with(|core| core.scope.replace(scope)).flatten()
}

/// The scope of a runtime that is being polled.
#[derive(Default)]
pub(crate) struct Current {
    scope: Cell<Option<Rc<Scope>>>,
    /// Whether there is one. Most code runs outside of all scopes, and need not look further.
    exists: Cell<bool>,
}

impl Current {
    fn replace(&self, scope: Option<Rc<Scope>>) -> Option<Rc<Scope>> {
        self.exists.set(scope.is_some());
        self.scope.replace(scope)
    }

    fn get(&self) -> Option<Rc<Scope>> {
        let scope = self.scope.take();
        self.scope.set(scope.clone());
        scope
    }
}

/// Nothing is polled in a scope now.
#[inline]
fn is_unscoped() -> bool {
    context::try_with(|core| !core.scope.exists.get()).unwrap_or(true)
}

/// The current scope.
fn current() -> Option<Rc<Scope>> {
    context::try_with(|core| core.scope.get()).flatten()
}

/// Whether, and by whom, the current scope was cancelled: then nothing (or nothing but writes) begins in it.
#[inline]
pub(crate) fn stop_now(is_write: bool) -> Option<Stop> {
    if is_unscoped() { None } else { current()?.stop_of(is_write) }
}

/// Whether something may begin in the current scope.
///
/// # Errors
///
/// The error of a scope that was cancelled.
#[inline]
pub fn check() -> io::Result<()> {
    stop_now(false).map_or(Ok(()), |stop| Err(stop.error(0)))
}

/// A wait that a scope can end: for what is no operation of its own, such as a look into a socket's queue. Each poll that
/// is ready ends a wait, and the next one begins another.
#[derive(Debug, Default)]
pub struct Wait {
    /// It has been pending.
    has_begun: bool,
    watch: Watch,
}

impl Wait {
    /// Looks by `poll`, and answers the scope's error where that is pending in a scope which is cancelled, or would begin
    /// in one.
    ///
    /// What `poll` has registered for a wait that ends like this is left to the caller to take back.
    #[inline]
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !is_unscoped() {
            return self.poll_scoped(cx, poll);
        }
        let answer = poll(cx);
        self.watch.leave();
        self.has_begun = answer.is_pending();
        answer
    }

    fn poll_scoped<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.has_begun {
            check()?;
        }
        let mut answer = poll(cx);
        if answer.is_pending()
            && let Some(stop) = self.watch.look(cx, false)
        {
            answer = Poll::Ready(Err(stop.error(0)));
        }
        self.has_begun = answer.is_pending();
        if answer.is_ready() {
            self.watch.leave();
        }
        answer
    }
}

/// As [`poll_fn`](std::future::poll_fn), but a scope can end it, with its error.
///
/// # Examples
///
/// ```
/// # use std::task::Poll;
/// # quoit_runtime::block_on(async {
/// let answer = quoit_runtime::cancel_scope::stoppable(|_cx| Poll::Ready(Ok(7))).await;
/// assert_eq!(answer.unwrap(), 7);
/// # });
/// ```
pub fn stoppable<T, F>(poll: F) -> Stoppable<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
{
    Stoppable { poll, wait: Wait::default() }
}

/// The future of [`stoppable`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Stoppable<F> {
    poll: F,
    wait: Wait,
}

// The closure is called by reference, and nothing is pinned.
impl<F> Unpin for Stoppable<F> {}

impl<T, F> Future for Stoppable<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
{
    type Output = io::Result<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Self { poll, wait } = &mut *self;
        wait.poll(cx, poll)
    }
}

impl<F> fmt::Debug for Stoppable<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stoppable").field("wait", &self.wait).finish_non_exhaustive()
    }
}
