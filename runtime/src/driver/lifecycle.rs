//! The life of one operation, as pure code: no memory, no kernel, no wakers.
//!
//! ```text
//!              put into its slot              start
//!   Vacant ──────────────────────► Parked ───────────────► Busy ◄────────┐
//!                                    │ dropped: withdrawn    │           │ completion
//!                                    ▼                       │           │
//!                                  Vacant    goes on         ├─────► InKernel
//!                                                            │ ended
//!                                        wanted ┌────────────┴────────────┐ abandoned
//!                                               ▼                         ▼
//!                                             Done ── taken, dropped ──► Vacant
//! ```
//!
//! *Busy* is the short time in which the op's own code looks at its memory: it prepares an entry or reads a completion. That
//! code may be the user's (an `IoBuf`), and it may do anything, also drop the very future of this op. So everyone else who
//! finds an op busy leaves a note ([`Notes`]) and keeps away; whoever made it busy reads the notes afterwards.
//!
//! An op that was abandoned stays in its slot until its final completion, like any other (I1). An op that is stopping
//! begins nothing new: a send that had brought out a part does not send the rest.

use std::fmt;

/// What an op has been told: bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notes(u8);

impl Notes {
    /// Nobody waits for the answer any more.
    const ABANDONED: u8 = 1;
    /// The kernel was asked to cancel it, or is about to be.
    const STOPPING: u8 = 2;
    /// It is to be stopped, and the kernel has not been asked: it was busy when it was told.
    const UNASKED: u8 = 4;
    /// Its entry answers only where it falls short: see [`quiet`](super::quiet).
    const QUIET: u8 = 8;

    pub(crate) fn is_abandoned(self) -> bool {
        self.0 & Self::ABANDONED != 0
    }

    pub(crate) fn is_stopping(self) -> bool {
        self.0 & Self::STOPPING != 0
    }

    pub(crate) fn is_quiet(self) -> bool {
        self.0 & Self::QUIET != 0
    }

    fn with(self, bits: u8) -> Self {
        Self(self.0 | bits)
    }

    fn without(self, bits: u8) -> Self {
        Self(self.0 & !bits)
    }

    /// The kernel is to be asked when the op is not busy any more, unless it was asked before.
    fn stopped_while_busy(self) -> Self {
        if self.is_stopping() { self } else { self.with(Self::STOPPING | Self::UNASKED) }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::ABANDONED, "abandoned"),
            (Self::STOPPING, "stopping"),
            (Self::UNASKED, "unasked"),
            (Self::QUIET, "quiet"),
        ];
        f.debug_set().entries(names.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| name)).finish()
    }
}

/// Where an op stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The slot holds no op.
    Vacant,
    /// The op waits in its lane for an earlier one to end; no kernel has seen it.
    Parked {
        /// Nobody waits for the answer any more, but the op is to run all the same.
        abandoned: bool,
    },
    /// The op's own code is running; its memory is off limits to everyone else.
    Busy(Notes),
    /// An entry of the op has been pushed: its memory is the kernel's until the final completion.
    InKernel(Notes),
    /// The op has ended, and its slot has the answer; the future has not come for it yet.
    Done,
}

/// What is to be done with an op that goes on after its own code has run.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterStep {
    /// Nothing: the kernel has it.
    Nothing,
    /// The op was told to stop while it was busy, and is with the kernel: ask that to cancel it.
    Cancel,
}

/// What is to be done with an op that has ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterEnd {
    /// The answer is there: wake who waits.
    Wake,
    /// The answer is there and nobody wants it: take the op out and let it discard the answer.
    Discard,
}

/// What is to be done when the future of an op is dropped.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterDrop {
    /// The op never started: take it out of its lane and drop it.
    Withdraw,
    /// The kernel has it: ask that to cancel it.
    Cancel,
    /// It is to finish behind everybody's back, or is being cancelled already, or its own code is running and whoever runs it
    /// will see the notes.
    Nothing,
    /// It had ended: take the op out and let it discard the answer.
    Discard,
}

/// What is to be done when an op is to be cancelled.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterCancel {
    /// The kernel has it: ask that to cancel it.
    Cancel,
    /// It never started: take it out of its lane and end it.
    Withdraw,
    /// It has ended, is being cancelled already, or is busy and will see the note.
    Nothing,
}

impl Stage {
    /// A parked op is to be started: its own code is about to run.
    #[inline]
    pub(crate) fn start_comes(self) -> Self {
        match self {
            Self::Parked { abandoned } => Self::Busy(if abandoned { Notes(Notes::ABANDONED) } else { Notes(0) }),
            Self::Vacant | Self::Busy(_) | Self::InKernel(_) | Self::Done => {
                unreachable!("{self:?}: an op is started once")
            }
        }
    }

