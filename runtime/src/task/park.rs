//! A plain thread that sleeps until a future is ready.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// Polls a future to its end; the thread sleeps meanwhile.
pub(crate) fn wait_for<F: Future + Unpin>(mut future: F) -> F::Output {
    wait_until(&mut future, None).expect("without a deadline it waits to the end")
}

/// Polls a future to its end, or until the deadline; the thread sleeps meanwhile.
pub(crate) fn wait_until<F: Future + Unpin>(future: &mut F, deadline: Option<Instant>) -> Option<F::Output> {
    let parked = Arc::new(Parked { woken: Mutex::new(false), bell: Condvar::new() });
    let waker = Waker::from(Arc::clone(&parked));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut *future).poll(&mut cx) {
            return Some(output);
        }
        if !parked.sleep(deadline) {
            return None;
        }
    }
}

/// A thread asleep. Not `thread::park`, whose token is anybody's who parks the same thread.
struct Parked {
    /// Set by a wake, reset by the thread that saw it.
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Parked {
    /// Sleeps until a wake; `false` where the deadline came first.
    fn sleep(&self, deadline: Option<Instant>) -> bool {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        while !*woken {
            woken = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.bell.wait(woken).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => self.bell.wait_timeout(woken, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        *woken = false;
        true
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }
}
