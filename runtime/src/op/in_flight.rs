//! The future of an operation.
//!
//! It holds the key of a slot and nothing else: the op, with its buffers, is the driver's until its final completion. So
//! dropping, leaking or forgetting the future takes nothing away from the kernel (I1). Only what came of an op that the kernel has
//! no business with is in the future itself: one that was refused, or that has ended before it had a slot.
#![allow(unsafe_code, reason = "the op is moved out of its slot when it has ended")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::cancel_scope::{Stop, Watch, stop_now};
use crate::context;
use crate::driver::lane::Lane;
use crate::driver::slots::OpKey;
use crate::driver::{Driver, GONE};
use crate::kernel::Cqe;
use crate::op::attempt::{attempt, may_attempt};
use crate::op::{Op, kind_of, move_in, move_out};

/// An operation that the driver has, as a future of its answer.
///
/// # Cancel safety
///
/// Dropping it never takes memory away from the kernel. An op that has not been seen by the kernel is taken back and leaves
/// no trace. Else the kernel is asked to stop, unless the op's kind finishes what it has begun
/// ([`Op::CANCEL_ON_DROP`]), and an answer that comes nevertheless goes to [`Op::discard`].
#[must_use = "an operation runs, but its answer is lost unless it is awaited"]
pub struct InFlight<T: Op> {
    state: State<T>,
    /// The cancel scope in which it is polled.
    watch: Watch,
    /// Who has asked it to stop, in the name of a scope.
    stop: Option<Stop>,
}

enum State<T: Op> {
    /// In its slot.
    Submitted { driver: Rc<Driver>, key: OpKey },
    /// The op never left us, and this is what came of it: it has ended at once on the driver that is named; or the runtime is
    /// gone, or the scope was cancelled before.
    Ended { driver: Option<Rc<Driver>>, output: T::Output },
    /// The answer has been given.
    Finished,
}

/// What became of an operation that was to begin.
#[derive(Debug)]
#[must_use = "an operation runs, but its answer is lost unless it is awaited"]
pub enum Begun<T: Op> {
    /// It has ended at once.
    Ended(T::Output),
    /// It is under way.
    UnderWay(InFlight<T>),
}

/// Starts an operation on the current runtime.
///
/// # Panics
///
/// Outside a runtime, with the caller's location.
#[track_caller]
pub fn submit<T: Op>(op: T) -> InFlight<T> {
    submit_to(&context::driver(), None, op)
}

/// Starts an operation on the runtime of `driver`, behind the others of `lane` if there is one.
///
/// On a runtime that has been shut down the operation ends with `ESHUTDOWN`. In a [cancel scope](crate::cancel_scope) that is
/// cancelled it does not begin.
///
/// # Panics
///
/// Where the runtime is not running: nothing would ever complete the operation.
pub fn submit_to<T: Op>(driver: &Rc<Driver>, lane: Option<&Lane>, op: T) -> InFlight<T> {
    match begin(driver, lane, op) {
        Begun::UnderWay(in_flight) => in_flight,
        Begun::Ended(output) => {
            driver.ended_at_once();
            InFlight::ended(Some(Rc::clone(driver)), output)
        }
    }
}

/// As [`submit_to`], for who polls the operation at once: where it has ended by then, that costs nothing more.
///
/// # Panics
///
/// As [`submit_to`].
#[inline]
pub fn begin<T: Op>(driver: &Rc<Driver>, lane: Option<&Lane>, op: T) -> Begun<T> {
    if T::STOPPABLE
        && let Some(stop) = stop_now(!T::CANCEL_ON_DROP)
    {
        return refused(op, stop.answer());
    }
    if may_attempt::<T>(driver, lane) {
        return begin_at_once(driver, lane, op);
    }
    Begun::UnderWay(submit_anyhow(driver, lane, op))
}

/// Not inlined, so that an op which takes the ring is not moved about for it.
#[inline(never)]
fn begin_at_once<T: Op>(driver: &Rc<Driver>, lane: Option<&Lane>, op: T) -> Begun<T> {
    match attempt(driver, op) {
        Ok(output) => Begun::Ended(output),
        Err(op) => Begun::UnderWay(submit_anyhow(driver, lane, op)),
    }
}

#[cold]
fn refused<T: Op>(op: T, answer: Cqe) -> Begun<T> {
    // SAFETY: the op was refused, and never began.
    Begun::Ended(unsafe { op.complete(answer) })
}

/// As [`submit_to`], but nobody waits for the answer, and no cancel scope keeps it from beginning: for what has to be done
/// behind something that was dropped, wherever that was, also outside of `block_on`.
pub fn submit_behind<T: Op>(driver: &Rc<Driver>, lane: Option<&Lane>, op: T) {
    driver.behind(|| drop(submit_anyhow(driver, lane, op)));
}

#[inline(always)]
fn submit_anyhow<T: Op>(driver: &Rc<Driver>, lane: Option<&Lane>, op: T) -> InFlight<T> {
    let Some((key, slot)) = driver.reserve(kind_of::<T>(), lane) else { return InFlight::gone(op) };
    move_in(slot.memory(), op);
    driver.begin(key, slot, lane);
    InFlight::new(State::Submitted { driver: Rc::clone(driver), key })
}