    /// A completion has arrived: the op's own code is about to run.
    #[inline]
    pub(crate) fn completion_comes(self) -> Self {
        match self {
            Self::InKernel(notes) => Self::Busy(notes.without(Notes::QUIET)),
            Self::Vacant | Self::Parked { .. } | Self::Busy(_) | Self::Done => {
                unreachable!("{self:?} expects no completion")
            }
        }
    }

    /// The op's own code has run, and the op goes on in the kernel: with another entry, or more completions of the same one.
    /// `quiet`: the entry answers only where it falls short.
    #[inline]
    pub(crate) fn goes_on(self, quiet: bool) -> (Self, AfterStep) {
        let Self::Busy(notes) = self else { unreachable!("{self:?}: only a busy op can end its step") };
        let after = if notes.0 & Notes::UNASKED != 0 { AfterStep::Cancel } else { AfterStep::Nothing };
        let told = notes.without(Notes::UNASKED);
        (Self::InKernel(if quiet { told.with(Notes::QUIET) } else { told }), after)
    }

    /// The op's own code has run, and the op has ended.
    #[inline]
    pub(crate) fn ends(self) -> (Self, AfterEnd) {
        let Self::Busy(notes) = self else { unreachable!("{self:?}: only a busy op can end its step") };
        if notes.is_abandoned() { (self, AfterEnd::Discard) } else { (Self::Done, AfterEnd::Wake) }
    }

    /// The future is being dropped. `stop`: the op's kind wants to be cancelled then; `withdraw`: it wants not to begin.
    pub(crate) fn dropped(self, stop: bool, withdraw: bool) -> (Self, AfterDrop) {
        match self {
            Self::Parked { .. } if withdraw => (self, AfterDrop::Withdraw),
            Self::Parked { .. } => (Self::Parked { abandoned: true }, AfterDrop::Nothing),
            Self::InKernel(notes) => {
                let told = notes.with(Notes::ABANDONED);
                if stop && !notes.is_stopping() {
                    (Self::InKernel(told.with(Notes::STOPPING)), AfterDrop::Cancel)
                } else {
                    (Self::InKernel(told), AfterDrop::Nothing)
                }
            }
            Self::Busy(notes) => {
                let told = notes.with(Notes::ABANDONED);
                (Self::Busy(if stop { told.stopped_while_busy() } else { told }), AfterDrop::Nothing)
            }
            Self::Done => (self, AfterDrop::Discard),
            Self::Vacant => unreachable!("a key outlives its op only when the op was taken, and then the key is stale"),
        }
    }

    /// The op is to be cancelled; somebody may still wait for its answer.
    pub(crate) fn cancelled(self) -> (Self, AfterCancel) {
        match self {
            Self::Parked { .. } => (self, AfterCancel::Withdraw),
            Self::InKernel(notes) if !notes.is_stopping() => {
                (Self::InKernel(notes.with(Notes::STOPPING)), AfterCancel::Cancel)
            }
            Self::Busy(notes) => (Self::Busy(notes.stopped_while_busy()), AfterCancel::Nothing),
            Self::InKernel(_) | Self::Done | Self::Vacant => (self, AfterCancel::Nothing),
        }
    }

