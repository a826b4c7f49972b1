//! The threads of a set: what is known of each, and how they end.

use std::cell::RefCell;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::handle::Handle;
use crate::shutdown_report::ShutdownReport;
use crate::task::{RemoteCell, RemoteJoinHandle, wait_until};

/// What all handles of a set share.
#[derive(Debug)]
pub(super) struct Members {
    /// Filled in once all threads have been started, which is before anybody else gets to know of the set.
    list: OnceLock<Vec<Member>>,
    /// Where the search for the least loaded thread begins next, so that among equals it goes round.
    pub(super) next: AtomicUsize,
    /// How long a set whose last handle is dropped waits for the end of its threads.
    shutdown_deadline: Duration,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) handle: Handle,
    /// What is only there for threads that the set has started.
    pub(super) started: Option<Started>,
}

#[derive(Debug)]
pub(super) struct Started {
    /// Ends with the deadline for the runtime's shutdown, when the thread is to end.
    pub(super) stop: Arc<RemoteCell<Duration>>,
    /// Whoever waits for the end of the thread first takes it.
    pub(super) end: Mutex<Option<End>>,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) report: RemoteJoinHandle<ShutdownReport>,
    pub(super) thread: thread::JoinHandle<()>,
}

impl Members {
    pub(super) fn new(shutdown_deadline: Duration) -> Arc<Self> {
        Arc::new(Self { list: OnceLock::new(), next: AtomicUsize::new(0), shutdown_deadline })
    }

    pub(super) fn fill(&self, list: Vec<Member>) {
        self.list.set(list).expect("a set is filled once");
    }

    /// The threads; none while they are being started.
    pub(super) fn list(&self) -> &[Member] {
        self.list.get().map_or(&[], Vec::as_slice)
    }

    /// Whether the calling thread is one of them.
    pub(super) fn has_this_thread(&self) -> bool {
        membership(|set, _| std::ptr::eq(set.as_ptr(), self)).unwrap_or(false)
    }

    /// Ends the threads, and tells of what they leave behind.
    pub(super) fn end(&self) {
        self.stop(self.shutdown_deadline);
        // A thread of the set cannot wait for itself.
        if !self.has_this_thread() {
            let report = self.wait(self.shutdown_deadline);
            if !report.is_clean() {
                eprintln!("quoit: workers: {report}");
            }
        }
    }

    /// Tells every thread to end, within the deadline.
    pub(super) fn stop(&self, deadline: Duration) {
        for started in self.list().iter().filter_map(|member| member.started.as_ref()) {
            started.stop.end(Ok(deadline));
        }
    }

    /// Waits until the threads have ended, a little longer than the deadline that they were given, and sums up their reports.
    pub(super) fn wait(&self, deadline: Duration) -> ShutdownReport {
        let start = Instant::now();
        let last = start.checked_add(deadline.saturating_add(GRACE));
        let mut sum = ShutdownReport::default();
        for started in self.list().iter().filter_map(|member| member.started.as_ref()) {
            let end = started.end.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(mut end) = end else { continue };
            match wait_until(&mut end.report, last) {
                Some(Ok(report)) => {
                    sum.add(report);
                    // It has nothing left to do but to go.
                    let _ = end.thread.join();
                }
                // It panicked outside of every task, or a task of it does not come to its next await.
                Some(Err(_)) | None => sum.threads_left += 1,
            }
        }
        sum.elapsed = start.elapsed();
        sum
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.end();
    }
}

thread_local! {
    static MEMBERSHIP: RefCell<Option<(Weak<Members>, usize)>> = const { RefCell::new(None) };
}

/// The set that the calling thread belongs to, and its place in it.
pub(super) fn membership<T>(look: impl FnOnce(&Weak<Members>, usize) -> T) -> Option<T> {
    let look = |membership: &RefCell<Option<(Weak<Members>, usize)>>| {
        membership.borrow().as_ref().map(|(set, index)| look(set, *index))
    };
    MEMBERSHIP.try_with(look).ok().flatten()
}

/// While it lives, the calling thread belongs to a set.
#[derive(Debug)]
pub(super) struct Membership {
    before: Option<(Weak<Members>, usize)>,
}

impl Membership {
    pub(super) fn new(set: Weak<Members>, index: usize) -> Self {
        Self { before: MEMBERSHIP.replace(Some((set, index))) }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let before = self.before.take();
        let _ = MEMBERSHIP.try_with(|membership| membership.replace(before));
    }
}

/// A thread may take this much longer than its deadline: its last poll, and destructors.
const GRACE: Duration = Duration::from_secs(1);
