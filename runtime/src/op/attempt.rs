//! Performing an op at once, before it has a slot, where it is alone: see `driver/attempts.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::context;
use crate::driver::lane::Lane;
use crate::driver::shield;
use crate::fd::SharedFd;
use crate::kernel::attempt::Attempt;
use crate::op::{Completion, Driver, Op, Sqe};

/// Whether an op may end at once: it is alone, and nobody would wait behind its call.
#[inline]
pub(super) fn may_attempt<T: Op>(driver: &Driver, lane: Option<&Lane>) -> bool {
    if !T::MAY_END_AT_ONCE || !driver.may_attempt() || lane.is_some_and(|lane| !lane.is_idle()) {
        return false;
    }
    // Others may have something to submit along with it, and are not to wait behind calls.
    context::try_with(|core| core.executor.has_ready()) == Some(false)
}

/// Lets an op end at once, if that takes no waiting. Else it is given back, and begins as ever.
pub(super) fn attempt<T: Op>(driver: &Driver, mut op: T) -> Result<T::Output, T> {
    #[expect(unsafe_code, reason = "the code of an op is called")]
    // SAFETY: once, before it is in its slot, and it does not move meanwhile.
    let code = AssertUnwindSafe(|| unsafe { op.attempt(driver) });
    let answer = match catch_unwind(code) {
        Ok(None) => return Err(op),
        Ok(Some(answer)) => {
            op.release();
            answer
        }
        Err(payload) => {
            // A buffer of the user's has panicked; the panic hook has reported it. The op ends as it would in its slot.
            std::mem::forget(payload);
            shield(|| op.release());
            Completion::made_up(-libc::EFAULT)
        }
    };
    #[expect(unsafe_code, reason = "the code of an op is called")]
    // SAFETY: the op has ended with this answer.
    Ok(unsafe { op.complete(answer) })
}

/// Performs the first entry of an op by a plain system call. The answer is for the op's own `step`, as if the entry had been
/// pushed. `None`: nothing has happened, push it.
///
/// For reads at a place of a file, and for sends. To be called by [`Op::attempt`].
#[inline]
pub(super) fn perform(driver: &Driver, fd: Option<&SharedFd>, entry: &Sqe) -> Option<Completion> {
    let fd = fd.filter(|fd| fd.takes_attempts())?;
    match driver.attempt(entry) {
        Attempt::Performed(result) => Some(Completion::made_up(result)),
        Attempt::NotNow => None,
        Attempt::Vain => {
            fd.refuse_attempts();
            None
        }
    }
}