    /// What the op has been told.
    pub(crate) fn notes(self) -> Notes {
        match self {
            Self::Busy(notes) | Self::InKernel(notes) => notes,
            Self::Vacant | Self::Parked { .. } | Self::Done => Notes(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARKED: Stage = Stage::Parked { abandoned: false };
    const UNTOLD: Notes = Notes(0);
    const STOPPING: Notes = Notes(Notes::STOPPING);
    const FORSAKEN: Notes = Notes(Notes::ABANDONED | Notes::STOPPING);
    const DETACHED: Notes = Notes(Notes::ABANDONED);
    const QUIET: Notes = Notes(Notes::QUIET);

    #[test]
    fn a_wanted_op_ends_in_done_and_wakes() {
        let busy = Stage::InKernel(UNTOLD).completion_comes();
        assert_eq!(busy, Stage::Busy(UNTOLD));
        assert_eq!(busy.ends(), (Stage::Done, AfterEnd::Wake));
    }

    #[test]
    fn an_op_that_goes_on_stays_with_the_kernel() {
        let busy = Stage::InKernel(UNTOLD).completion_comes();
        assert_eq!(busy.goes_on(false), (Stage::InKernel(UNTOLD), AfterStep::Nothing));
    }

    #[test]
    fn an_op_dropped_in_the_kernel_is_cancelled_once_and_discards_its_answer() {
        let (stage, after) = Stage::InKernel(UNTOLD).dropped(true, true);
        assert_eq!((stage, after), (Stage::InKernel(FORSAKEN), AfterDrop::Cancel));
        // Completions that do not end it ask for no second cancel.
        let (stage, after) = stage.completion_comes().goes_on(false);
        assert_eq!((stage, after), (Stage::InKernel(FORSAKEN), AfterStep::Nothing));
        assert_eq!(stage.completion_comes().ends().1, AfterEnd::Discard);
    }

    #[test]
    fn an_op_that_finishes_behind_the_back_is_not_cancelled_when_it_is_dropped() {
        assert_eq!(Stage::InKernel(UNTOLD).dropped(false, true), (Stage::InKernel(DETACHED), AfterDrop::Nothing));
        assert_eq!(Stage::InKernel(DETACHED).cancelled(), (Stage::InKernel(FORSAKEN), AfterCancel::Cancel));
        assert_eq!(Stage::InKernel(STOPPING).dropped(false, true), (Stage::InKernel(FORSAKEN), AfterDrop::Nothing));
    }

    #[test]
    fn an_op_dropped_by_its_own_code_is_left_alone_until_that_code_returns() {
        let (busy, after) = Stage::InKernel(UNTOLD).completion_comes().dropped(true, true);
        assert_eq!(after, AfterDrop::Nothing);
        assert!(matches!(busy, Stage::Busy(notes) if notes.is_abandoned() && notes.is_stopping()));
        assert_eq!(busy.goes_on(false), (Stage::InKernel(FORSAKEN), AfterStep::Cancel));
        assert_eq!(busy.ends().1, AfterEnd::Discard);
    }

    #[test]
    fn a_cancelled_op_is_cancelled_once_and_still_wanted() {
        assert_eq!(Stage::InKernel(UNTOLD).cancelled(), (Stage::InKernel(STOPPING), AfterCancel::Cancel));
        assert_eq!(Stage::InKernel(STOPPING).cancelled(), (Stage::InKernel(STOPPING), AfterCancel::Nothing));
        assert_eq!(Stage::Done.cancelled(), (Stage::Done, AfterCancel::Nothing));
        assert_eq!(Stage::Busy(STOPPING).ends(), (Stage::Done, AfterEnd::Wake));
    }

    #[test]
    fn an_op_that_is_cancelled_while_it_is_busy_is_cancelled_once_behind_that() {
        let (busy, after) = Stage::Busy(UNTOLD).cancelled();
        assert_eq!(after, AfterCancel::Nothing);
        // Told twice, the kernel is asked once.
        let (busy, _) = busy.cancelled();
        let (stage, after) = busy.goes_on(false);
        assert_eq!((stage, after), (Stage::InKernel(STOPPING), AfterStep::Cancel));
        let (stage, _) = stage.completion_comes().cancelled();
        assert_eq!(stage.goes_on(false), (Stage::InKernel(STOPPING), AfterStep::Nothing));
    }

    #[test]
    fn a_parked_op_is_withdrawn_and_a_finished_one_discarded() {
        assert_eq!(PARKED.dropped(true, true), (PARKED, AfterDrop::Withdraw));
        assert_eq!(PARKED.cancelled(), (PARKED, AfterCancel::Withdraw));
        assert_eq!(Stage::Done.dropped(false, true), (Stage::Done, AfterDrop::Discard));
    }

    #[test]
    fn a_parked_op_that_must_not_be_withdrawn_runs_though_nobody_waits() {
        let (parked, after) = PARKED.dropped(false, false);
        assert_eq!((parked, after), (Stage::Parked { abandoned: true }, AfterDrop::Nothing));
        assert_eq!(parked.start_comes(), Stage::Busy(DETACHED));
    }

    #[test]
    fn an_op_is_quiet_until_its_next_completion() {
        let (stage, after) = PARKED.start_comes().goes_on(true);
        assert_eq!((stage, after), (Stage::InKernel(QUIET), AfterStep::Nothing));
        // Dropped and cancelled it stays quiet: silence still is its answer.
        let (stage, _) = stage.dropped(false, true);
        assert_eq!(stage, Stage::InKernel(DETACHED.with(Notes::QUIET)));
        let (stage, _) = stage.cancelled();
        assert_eq!(stage, Stage::InKernel(FORSAKEN.with(Notes::QUIET)));
        assert_eq!(stage.completion_comes(), Stage::Busy(FORSAKEN));
    }

    #[test]
    fn a_parked_op_starts_like_any_other() {
        assert_eq!(PARKED.start_comes(), Stage::Busy(UNTOLD));
    }
}
