//! Threads for what cannot be done without blocking, and the way back from them.
//!
//! ```text
//!     a kernel             a crew                    the kernel's thread
//!     Job: queued  ------> taken: running  --------> mailbox, bell -> its completion
//!          | cancelled: nobody will run it
//! ```
//!
//! There are two crews in a process, as the kernel has two kinds of workers: one with few threads, for what ends by itself
//! (files), and one with many, for what may wait for other people (a terminal, a FIFO, a listener that others use).
//! Neither thread handles a signal.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crew::{Crew, Plan};
use crate::kernel::epoll::jobs;
use crate::kernel::epoll::requests::Id;
use crate::sys::sqe::RawSqe;

/// One call that a thread is to make.
#[derive(Debug)]
pub(super) struct Job {
    id: Id,
    sqe: RawSqe,
    state: AtomicU8,
    home: Arc<Mailbox>,
}

const QUEUED: u8 = 0;
const RUNNING: u8 = 1;
const CANCELLED: u8 = 2;

/// Where the threads leave their answers.
#[derive(Debug)]
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    /// There are answers. Tells the owner without a lock.
    filled: AtomicBool,
}

#[derive(Debug)]
struct Letters {
    answers: Vec<(Id, i32)>,
    /// An eventfd in the owner's epoll, until that is gone.
    bell: Option<File>,
}

impl Mailbox {
    pub(super) fn new(bell: File) -> Self {
        let letters = Letters { answers: Vec::new(), bell: Some(bell) };
        Self { letters: Mutex::new(letters), filled: AtomicBool::new(false) }
    }

    /// The owner is gone. A thread may know the mailbox for a moment longer.
    pub(super) fn close(&self) {
        let bell = lock(&self.letters).bell.take();
        drop(bell);
    }

    pub(super) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    pub(super) fn open(&self) -> Vec<(Id, i32)> {
        if !self.is_filled() {
            return Vec::new();
        }
        let mut letters = lock(&self.letters);
        self.filled.store(false, Ordering::Release);
        std::mem::take(&mut letters.answers)
    }

    fn leave(&self, id: Id, answer: i32) {
        let mut letters = lock(&self.letters);
        letters.answers.push((id, answer));
        let is_first = !self.filled.swap(true, Ordering::AcqRel);
        if let (true, Some(mut bell)) = (is_first, letters.bell.as_ref()) {
            // Its count would have to reach 2^64 for the bell to fail.
            let _ = bell.write(&1_u64.to_ne_bytes());
        }
    }
}

impl Job {
    /// Has a thread perform what the entry describes. `ends_by_itself` says that it waits for nobody.
    ///
    /// # Errors
    ///
    /// `EAGAIN`, where no thread can be had.
    pub(super) fn start(id: Id, sqe: RawSqe, home: &Arc<Mailbox>, ends_by_itself: bool) -> Result<Arc<Self>, i32> {
        let job = Arc::new(Self { id, sqe, state: AtomicU8::new(QUEUED), home: Arc::clone(home) });
        let crew = if ends_by_itself { &FILES } else { &WAITERS };
        crew.submit(Arc::clone(&job)).map_or(Err(libc::EAGAIN), |()| Ok(job))
    }

    /// Takes the job back, if no thread has begun.
    pub(super) fn cancel(&self) -> bool {
        self.state.compare_exchange(QUEUED, CANCELLED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn run(&self) {
        if self.state.compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let answer = jobs::perform(&self.sqe);
            self.home.leave(self.id, answer);
        }
    }
}

/// Threads that handle no signals.
const fn crew(most_threads: usize) -> Crew<Arc<Job>> {
    Crew::new(Plan { name: "quoit-epoll", most_threads, begin: jobs::block_signals, perform: |job| job.run() })
}

static FILES: Crew<Arc<Job>> = crew(16);
static WAITERS: Crew<Arc<Job>> = crew(512);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
