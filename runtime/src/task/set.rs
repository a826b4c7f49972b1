//! Many tasks, joined in the order in which they end.
//!
//! Each task's end wakes a waker of its own, which puts the task's place into a queue: so the next one that has ended is
//! found at once, however many there are. The queue is behind a lock, because tasks of other threads may be in the set.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use crate::blocking::spawn_blocking;
use crate::driver::shield;
use crate::handle::Handle;
use crate::shim::{Mutex, lock};
use crate::spawn::spawn;
use crate::task::{AbortHandle, Id, JoinError, JoinHandle, RemoteJoinHandle, poll_budget};

/// A set of tasks whose outputs all have the same type; dropping it aborts them.
///
/// Tasks are joined in the order in which they end, each in a time that does not depend on how many there are.
///
/// # Examples
///
/// ```
/// use quoit_runtime::task::JoinSet;
///
/// quoit_runtime::block_on(async {
///     let mut set: JoinSet<u32> = (1..=3).map(|number| async move { number * 10 }).collect();
///     let mut sum = 0;
///     while let Some(result) = set.join_next().await {
///         sum += result.expect("no panic");
///     }
///     assert_eq!(sum, 60);
/// });
/// ```
pub struct JoinSet<T> {
    members: Vec<Place<T>>,
    /// The head of the list of vacant places.
    vacant: Option<usize>,
    len: usize,
    ended: Arc<Ended>,
}

enum Place<T> {
    Here(JoinHandle<T>),
    Elsewhere(RemoteJoinHandle<T>),
    /// With the next vacant place.
    Vacant(Option<usize>),
}

/// The tasks that have ended and were not joined yet.
struct Ended {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    places: VecDeque<usize>,
    /// Who waits for the next one.
    waiting: Option<Waker>,
}

/// Woken by the end of the task at a place.
struct EndOf {
    place: usize,
    ended: Arc<Ended>,
}

