//! A future driven by the thread that asks, for the `blocking_` methods.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::shim::{Condvar, Lock, wait};

/// Polls a future to its end and parks the thread meanwhile.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // What is ready at once costs no allocation. The waker that wakes nobody is replaced by the next poll, which also sees
    // whatever happened in between.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let parked = Arc::new(Parked { woken: Lock::new(false), wake: Condvar::new() });
    let waker = Waker::from(parked.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let mut woken = parked.woken.lock();
        while !*woken {
            woken = wait(&parked.wake, woken);
        }
        *woken = false;
    }
}

/// A thread asleep. Not `thread::park`, whose token anyone may take who parks the same thread, even a waker we call.
struct Parked {
    /// Set by a wake-up, cleared by the thread that saw it.
    woken: Lock<bool>,
    wake: Condvar,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.wake.notify_one();
    }
}
