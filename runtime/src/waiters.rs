//! The tasks that wait for something of a socket, a pipe or the like.
//!
//! All of them are woken by each event, and whoever is polled first takes what came. That is what makes a future that was
//! forgotten harmless: it may be in the list for ever, but it cannot keep the others from being woken. A future that is
//! dropped leaves the list with its [`Place`].

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::task::{Context, Waker};

use crate::executor::waker::{TaskKey, clone_of};
use crate::task::wake;

/// The tasks that wait for one thing: a queue to have something, a write to end.
#[derive(Default)]
pub struct Waiters {
    list: RefCell<List>,
    /// Numbers the places.
    next: Cell<u64>,
}

/// Those that wait, in the order of their places. Nearly always there is one, who needs no allocation.
#[derive(Default)]
struct List {
    first: Option<Waiter>,
    /// Empty where there is no first one.
    others: Vec<Waiter>,
}

struct Waiter {
    /// That of the place.
    number: u64,
    waker: Waker,
}

impl List {
    fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.first.iter().chain(&self.others)
    }

    /// Whether who has this place waits by this waker.
    #[inline]
    fn has(&self, number: u64, waker: &Waker) -> bool {
        self.iter().any(|waiter| waiter.number == number && waiter.waker.will_wake(waker))
    }

    /// Puts a waiter in its order.
    #[inline]
    fn insert(&mut self, waiter: Waiter) {
        match self.first {
            None => self.first = Some(waiter),
            Some(_) => self.insert_among(waiter),
        }
    }

    fn insert_among(&mut self, waiter: Waiter) {
        let Some(first) = &mut self.first else { return };
        let behind = if waiter.number < first.number { mem::replace(first, waiter) } else { waiter };
        let position = self.others.partition_point(|other| other.number < behind.number);
        self.others.insert(position, behind);
    }

    /// Takes a waiter out, for the caller to drop.
    #[must_use]
    #[inline]
    fn remove(&mut self, number: u64) -> Option<Waiter> {
        // Whoever was woken is not there any more.
        if self.first.is_none() { None } else { self.remove_among(number) }
    }

    fn remove_among(&mut self, number: u64) -> Option<Waiter> {
        if self.first.as_ref()?.number == number {
            let next = if self.others.is_empty() { None } else { Some(self.others.remove(0)) };
            return mem::replace(&mut self.first, next);
        }
        let position = self.others.iter().position(|other| other.number == number)?;
        Some(self.others.remove(position))
    }
}

impl Waiters {
    /// Nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.borrow().first.is_none()
    }

    /// The tasks that wait, each once; those that wait by wakers of others are unknown.
    pub(crate) fn tasks(&self) -> Vec<TaskKey> {
        let mut tasks: Vec<_> =
            self.list.borrow().iter().filter_map(|waiter| TaskKey::of_waker(&waiter.waker)).collect();
        tasks.sort_by_key(|key| key.bits());
        tasks.dedup();
        tasks
    }

    /// A place in the list for one future, which is not in it yet.
    #[inline]
    pub fn place(&self) -> Place<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        Place { waiters: self, number }
    }

    /// Wakes everybody, and empties the list.
    #[inline]
    pub fn wake(&self) {
        let mut list = self.list.borrow_mut();
        let Some(first) = list.first.take() else { return };
        let others = mem::take(&mut list.others);
        drop(list);
        wake(first.waker);
        if !others.is_empty() {
            others.into_iter().for_each(|other| wake(other.waker));
        }
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.list.borrow().iter().map(|waiter| waiter.number).collect();
        f.debug_tuple("Waiters").field(&numbers).finish()
    }
}

/// One future's place among those that wait.
#[derive(Debug)]
pub struct Place<'a> {
    waiters: &'a Waiters,
    number: u64,
}

