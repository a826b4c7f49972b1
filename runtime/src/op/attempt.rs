//! Performing an op at once, where it is alone: see `driver/attempts.rs`.

use crate::context;
use crate::fd::SharedFd;
use crate::kernel::attempt::Attempt;
use crate::op::{Completion, Driver, Sqe};

/// Performs the first entry of an op by a plain system call, where that is cheaper than the ring and takes no waiting. The
/// answer is for the op's own `step`, as if the entry had been pushed. `None`: nothing has happened, push it.
///
/// For reads at a place of a file, and for sends. To be called by `prepare`: the op is in its slot, and has its lane.
pub(super) fn attempt(driver: &Driver, fd: Option<&SharedFd>, sqe: &Sqe) -> Option<Completion> {
    let fd = fd.filter(|fd| fd.takes_attempts())?;
    // Others may have something to submit along with it, and are not to wait behind calls.
    let is_crowded = context::try_with(|core| core.executor.has_ready());
    if is_crowded != Some(false) {
        return None;
    }
    match driver.attempt(sqe) {
        Attempt::Performed(result) => Some(Completion::made_up(result)),
        Attempt::NotNow => None,
        Attempt::Vain => {
            fd.refuse_attempts();
            None
        }
    }
}
