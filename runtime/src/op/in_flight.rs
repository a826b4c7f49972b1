//! The future of an operation.
//!
//! It holds the key of a slot and nothing else: the op, with its buffers, is the driver's until its final completion. So
//! dropping, leaking or forgetting the future takes nothing away from the kernel (I1). Only an op that the kernel has no more
//! business with is in the future itself: one that was refused, or that has ended before it had a slot.
#![allow(unsafe_code, reason = "the op is moved out of its slot when it has ended")]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::cancel_scope::{Stop, Watch, stop_now};
use crate::context;
use crate::driver::lane::Lane;
use crate::driver::slots::{Memory, OpKey};
use crate::driver::{Driver, GONE};
use crate::kernel::Cqe;
use crate::op::attempt::attempt;
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

enum State<T> {
    /// In its slot.
    Submitted { driver: Rc<Driver>, key: OpKey, op: PhantomData<T> },
    /// The op never left us, and this is its answer: it has ended at once on the driver that is named; or the runtime is gone, or
    /// the scope was cancelled before. It lies here as it would in a slot.
    Ended { driver: Option<Rc<Driver>>, memory: Memory, answer: Cqe },
    /// The answer has been given.
    Finished,
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
    if T::STOPPABLE
        && let Some(stop) = stop_now(!T::CANCEL_ON_DROP)
    {
        return InFlight::refused(op, stop.answer());
    }
    let mut op = op;
    match attempt(driver, lane, &mut op) {
        Some(answer) => {
            driver.ended_at_once();
            InFlight::ended(Some(Rc::clone(driver)), op, answer)
        }
        None => submit_anyhow(driver, lane, op),
    }
}

/// As [`submit_to`], but nobody waits for the answer, and no cancel scope keeps it from beginning: for what has to be done
/// behind something that was dropped, wherever that was, also outside of `block_on`.
pub fn submit_behind<T: Op>(driver: &Rc<Driver>, lane: Option<&Lane>, op: T) {
    driver.behind(|| drop(submit_anyhow(driver, lane, op)));
}

fn submit_anyhow<T: Op>(driver: &Rc<Driver>, lane: Option<&Lane>, op: T) -> InFlight<T> {
    let mut op = Some(op);
    let key = driver.submit(kind_of::<T>(), lane, |memory| {
        if let Some(op) = op.take() {
            move_in(memory, op);
        }
    });
    match (key, op) {
        (Some(key), _) => InFlight::new(State::Submitted { driver: Rc::clone(driver), key, op: PhantomData }),
        (None, Some(op)) => InFlight::refused(op, Cqe::made_up(-GONE)),
        (None, None) => unreachable!("an op that was refused was not moved"),
    }
}

impl<T: Op> InFlight<T> {
    fn new(state: State<T>) -> Self {
        Self { state, watch: Watch::default(), stop: None }
    }

    fn refused(op: T, answer: Cqe) -> Self {
        Self::ended(None, op, answer)
    }

    fn ended(driver: Option<Rc<Driver>>, op: T, answer: Cqe) -> Self {
        let mut memory = [MaybeUninit::uninit(); 8];
        move_in(NonNull::from(&mut memory), op);
        Self::new(State::Ended { driver, memory, answer })
    }

    /// Asks the kernel to stop. The answer comes as ever: the true one if the operation was faster, else `ECANCELED`.
    pub fn cancel(&self) {
        if let State::Submitted { driver, key, .. } = &self.state {
            driver.cancel(*key);
        }
    }

    /// A cancel scope has asked it to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Cqe> {
        let (driver, key) = match &self.state {
            State::Submitted { driver, key, .. } => (driver, *key),
            State::Ended { answer, .. } => return Poll::Ready(*answer),
            State::Finished => panic!("`InFlight` polled after it had completed"),
        };
        let mut poll = driver.poll(key, cx);
        if T::STOPPABLE
            && poll.is_pending()
            && self.stop.is_none()
            && let Some(stop) = self.watch.look(cx, !T::CANCEL_ON_DROP)
        {
            self.stop = Some(stop);
            driver.cancel(key);
            // One that had not begun has ended by now.
            poll = driver.poll(key, cx);
        }
        poll.map(|answer| match self.stop {
            // Some operations of the kernel's worker threads call a cancel an interruption.
            Some(stop) if matches!(-answer.result(), libc::ECANCELED | libc::EINTR) => stop.answer(),
            _ => answer,
        })
    }
}

// Nothing in it is self-referential: the op lives in its slot.
impl<T: Op> Unpin for InFlight<T> {}

impl<T: Op> Future for InFlight<T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let answer = ready!(self.poll_answer(cx));
        let op: T = match std::mem::replace(&mut self.state, State::Finished) {
            State::Submitted { driver, key, .. } => {
                // SAFETY: the slot's kind is that of `T`, the op has ended, and the slot is freed behind this.
                driver.take(key, |memory| unsafe { move_out::<T>(memory) })
            }
            State::Ended { driver, memory, .. } => ended_op(driver, memory),
            State::Finished => unreachable!("looked at above"),
        };
        // SAFETY: the op has ended with this answer, or was refused and never began.
        Poll::Ready(unsafe { op.complete(answer) })
    }
}

impl<T: Op> Drop for InFlight<T> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Finished) {
            State::Submitted { driver, key, .. } => driver.abandon(key),
            State::Ended { driver, memory, answer } => {
                let op: T = ended_op(driver, memory);
                // SAFETY: the op has ended with this answer, or was refused and never began.
                unsafe { op.discard(answer) }
            }
            State::Finished => {}
        }
    }
}

/// Moves an op out that ended before it had a slot.
fn ended_op<T: Op>(driver: Option<Rc<Driver>>, mut memory: Memory) -> T {
    if let Some(driver) = driver {
        driver.taken();
    }
    // SAFETY: `InFlight::ended` has moved an op of this type in, and this memory is a move of that, which nobody uses again.
    unsafe { move_out::<T>(NonNull::from(&mut memory)) }
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
