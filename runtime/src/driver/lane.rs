//! A lane: operations that must follow one another, such as the sends of one socket.
//!
//! One op of a lane is with the kernel; the others wait parked in their slots, first come first served. A parked op is
//! owned by its slot like any other, so a future that is forgotten while its op waits holds up nobody: the op runs when
//! its turn comes. A future that is dropped while its op waits takes the op out again, and no trace is left.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::driver::slots::OpKey;
use crate::executor::waker::TaskKey;
use crate::fd::{SharedFd, WeakFd};
use crate::waiters::{Place, Waiters};

/// An order among the operations of one runtime. Clones are the same lane.
#[derive(Clone, Default)]
pub struct Lane(Rc<State>);

#[derive(Default)]
struct State {
    /// The driver whose ops are ordered here, from the first one on: keys of another one would name other ops.
    driver: Cell<Option<NonZeroU64>>,
    /// The op that has the lane now.
    active: Cell<Option<OpKey>>,
    /// Those that wait, in the order in which they came.
    parked: RefCell<VecDeque<OpKey>>,
    /// The socket whose writes are ordered here, where some are lent to the kernel without a copy.
    lender: OnceCell<WeakFd>,
    /// How many ops have left the lane whose buffers the kernel still has.
    pins: Cell<usize>,
    /// Who wants to know when the lane is idle, or finished.
    idle: Waiters,
}

impl Lane {
    /// A lane with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing runs in this lane, and nothing waits.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.0.active.get().is_none()
    }

    /// Nothing runs in this lane, nothing waits, and the kernel has no buffer of an op that has left it.
    pub fn is_finished(&self) -> bool {
        self.is_idle() && !self.is_pinned()
    }

    /// The kernel has the buffer of an op that has left the lane.
    pub fn is_pinned(&self) -> bool {
        self.0.pins.get() > 0
    }

    /// A place for a future that is to wait until the lane is idle, or finished.
    pub fn place(&self) -> Place<'_> {
        self.0.idle.place()
    }

    /// Waits until the lane is finished.
    pub fn poll_finished(&self, cx: &mut Context<'_>, place: &Place<'_>) -> Poll<()> {
        if self.is_finished() {
            return Poll::Ready(());
        }
        place.wait(cx);
        Poll::Pending
    }

    /// Takes note of the socket of an op whose buffer the kernel may keep for as long as there is a connection.
    pub(crate) fn lends_for(&self, fd: &SharedFd) {
        self.0.lender.get_or_init(|| fd.downgrade());
    }

    /// Ends the connection, where nothing else makes the kernel give up what was lent to it.
    pub(crate) fn abort(&self) {
        if let Some(fd) = self.0.lender.get().and_then(WeakFd::upgrade) {
            fd.abort();
        }
    }

    /// An op is about to leave the lane, and the kernel still has its buffer.
    pub(crate) fn pin(&self) {
        self.0.pins.set(self.0.pins.get() + 1);
    }

    /// The kernel has given the buffer back.
    pub(crate) fn unpin(&self) {
        self.0.pins.set(self.0.pins.get() - 1);
        if self.is_finished() {
            self.wake_idle();
        }
    }

    /// Waits until the lane is idle.
    pub fn poll_idle(&self, cx: &mut Context<'_>, place: &Place<'_>) -> Poll<()> {
        if self.is_idle() {
            return Poll::Ready(());
        }
        place.wait(cx);
        Poll::Pending
    }

    /// An op waits for its turn, or somebody for the end of all.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.0.parked.borrow().is_empty() || !self.0.idle.is_empty()
    }

    /// The tasks that wait for the end of all.
    pub(crate) fn waiting_tasks(&self) -> Vec<TaskKey> {
        self.0.idle.tasks()
    }

    /// Binds the lane to a driver. `false` where it is another one's.
    #[must_use]
    #[inline]
    pub(crate) fn join(&self, driver: NonZeroU64) -> bool {
        match self.0.driver.get() {
            Some(before) => before == driver,
            None => {
                self.0.driver.set(Some(driver));
                true
            }
        }
    }

    /// Takes the lane for an op, or puts the op behind those that wait (`false`).
    #[inline]
    pub(crate) fn enter(&self, key: OpKey) -> bool {
        if self.is_idle() {
            self.0.active.set(Some(key));
            return true;
        }
        self.0.parked.borrow_mut().push_back(key);
        false
    }

    /// Takes a parked op out.
    pub(crate) fn withdraw(&self, key: OpKey) {
        let mut parked = self.0.parked.borrow_mut();
        if let Some(position) = parked.iter().position(|waiting| *waiting == key) {
            parked.remove(position);
        }
    }

    /// The active op has ended: the next one has the lane now, if there is one.
    #[inline]
    pub(crate) fn next(&self) -> Option<OpKey> {
        let mut parked = self.0.parked.borrow_mut();
        let next = if parked.is_empty() { None } else { parked.pop_front() };
        self.0.active.set(next);
        next
    }

    /// The op that has the lane, if the lane is that driver's.
    pub(crate) fn active_of(&self, driver: NonZeroU64) -> Option<OpKey> {
        if self.0.driver.get() == Some(driver) { self.0.active.get() } else { None }
    }

    /// The ops that wait, if the lane is that driver's.
    pub(crate) fn parked_of(&self, driver: NonZeroU64) -> Vec<OpKey> {
        if self.0.driver.get() == Some(driver) { self.0.parked.borrow().iter().copied().collect() } else { Vec::new() }
    }

    /// The lane is idle now: wakes who waited for that.
    #[inline]
    pub(crate) fn wake_idle(&self) {
        self.0.idle.wake();
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("active", &self.0.active).field("parked", &self.0.parked).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u64) -> OpKey {
        OpKey::from_user_data(index)
    }

    #[test]
    fn ops_leave_a_lane_in_the_order_in_which_they_came() {
        let lane = Lane::new();
        assert!(lane.enter(key(1)));
        assert!(!lane.enter(key(2)));
        assert!(!lane.enter(key(3)));
        assert!(!lane.enter(key(4)));
        lane.withdraw(key(3));
        assert_eq!(lane.next(), Some(key(2)));
        assert_eq!(lane.0.active.get(), Some(key(2)));
        assert_eq!(lane.next(), Some(key(4)));
        assert_eq!(lane.next(), None);
        assert!(lane.is_idle());
        assert!(lane.enter(key(5)));
    }
}