impl<T> JoinSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self { members: Vec::new(), vacant: None, len: 0, ended: Ended::new() }
    }

    /// How many tasks are in the set: those that run, and those that have ended and were not joined.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The set has no task.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Aborts all tasks. They stay in the set until they are joined.
    pub fn abort_all(&mut self) {
        for member in &self.members {
            match member {
                Place::Here(handle) => handle.abort(),
                Place::Elsewhere(handle) => handle.abort(),
                Place::Vacant(_) => {}
            }
        }
    }

    /// Takes all tasks out of the set; they go on by themselves.
    pub fn detach_all(&mut self) {
        let members = std::mem::take(&mut self.members);
        // What those that end later are told is lost with the queue that they know.
        (self.vacant, self.len, self.ended) = (None, 0, Ended::new());
        drop(members);
    }

    /// Waits for a task to end, and takes it out of the set. `None` where the set is empty.
    ///
    /// # Cancel safety
    ///
    /// A task that has ended stays in the set until this has returned it.
    ///
    /// # Errors
    ///
    /// The task panicked or was aborted.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`join_next`](Self::join_next), with the task's id; that of one that gave no output is in its error.
    ///
    /// # Errors
    ///
    /// The task panicked or was aborted.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Takes a task that has ended out of the set. `None` where the set is empty, or all its tasks still run.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let place = lock(&self.ended.queue).places.pop_front()?;
        Some(self.take(place).map(|(_, output)| output))
    }

    /// Waits for all tasks. Their outputs, in the order in which they ended.
    ///
    /// # Panics
    ///
    /// Where a task has panicked, with its panic; and where one was aborted. The others are aborted then.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len);
        while let Some(result) = self.join_next().await {
            match result {
                Ok(output) => outputs.push(output),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(error) => panic!("{error}"),
            }
        }
        outputs
    }

    /// Aborts all tasks and waits until they are gone. What they gave or panicked with is dropped.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while let Some(result) = self.join_next().await {
            shield(|| drop(result));
        }
    }

    /// Polls for a task that has ended. *Ready* with `None` where the set is empty.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_join_next_with_id(cx).map(|next| next.map(|result| result.map(|(_, output)| output)))
    }

    /// As [`poll_join_next`](Self::poll_join_next), with the task's id.
    pub fn poll_join_next_with_id(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.len == 0 {
            return Poll::Ready(None);
        }
        // Cloning and dropping wakers is somebody else's code.
        let fresh = cx.waker().clone();
        let mut queue = lock(&self.ended.queue);
        if queue.places.is_empty() {
            let stale = queue.waiting.replace(fresh);
            drop(queue);
            drop(stale);
            return Poll::Pending;
        }
        drop(queue);
        drop(fresh);
        ready!(poll_budget(cx));
        let place = lock(&self.ended.queue).places.pop_front();
        Poll::Ready(Some(self.take(place.expect("nobody else takes any"))))
    }

    /// Takes out a task that has ended.
    fn take(&mut self, place: usize) -> Result<(Id, T), JoinError> {
        let vacant = Place::Vacant(self.vacant.replace(place));
        self.len -= 1;
        let mut cx = Context::from_waker(Waker::noop());
        let (id, output) = match std::mem::replace(&mut self.members[place], vacant) {
            Place::Here(mut handle) => (handle.id(), Pin::new(&mut handle).poll(&mut cx)),
            Place::Elsewhere(mut handle) => (handle.id(), Pin::new(&mut handle).poll(&mut cx)),
            Place::Vacant(_) => unreachable!("each task ends once, and its place is not used again before"),
        };
        match output {
            Poll::Ready(output) => output.map(|output| (id, output)),
            Poll::Pending => unreachable!("the task has ended"),
        }
    }

    fn insert(&mut self, member: Place<T>) {
        let place = self.vacant.unwrap_or(self.members.len());
        let waker = Waker::from(Arc::new(EndOf { place, ended: Arc::clone(&self.ended) }));
        if place == self.members.len() {
            self.members.push(member);
        } else {
            let Place::Vacant(next) = std::mem::replace(&mut self.members[place], member) else {
                unreachable!("the list of vacant places has only such")
            };
            self.vacant = next;
        }
        self.len += 1;
        let has_ended = match &mut self.members[place] {
            Place::Here(handle) => !handle.wake_at_end(&waker),
            Place::Elsewhere(handle) => !handle.wake_at_end(&waker),
            Place::Vacant(_) => unreachable!("filled above"),
        };
        if has_ended {
            // It was refused, or was faster: nobody else will say so.
            waker.wake();
        }
    }
}

impl<T: 'static> JoinSet<T> {
    /// Runs a future as a task of this thread's runtime, in the set.
    ///
    /// # Panics
    ///
    /// Outside a runtime, with the caller's location.
    #[track_caller]
    pub fn spawn<F: Future<Output = T> + 'static>(&mut self, future: F) -> AbortHandle {
        let handle = spawn(future);
        let abort = handle.abort_handle();
        self.insert(Place::Here(handle));
        abort
    }

    /// Has another runtime run a future as a task, in the set; see [`Handle::spawn`].
    #[track_caller]
    pub fn spawn_on<F, Fut>(&mut self, make: F, runtime: &Handle) -> AbortHandle
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
        T: Send,
    {
        self.insert_remote(runtime.spawn(make))
    }

    /// Runs work on a thread where it may block, in the set; see [`spawn_blocking`](crate::spawn_blocking). What has begun
    /// cannot be aborted.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, work: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert_remote(spawn_blocking(work))
    }

    fn insert_remote(&mut self, handle: RemoteJoinHandle<T>) -> AbortHandle
    where
        T: Send,
    {
        let abort = handle.abort_handle();
        self.insert(Place::Elsewhere(handle));
        abort
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static, F: Future<Output = T> + 'static> FromIterator<F> for JoinSet<T> {
    /// Runs each future as a task, in a new set.
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        set.extend(futures);
        set
    }
}

impl<T: 'static, F: Future<Output = T> + 'static> Extend<F> for JoinSet<T> {
    /// Runs each future as a task, in the set.
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        for future in futures {
            self.spawn(future);
        }
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Ended {
    fn new() -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(Queue::default()) })
    }
}

impl Wake for EndOf {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut queue = lock(&self.ended.queue);
        queue.places.push_back(self.place);
        let waiting = queue.waiting.take();
        drop(queue);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}
