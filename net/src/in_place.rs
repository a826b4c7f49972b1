//! Asking the operation that an object keeps in a cell to stop.

use std::cell::RefCell;

use quoit_runtime::op::Canceller;

/// Cancels by what `canceller` gives for the operation that is there, if there is one.
///
/// The operation may end in there, outside of `block_on`, and whoever hears of that takes it out of the cell: so it stays in its
/// place, and nothing is borrowed meanwhile.
pub(crate) fn cancel_in_place<T>(kept: &RefCell<Option<T>>, canceller: impl FnOnce(&T) -> Option<Canceller>) {
    let canceller = kept.borrow().as_ref().and_then(canceller);
    if let Some(canceller) = canceller {
        canceller.cancel();
    }
}
