//! The tasks that wait for something of a socket.
//!
//! All of them are woken by each event, and whoever is polled first takes what came. That is what makes a future that was
//! forgotten harmless: it may be in the list for ever, but it cannot keep the others from being woken.

use std::cell::RefCell;
use std::task::{Context, Waker};

#[derive(Debug, Default)]
pub(crate) struct Waiters(RefCell<Vec<Waker>>);

impl Waiters {
    /// Nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The task waits from now on, until the next event.
    pub(crate) fn add(&self, cx: &mut Context<'_>) {
        if self.0.borrow().iter().any(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        let waker = cx.waker().clone();
        self.0.borrow_mut().push(waker);
    }

    /// Wakes everybody.
    pub(crate) fn wake(&self) {
        if self.is_empty() {
            return;
        }
        let mut wakers = self.0.take();
        wakers.drain(..).for_each(Waker::wake);
        // The list's capacity is kept; somebody may have come to wait meanwhile.
        let late = self.0.replace(wakers);
        self.0.borrow_mut().extend(late);
    }
}

#[cfg(test)]
mod tests {
    use quoit_testkit::ManualWaker;

    use super::*;

    #[test]
    fn each_task_is_in_the_list_once_and_all_are_woken_once() {
        let (first, second) = (ManualWaker::new(), ManualWaker::new());
        let waiters = Waiters::default();
        for waker in [&first, &second, &first] {
            waiters.add(&mut Context::from_waker(&waker.waker()));
        }
        assert_eq!(waiters.0.borrow().len(), 2);
        waiters.wake();
        assert!(waiters.is_empty());
        assert_eq!((first.count(), second.count()), (1, 1));
    }
}
