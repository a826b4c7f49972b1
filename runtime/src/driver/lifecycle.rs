//! The life of one operation, as pure code: no memory, no kernel, no wakers.
//!
//! ```text
//!              park                      start
//!   Vacant ───────────► Parked ────────────────────► Busy ◄───────────┐
//!      │                  │ drop: withdrawn            │ step         │ completion
//!      │ start            ▼                            │              │
//!      └────► Busy     Vacant          Submit, Pending │              │
//!                                                      ├────► InKernel┘
//!                                                      │ Done
//!                                  wanted ┌────────────┴────────────┐ abandoned
//!                                         ▼                         ▼
//!                                       Done ── taken, dropped ──► Vacant
//! ```
//!
//! *Busy* is the short time in which the op's own code looks at its memory: it prepares an entry or reads a completion. That
//! code may be the user's (an `IoBuf`), and it may do anything, also drop the very future of this op. So everyone else who
//! finds an op busy leaves a note (`abandoned`) and keeps away; whoever made it busy reads the note afterwards.
//!
//! An op that was abandoned stays in its slot until its final completion, like any other (I1).

use crate::kernel::Cqe;

/// Where an op stands. `abandoned`: nobody waits for the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The slot holds no op.
    Vacant,
    /// The op waits in its lane for an earlier one to end; no kernel has seen it.
    Parked,
    /// The op's own code is running; its memory is off limits to everyone else.
    Busy { abandoned: bool },
    /// An entry of the op has been pushed: its memory is the kernel's until the final completion.
    InKernel { abandoned: bool },
    /// The op has ended; the future has not come for the answer yet.
    Done(Cqe),
}

/// What an op's own code decided when it had looked at a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The op goes on in the kernel: another entry, or more completions of the same one.
    GoesOn,
    /// The op has ended with this answer.
    Ended(Cqe),
}

/// What is to be done with an op that was just busy.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterStep {
    /// Nothing: the kernel has it.
    Nothing,
    /// The op was abandoned while it was busy, and goes on: ask the kernel to cancel it where its kind wants that.
    Cancel,
    /// The answer is there: wake who waits.
    Wake,
    /// The answer is there and nobody wants it: take the op out and let it discard the answer.
    Discard(Cqe),
}

/// What is to be done when the future of an op is dropped.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterDrop {
    /// The op never started: take it out of its lane and drop it.
    Withdraw,
    /// The kernel has it: ask for a cancel where its kind wants that.
    Cancel,
    /// The op's own code is running; whoever runs it will see the note.
    Nothing,
    /// It had ended: take the op out and let it discard the answer.
    Discard(Cqe),
}

impl Stage {
    /// A completion has arrived, or a parked op is to be started: its own code is about to run.
    pub(crate) fn step_begins(self) -> Self {
        match self {
            Self::Parked => Self::Busy { abandoned: false },
            Self::InKernel { abandoned } => Self::Busy { abandoned },
            Self::Vacant | Self::Busy { .. } | Self::Done(_) => unreachable!("{self:?} expects no completion"),
        }
    }

    /// The op's own code has run.
    pub(crate) fn step_ended(self, decision: Decision, abandoned_before: bool) -> (Self, AfterStep) {
        let Self::Busy { abandoned } = self else { unreachable!("{self:?}: only a busy op can end its step") };
        match (decision, abandoned) {
            (Decision::GoesOn, false) => (Self::InKernel { abandoned }, AfterStep::Nothing),
            (Decision::GoesOn, true) if abandoned_before => (Self::InKernel { abandoned }, AfterStep::Nothing),
            (Decision::GoesOn, true) => (Self::InKernel { abandoned }, AfterStep::Cancel),
            (Decision::Ended(answer), false) => (Self::Done(answer), AfterStep::Wake),
            (Decision::Ended(answer), true) => (self, AfterStep::Discard(answer)),
        }
    }

    /// The future is being dropped.
    pub(crate) fn dropped(self) -> (Self, AfterDrop) {
        match self {
            Self::Parked => (self, AfterDrop::Withdraw),
            Self::InKernel { .. } => (Self::InKernel { abandoned: true }, AfterDrop::Cancel),
            Self::Busy { .. } => (Self::Busy { abandoned: true }, AfterDrop::Nothing),
            Self::Done(answer) => (self, AfterDrop::Discard(answer)),
            Self::Vacant => unreachable!("a key outlives its op only when the op was taken, and then the key is stale"),
        }
    }

    /// Nobody waits for the answer.
    pub(crate) fn is_abandoned(self) -> bool {
        matches!(self, Self::Busy { abandoned: true } | Self::InKernel { abandoned: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Cqe = Cqe { user_data: 3, result: 17, flags: 0 };
    const IN_KERNEL: Stage = Stage::InKernel { abandoned: false };

    #[test]
    fn a_wanted_op_ends_in_done_and_wakes() {
        let busy = IN_KERNEL.step_begins();
        assert_eq!(busy, Stage::Busy { abandoned: false });
        assert_eq!(busy.step_ended(Decision::Ended(ANSWER), false), (Stage::Done(ANSWER), AfterStep::Wake));
    }

    #[test]
    fn an_op_that_goes_on_stays_with_the_kernel() {
        let busy = IN_KERNEL.step_begins();
        assert_eq!(busy.step_ended(Decision::GoesOn, false), (IN_KERNEL, AfterStep::Nothing));
    }

    #[test]
    fn an_op_dropped_in_the_kernel_is_cancelled_once_and_discards_its_answer() {
        let (stage, after) = IN_KERNEL.dropped();
        assert_eq!((stage, after), (Stage::InKernel { abandoned: true }, AfterDrop::Cancel));
        assert!(stage.is_abandoned());
        // Completions that do not end it ask for no second cancel.
        let (stage, after) = stage.step_begins().step_ended(Decision::GoesOn, true);
        assert_eq!((stage, after), (Stage::InKernel { abandoned: true }, AfterStep::Nothing));
        let (_, after) = stage.step_begins().step_ended(Decision::Ended(ANSWER), true);
        assert_eq!(after, AfterStep::Discard(ANSWER));
    }

    #[test]
    fn an_op_dropped_by_its_own_code_is_left_alone_until_that_code_returns() {
        let (busy, after) = IN_KERNEL.step_begins().dropped();
        assert_eq!((busy, after), (Stage::Busy { abandoned: true }, AfterDrop::Nothing));
        assert_eq!(busy.step_ended(Decision::GoesOn, false), (Stage::InKernel { abandoned: true }, AfterStep::Cancel));
        assert_eq!(busy.step_ended(Decision::Ended(ANSWER), false).1, AfterStep::Discard(ANSWER));
    }

    #[test]
    fn a_parked_op_is_withdrawn_and_a_finished_one_discarded() {
        assert_eq!(Stage::Parked.dropped(), (Stage::Parked, AfterDrop::Withdraw));
        assert_eq!(Stage::Done(ANSWER).dropped(), (Stage::Done(ANSWER), AfterDrop::Discard(ANSWER)));
    }

    #[test]
    fn a_parked_op_starts_like_any_other() {
        assert_eq!(Stage::Parked.step_begins(), Stage::Busy { abandoned: false });
    }
}
