//! A waker that only counts, for futures that a test polls by hand.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts how often it is woken. Wakes from all threads count.
///
/// # Examples
///
/// ```
/// use quoit_testkit::ManualWaker;
///
/// let waker = ManualWaker::new();
/// let mut future = std::pin::pin!(std::future::pending::<()>());
/// assert!(waker.poll(future.as_mut()).is_pending());
/// assert_eq!(waker.count(), 0);
/// waker.waker().wake();
/// assert_eq!(waker.count(), 1);
/// ```
#[derive(Debug)]
pub struct ManualWaker {
    /// What `waker` counts into.
    wakes: Arc<Wakes>,
    /// Kept, so that a `Context` can borrow it.
    waker: Waker,
}

#[derive(Debug)]
struct Wakes(AtomicUsize);

impl ManualWaker {
    /// A waker that was not woken yet.
    pub fn new() -> ManualWaker {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        ManualWaker { wakes, waker }
    }

    /// A waker that counts here. All of them wake alike (`will_wake`).
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// A context for polling by hand.
    pub fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Polls a future once.
    pub fn poll<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut self.context())
    }

    /// How often it was woken since it was made or last taken.
    pub fn count(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }

    /// Like [`count`](Self::count), and starts again at 0.
    pub fn take(&self) -> usize {
        self.wakes.0.swap(0, Ordering::SeqCst)
    }

    /// How many wakers from here are alive elsewhere: stored by a future, or leaked.
    pub fn held(&self) -> usize {
        // Two are our own.
        Arc::strong_count(&self.wakes) - 2
    }
}

impl Default for ManualWaker {
    fn default() -> ManualWaker {
        ManualWaker::new()
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::mem::ManuallyDrop;
    use std::pin::pin;
    use std::thread;

    use super::*;

    #[test]
    fn wakes_of_every_kind_and_thread_are_counted() {
        let manual = ManualWaker::new();
        let waker = manual.waker();
        waker.wake_by_ref();
        waker.wake();
        let waker = manual.waker();
        thread::spawn(move || waker.wake()).join().expect("waking does not panic");
        assert_eq!(manual.count(), 3);
        assert_eq!(manual.take(), 3);
        assert_eq!(manual.count(), 0);
    }

    #[test]
    fn poll_hands_its_own_waker_to_the_future() {
        let manual = ManualWaker::new();
        let mut polls = 0;
        let mut future = pin!(std::future::poll_fn(|context| {
            polls += 1;
            assert!(context.waker().will_wake(&manual.waker()));
            context.waker().wake_by_ref();
            if polls == 2 { Poll::Ready(7) } else { Poll::Pending }
        }));
        assert_eq!(manual.poll(future.as_mut()), Poll::Pending);
        assert_eq!(manual.poll(future.as_mut()), Poll::Ready(7));
        assert_eq!(manual.count(), 2);
    }

    #[test]
    fn leaked_waker_is_noticed() {
        let manual = ManualWaker::new();
        let stored = manual.waker();
        assert_eq!(manual.held(), 1);
        drop(stored);
        assert_eq!(manual.held(), 0);
        // Leaked as far as the count can see; a leak checker must not find it.
        let leaked = ManuallyDrop::new(manual.waker());
        assert_eq!(manual.held(), 1);
        drop(ManuallyDrop::into_inner(leaked));
        assert_eq!(manual.count(), 0);
    }
}
