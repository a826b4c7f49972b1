//! The places of those inside a scope that have wakers of their own.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::cancel_scope::{Scope, Stop, current, is_unscoped, stop_now};
use crate::driver::wake;

/// The seats of one scope. As many as futures in it are pending; a future that is dropped gives its seat back.
#[derive(Default)]
pub(super) struct Seats {
    table: RefCell<Table>,
}

#[derive(Default)]
struct Table {
    /// The wakers; `None` in a seat that is vacant, or was woken.
    wakers: Vec<Option<Waker>>,
    /// The vacant ones.
    vacant: Vec<usize>,
}

impl Seats {
    /// Wakes everybody. The seats stay taken.
    pub(super) fn wake(&self) {
        let count = self.table.borrow().wakers.len();
        for index in 0..count {
            // Wakers are anybody's code: nothing is borrowed meanwhile (I8).
            let waker = self.table.borrow_mut().wakers[index].take();
            if let Some(waker) = waker {
                wake(waker);
            }
        }
    }

    fn take(&self, waker: Waker) -> usize {
        let mut table = self.table.borrow_mut();
        match table.vacant.pop() {
            Some(index) => {
                table.wakers[index] = Some(waker);
                index
            }
            None => {
                table.wakers.push(Some(waker));
                table.wakers.len() - 1
            }
        }
    }

    fn holds(&self, index: usize, waker: &Waker) -> bool {
        self.table.borrow().wakers[index].as_ref().is_some_and(|known| known.will_wake(waker))
    }

    fn give_back(&self, index: usize) {
        let mut table = self.table.borrow_mut();
        let waker = table.wakers[index].take();
        table.vacant.push(index);
        drop(table);
        drop(waker);
    }
}

/// What keeps an eye on the scope in which something is polled.
#[derive(Default)]
pub(crate) struct Watch {
    seat: Option<Seat>,
}

struct Seat {
    scope: Rc<Scope>,
    index: usize,
}

impl Watch {
    /// Something was pending: whether the scope in which it was polled is cancelled. If that happens later, the waker is
    /// woken.
    #[inline]
    pub(crate) fn look(&mut self, cx: &mut Context<'_>, is_write: bool) -> Option<Stop> {
        if is_unscoped() {
            self.leave();
            return None;
        }
        self.look_at(&current()?, cx, is_write)
    }

    /// Gives up the seat, if it has one.
    #[inline]
    pub(super) fn leave(&mut self) {
        if self.seat.is_some() {
            self.seat = None;
        }
    }

    fn look_at(&mut self, scope: &Rc<Scope>, cx: &mut Context<'_>, is_write: bool) -> Option<Stop> {
        let stop = scope.stop_of(is_write);
        if stop.is_some() || scope.is_polled_by(cx.waker()) {
            self.seat = None;
        } else if !self.sits(scope, cx.waker()) {
            // The old seat is left first, as it may be the last owner of anything.
            self.seat = None;
            let index = scope.seats.take(cx.waker().clone());
            self.seat = Some(Seat { scope: Rc::clone(scope), index });
        }
        stop
    }

    /// The same for a scope inside of the current one: also whether that spares writes, which it may not do for good.
    pub(super) fn look_around(&mut self, cx: &mut Context<'_>) -> Option<(Stop, bool)> {
        match self.look(cx, true) {
            Some(stop) => Some((stop, false)),
            None => Some((stop_now(false)?, true)),
        }
    }

    fn sits(&self, scope: &Rc<Scope>, waker: &Waker) -> bool {
        self.seat.as_ref().is_some_and(|seat| Rc::ptr_eq(&seat.scope, scope) && scope.seats.holds(seat.index, waker))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.scope.seats.give_back(self.index);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("has_seat", &self.seat.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use quoit_testkit::ManualWaker;

    use super::*;

    #[test]
    fn seats_are_used_again_and_each_waker_is_woken_once() {
        let wakers = [ManualWaker::new(), ManualWaker::new(), ManualWaker::new()];
        let seats = Seats::default();
        let first = seats.take(wakers[0].waker());
        let second = seats.take(wakers[1].waker());
        assert_eq!((first, second), (0, 1));
        seats.give_back(first);
        assert_eq!(seats.take(wakers[2].waker()), first);
        seats.wake();
        seats.wake();
        assert_eq!(wakers.each_ref().map(ManualWaker::count), [0, 1, 1]);
        seats.give_back(first);
        seats.give_back(second);
        assert_eq!(seats.table.borrow().vacant.len(), seats.table.borrow().wakers.len());
    }
}
