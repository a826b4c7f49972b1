//! Waiting under a mutex for what others do under it: [`Condvar`].

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};

use crate::mutex::MutexGuard;
use crate::shim::Lock;
use crate::waiters::{Key, Waiters};
use crate::wake::{WakeBatch, store_waker, wake};

/// Lets go of a [`Mutex`](crate::Mutex) while it waits for a notification, and locks it again.
///
/// A notification reaches who waits, and is lost if nobody does: change what is waited for under the mutex, and look at it before
/// waiting. Nobody wakes without a notification, but others may have locked the mutex in between:
/// [`wait_while`](Self::wait_while) looks again.
///
/// # Examples
///
/// ```
/// # futures_executor::block_on(async {
/// use std::sync::Arc;
///
/// use quoit_sync::{Condvar, Mutex};
///
/// let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
/// let producer = shared.clone();
/// std::thread::spawn(move || {
///     producer.0.blocking_lock().push("bread");
///     producer.1.notify_one();
/// });
/// let (shelf, filled) = &*shared;
/// let mut shelf = filled.wait_while(shelf.lock().await, |shelf| shelf.is_empty()).await;
/// assert_eq!(shelf.pop(), Some("bread"));
/// # });
/// ```
pub struct Condvar {
    waiters: Lock<Waiters<Waiter>>,
}

/// Where a future that waits stands.
enum Waiter {
    /// Linked. No waker before its first poll.
    Waiting(Option<Waker>),
    /// Unlinked by `notify_one`: if it goes before it has locked the mutex, the next is to be notified.
    Notified,
    /// Unlinked by `notify_all`.
    Called,
}

impl Condvar {
    /// Makes one that nobody waits for.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { waiters: Lock::new(Waiters::new()) }
    }

    /// The same for loom, whose primitives cannot be made in a constant.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { waiters: Lock::new(Waiters::new()) }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again.
    ///
    /// The mutex stays locked until the first poll, which queues before it unlocks: a notification in between is not missed.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the mutex unlocked. A [`notify_one`](Self::notify_one) that had reached it goes to the next
    /// who waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use quoit_sync::{Condvar, Mutex};
    ///
    /// let (mutex, changed) = (Mutex::new(1), Condvar::new());
    /// let waiting = async { *changed.wait(mutex.lock().await).await };
    /// let changing = async {
    ///     *mutex.lock().await = 2;
    ///     changed.notify_all();
    /// };
    /// assert_eq!(futures_util::join!(waiting, changing), (2, ()));
    /// # });
    /// ```
    pub async fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = MutexGuard::mutex(&guard);
        let turn = Turn::queue(self);
        drop(guard);
        poll_fn(|context| turn.poll(context)).await;
        let guard = mutex.lock().await;
        turn.done();
        guard
    }

    /// Waits as long as the condition holds, looking at it first and after each notification.
    ///
    /// # Cancel safety
    ///
    /// As with [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use quoit_sync::{Condvar, Mutex};
    ///
    /// let (count, changed) = (Mutex::new(3), Condvar::new());
    /// let counting = async {
    ///     while *count.lock().await > 0 {
    ///         *count.lock().await -= 1;
    ///         changed.notify_one();
    ///     }
    /// };
    /// let waiting = async { *changed.wait_while(count.lock().await, |count| *count > 0).await };
    /// assert_eq!(futures_util::join!(waiting, counting), (0, ()));
    /// # });
    /// ```
    pub async fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Wakes who waits longest, if anybody waits.
    pub fn notify_one(&self) {
        let waker = Self::notify(&mut self.waiters.lock());
        wake(waker);
    }

    /// Wakes everyone who waits.
    pub fn notify_all(&self) {
        let mut wakes = WakeBatch::new();
        let mut waiters = self.waiters.lock();
        while let Some(waiter) = waiters.pop_front() {
            wakes.take_from(&mut waiter.answer(Waiter::Called));
        }
        drop(waiters);
        wakes.wake_all();
    }

    fn notify(waiters: &mut Waiters<Waiter>) -> Option<Waker> {
        waiters.pop_front()?.answer(Waiter::Notified)
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited_for = !self.waiters.lock().is_empty();
        f.debug_struct("Condvar").field("waited_for", &waited_for).finish_non_exhaustive()
    }
}

impl Waiter {
    fn answer(&mut self, answer: Self) -> Option<Waker> {
        match mem::replace(self, answer) {
            Self::Waiting(waker) => waker,
            Self::Notified | Self::Called => unreachable!("only who waits is linked"),
        }
    }
}

/// A place in the queue, from before the mutex is unlocked until it is locked again.
struct Turn<'a> {
    condvar: &'a Condvar,
    /// None once it is done.
    key: Option<Key>,
}

impl<'a> Turn<'a> {
    fn queue(condvar: &'a Condvar) -> Self {
        let key = condvar.waiters.lock().push_back(Waiter::Waiting(None));
        Self { condvar, key: Some(key) }
    }

    /// Ready when it is notified.
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let key = self.key.as_ref().expect("polled before it is done");
        let mut fresh = None;
        loop {
            let mut waiters = self.condvar.waiters.lock();
            let Waiter::Waiting(waker) = waiters.at(key) else { return Poll::Ready(()) };
            if store_waker(waker, &mut fresh, context).is_some() {
                return Poll::Pending;
            }
            drop(waiters);
            fresh = Some(context.waker().clone());
        }
    }

    /// It has locked the mutex: the notification has done what it was for.
    fn done(mut self) {
        if let Some(key) = self.key.take() {
            // It was answered, and has given its waker away: nothing to drop under the lock.
            self.condvar.waiters.lock().remove(key);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut waiters = self.condvar.waiters.lock();
        let waiter = waiters.remove(key);
        let next = match waiter {
            Waiter::Notified => Condvar::notify(&mut waiters),
            Waiter::Waiting(_) | Waiter::Called => None,
        };
        drop(waiters);
        drop(waiter);
        wake(next);
    }
}
