//! The tasks that wait for something of a socket, a pipe or the like.
//!
//! All of them are woken by each event, and whoever is polled first takes what came. That is what makes a future that was
//! forgotten harmless: it may be in the list for ever, but it cannot keep the others from being woken. A future that is
//! dropped leaves the list with its [`Place`].

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

use crate::executor::waker::TaskKey;
use crate::task::wake;

/// The tasks that wait for one thing: a queue to have something, a write to end.
#[derive(Debug, Default)]
pub struct Waiters {
    list: RefCell<Vec<(u64, Waker)>>,
    /// Numbers the places.
    next: Cell<u64>,
}

impl Waiters {
    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// The tasks that wait, each once; those that wait by wakers of others are unknown.
    pub(crate) fn tasks(&self) -> Vec<TaskKey> {
        let mut tasks: Vec<_> = self.list.borrow().iter().filter_map(|(_, waker)| TaskKey::of_waker(waker)).collect();
        tasks.sort_by_key(|key| key.bits());
        tasks.dedup();
        tasks
    }

    /// A place in the list for one future, which is not in it yet.
    pub fn place(&self) -> Place<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        Place { waiters: self, number }
    }

    /// Wakes everybody, and empties the list.
    pub fn wake(&self) {
        if self.is_empty() {
            return;
        }
        let mut list = self.list.take();
        list.drain(..).for_each(|(_, waker)| wake(waker));
        // The list's capacity is kept; somebody may have come to wait meanwhile.
        let late = self.list.replace(list);
        self.list.borrow_mut().extend(late);
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
    pub fn wait(&self, cx: &mut Context<'_>) {
        if let Some((_, known)) = self.waiters.list.borrow().iter().find(|(number, _)| *number == self.number)
            && known.will_wake(cx.waker())
        {
            return;
        }
        self.leave();
        let waker = cx.waker().clone();
        // Those who came first are woken first, also if they were late to wait again.
        let mut list = self.waiters.list.borrow_mut();
        let position = list.partition_point(|(number, _)| *number < self.number);
        list.insert(position, (self.number, waker));
    }

    fn leave(&self) {
        let mut list = self.waiters.list.borrow_mut();
        let position = list.iter().position(|(number, _)| *number == self.number);
        let left = position.map(|position| list.remove(position));
        drop(list);
        drop(left);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(waiters.list.borrow().len(), 2);
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
    fn a_future_that_is_dropped_leaves_the_list_and_the_others_in_it() {
        let waker = ManualWaker::new();
        let waiters = Waiters::default();
        // Two futures of one task.
        let (one, other) = (waiters.place(), waiters.place());
        one.wait(&mut Context::from_waker(&waker.waker()));
        other.wait(&mut Context::from_waker(&waker.waker()));
        drop(one);
        assert_eq!(waiters.list.borrow().len(), 1);
        waiters.wake();
        assert_eq!(waker.count(), 1);
    }
}