impl Place<'_> {
    /// The future waits from now on, until the next event.
    #[inline]
    pub fn wait(&self, cx: &mut Context<'_>) {
        if self.waiters.list.borrow().has(self.number, cx.waker()) {
            return;
        }
        match TaskKey::of_waker(cx.waker()) {
            // One of our own: to clone it does nothing else.
            Some(_) => self.stand(clone_of(cx.waker())),
            None => self.wait_by(cx.waker()),
        }
    }

    /// As [`wait`](Self::wait), by a waker whose code is anybody's.
    #[cold]
    fn wait_by(&self, waker: &Waker) {
        // Somebody stands in for it: its clone may bring the event about, and then nobody does any more.
        self.stand(Waker::noop().clone());
        let waker = waker.clone();
        let is_waiting = self.waiters.list.borrow().iter().any(|waiter| waiter.number == self.number);
        if is_waiting { self.stand(waker) } else { wake(waker) }
    }

    /// Puts a waker in its place, and drops the one that was there.
    #[inline]
    fn stand(&self, waker: Waker) {
        let mut list = self.waiters.list.borrow_mut();
        let left = list.remove(self.number);
        // Those who came first are woken first, also if they were late to wait again.
        list.insert(Waiter { number: self.number, waker });
        drop(list);
        // Its destructor may be anybody's code, too, and what it brings about finds who waits now.
        drop(left);
    }

    #[inline]
    fn leave(&self) {
        let left = self.waiters.list.borrow_mut().remove(self.number);
        drop(left);
    }
}

impl Drop for Place<'_> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use quoit_testkit::ManualWaker;

    use super::*;

    #[test]
    fn each_future_is_in_the_list_once_and_all_are_woken_once() {
        let (first, second) = (ManualWaker::new(), ManualWaker::new());
        let waiters = Waiters::default();
        let (one, other) = (waiters.place(), waiters.place());
        for (place, waker) in [(&one, &first), (&other, &second), (&one, &first)] {
            place.wait(&mut Context::from_waker(&waker.waker()));
        }
        assert_eq!(waiters.list.borrow().iter().count(), 2);
        waiters.wake();
        assert!(waiters.is_empty());
        assert_eq!((first.count(), second.count()), (1, 1));
    }

    #[test]
    fn a_future_that_moves_to_another_task_is_woken_there() {
        let (first, second) = (ManualWaker::new(), ManualWaker::new());
        let waiters = Waiters::default();
        let place = waiters.place();
        place.wait(&mut Context::from_waker(&first.waker()));
        place.wait(&mut Context::from_waker(&second.waker()));
        waiters.wake();
        assert_eq!((first.count(), second.count()), (0, 1));
    }

    #[test]
    fn a_waker_whose_destructor_brings_the_event_about_has_been_replaced_by_then() {
        thread_local!(static WAITERS: Waiters = Waiters::default());
        struct WakesOnDrop;
        impl Wake for WakesOnDrop {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for WakesOnDrop {
            fn drop(&mut self) {
                WAITERS.with(Waiters::wake);
            }
        }
        let manual = ManualWaker::new();
        WAITERS.with(|waiters| {
            let place = waiters.place();
            place.wait(&mut Context::from_waker(&Waker::from(Arc::new(WakesOnDrop))));
            place.wait(&mut Context::from_waker(&manual.waker()));
            assert_eq!((manual.count(), waiters.is_empty()), (1, true));
        });
    }

    #[test]
    fn a_future_that_is_dropped_leaves_the_list_and_the_others_in_it() {
        let waker = ManualWaker::new();
        let waiters = Waiters::default();
        // Two futures of one task.
        let (one, other) = (waiters.place(), waiters.place());
        one.wait(&mut Context::from_waker(&waker.waker()));
        other.wait(&mut Context::from_waker(&waker.waker()));
        drop(one);
        assert_eq!(waiters.list.borrow().iter().count(), 1);
        waiters.wake();
        assert_eq!(waker.count(), 1);
    }

    #[test]
    fn those_who_came_first_are_first_whoever_waits_again_leaves_or_comes() {
        let waker = ManualWaker::new();
        let waiters = Waiters::default();
        let order = || waiters.list.borrow().iter().map(|waiter| waiter.number).collect::<Vec<_>>();
        let places: Vec<_> = (0..4).map(|_| waiters.place()).collect();
        for place in [3, 1, 2, 0] {
            places[place].wait(&mut Context::from_waker(&waker.waker()));
        }
        assert_eq!(order(), [0, 1, 2, 3]);
        places[0].leave();
        assert_eq!(order(), [1, 2, 3]);
        places[2].leave();
        assert_eq!(order(), [1, 3]);
        // Who is not there can't leave.
        places[2].leave();
        places[0].leave();
        places[0].wait(&mut Context::from_waker(Waker::noop()));
        assert_eq!(order(), [0, 1, 3]);
        waiters.wake();
        assert_eq!((waker.count(), waiters.is_empty()), (2, true));
    }
}