impl<T: Op> InFlight<T> {
    #[inline]
    fn new(state: State<T>) -> Self {
        Self { state, watch: Watch::default(), stop: None }
    }

    /// The runtime is.
    #[cold]
    fn gone(op: T) -> Self {
        // SAFETY: the op was refused, and never began.
        Self::ended(None, unsafe { op.complete(Cqe::made_up(-GONE)) })
    }

    fn ended(driver: Option<Rc<Driver>>, output: T::Output) -> Self {
        Self::new(State::Ended { driver, output })
    }

    /// Asks the kernel to stop. The answer comes as ever: the true one if the operation was faster, else `ECANCELED`.
    pub fn cancel(&self) {
        if let State::Submitted { driver, key } = &self.state {
            driver.cancel(*key);
        }
    }

    /// What cancels it without a reference to it: for who keeps it in a cell, which its end may empty in the meantime.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::cancel_scope::is_cancelled;
    /// use quoit_runtime::op::{PollOnce, submit};
    /// use quoit_runtime::fd::SharedFd;
    ///
    /// # quoit_runtime::block_on(async {
    /// let (reader, _writer) = std::io::pipe()?;
    /// let polling = submit(PollOnce::readable(SharedFd::new(reader.into())));
    /// polling.canceller().cancel();
    /// assert!(is_cancelled(&polling.await.unwrap_err()));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn canceller(&self) -> Canceller {
        Canceller(match &self.state {
            State::Submitted { driver, key } => Some((Rc::clone(driver), *key)),
            State::Ended { .. } | State::Finished => None,
        })
    }

    /// A cancel scope has asked it to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// The op that is in its slot has been looked at, and is pending. If its scope wants it to stop, that is done; `true`: it
    /// may have ended by this.
    #[inline]
    fn look_at_scope(&mut self, cx: &mut Context<'_>) -> bool {
        if !T::STOPPABLE || self.stop.is_some() {
            return false;
        }
        let Some(stop) = self.watch.look(cx, !T::CANCEL_ON_DROP) else { return false };
        self.stop = Some(stop);
        self.cancel();
        true
    }

    /// What the op is told, where this is the kernel's answer.
    #[inline]
    fn told(&self, answer: Cqe) -> Cqe {
        match self.stop {
            // Some operations of the kernel's worker threads call a cancel an interruption.
            Some(stop) if matches!(-answer.result(), libc::ECANCELED | libc::EINTR) => stop.answer(),
            _ => answer,
        }
    }
}

/// Cancels an operation, if that is still under way. See [`InFlight::canceller`].
#[derive(Debug)]
#[must_use = "it cancels when it is told to"]
pub struct Canceller(Option<(Rc<Driver>, OpKey)>);

impl Canceller {
    /// Asks the kernel to stop, as [`InFlight::cancel`] does.
    pub fn cancel(self) {
        if let Some((driver, key)) = self.0 {
            driver.cancel(key);
        }
    }
}

// Nothing in it is self-referential: the op lives in its slot.
impl<T: Op> Unpin for InFlight<T> {}

impl<T: Op> Future for InFlight<T> {
    type Output = T::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let this = &mut *self;
        while let State::Submitted { driver, key } = &this.state {
            // SAFETY: the slot's kind is that of `T`, and the op that is moved out has ended; the slot is freed behind this.
            let ended = driver.poll(*key, cx, |memory| unsafe { move_out::<T>(memory) });
            if let Poll::Ready((op, answer)) = ended {
                // Its key is stale by now.
                let answer = this.told(answer);
                // SAFETY: the op has ended with this answer.
                let output = unsafe { op.complete(answer) };
                this.state = State::Finished;
                return Poll::Ready(output);
            }
            if !this.look_at_scope(cx) {
                return Poll::Pending;
            }
        }
        match std::mem::replace(&mut this.state, State::Finished) {
            State::Ended { driver, output } => {
                if let Some(driver) = driver {
                    driver.taken();
                }
                Poll::Ready(output)
            }
            State::Submitted { .. } => unreachable!("looked at above"),
            State::Finished => panic!("`InFlight` polled after it had completed"),
        }
    }
}

impl<T: Op> Drop for InFlight<T> {
    #[inline]
    fn drop(&mut self) {
        match &self.state {
            State::Submitted { driver, key } => driver.abandon(*key),
            // Whatever the kernel made is the output's, and goes with it.
            State::Ended { driver: Some(driver), .. } => driver.taken(),
            State::Ended { driver: None, .. } | State::Finished => {}
        }
    }
}

impl<T: Op> fmt::Debug for InFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("InFlight");
        match &self.state {
            State::Submitted { key, .. } => out.field(T::NAME, key),
            State::Ended { .. } => out.field(T::NAME, &"ended"),
            State::Finished => out.field(T::NAME, &"finished"),
        };
        out.finish()
    }
}
