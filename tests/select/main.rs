//! `select!` and `join!`, as programs write them.

mod borrows;
mod flow;
mod joins;
mod polling;
mod shapes;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// A future that counts its polls and tells of its drop.
#[derive(Clone, Default)]
struct Probe {
    polls: Rc<Cell<u32>>,
    drops: Rc<Cell<u32>>,
}

impl Probe {
    /// Ready with `output` at its `nth` poll, counted from 1; woken meanwhile.
    fn ready_at<T>(&self, nth: u32, output: T) -> impl Future<Output = T> + use<T> {
        let (polls, drops) = (Rc::clone(&self.polls), OnDrop(Rc::clone(&self.drops)));
        let (mut output, mut own_polls) = (Some(output), 0);
        poll_fn(move |context| {
            let _owned = &drops;
            polls.set(polls.get() + 1);
            own_polls += 1;
            if own_polls < nth {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(output.take().expect("not polled after it was ready"))
        })
    }

    fn never(&self) -> impl Future<Output = ()> + use<> {
        self.ready_at(u32::MAX, ())
    }

    fn counts(&self) -> (u32, u32) {
        (self.polls.get(), self.drops.get())
    }
}

struct OnDrop(Rc<Cell<u32>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}
