//! The real code, under every interleaving that matters:
//! `RUSTFLAGS="--cfg loom" cargo test -p quoit-runtime --release --lib loom_`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use loom::thread;

use super::*;
use crate::task::RemoteJoinHandle;

struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits as `join_blocking` does; an end that wakes nobody leaves it asleep, which loom reports.
fn join<T>(handle: RemoteJoinHandle<T>) -> Result<T, JoinError> {
    let bell = Arc::new(Bell(Notify::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut handle = pin!(handle);
    loop {
        if let Poll::Ready(output) = std::future::Future::poll(handle.as_mut(), &mut Context::from_waker(&waker)) {
            return output;
        }
        bell.0.wait();
    }
}

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// Work that counts its drops and answers 7.
fn cell(drops: &Arc<AtomicUsize>) -> Arc<RemoteCell<u8>> {
    struct CountDrop(Arc<AtomicUsize>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = CountDrop(Arc::clone(drops));
    let work = move |cell: &Arc<RemoteCell<u8>>| {
        drop(count);
        cell.end(Ok(7));
    };
    RemoteCell::new(Id::next(), Location::caller(), Box::new(work))
}

#[test]
fn loom_whoever_joins_is_woken_by_the_end() {
    model(|| {
        let drops = Arc::default();
        let cell = cell(&drops);
        let queued = Queued::new(&cell);
        let worker = thread::spawn(move || queued.begin());
        assert_eq!(join(RemoteJoinHandle::new(cell)).expect("it was done"), 7);
        worker.join().expect("no panic");
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loom_work_is_either_done_or_aborted_and_the_join_learns_which() {
    model(|| {
        let drops = Arc::default();
        let cell = cell(&drops);
        let queued = Queued::new(&cell);
        let worker = thread::spawn(move || queued.begin());
        let aborting = Arc::clone(&cell);
        let other = thread::spawn(move || aborting.abort());
        match join(RemoteJoinHandle::new(cell)) {
            Ok(answer) => assert_eq!(answer, 7),
            Err(error) => assert!(error.is_cancelled()),
        }
        worker.join().expect("no panic");
        other.join().expect("no panic");
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loom_an_abort_is_not_lost_while_the_work_becomes_a_task() {
    model(|| {
        let work = |cell: &Arc<RemoteCell<u8>>| cell.became_task(NO_TASK);
        let cell = RemoteCell::new(Id::next(), Location::caller(), Box::new(work));
        let queued = Queued::new(&cell);
        let worker = thread::spawn(move || queued.begin());
        cell.abort();
        worker.join().expect("no panic");
        // Either it never began, or the task was told.
        assert!(cell.has_ended() || lock(&cell.state).aborted);
    });
}

/// The key of a task that no runtime has.
const NO_TASK: u64 = u64::MAX;

#[test]
fn loom_an_output_that_nobody_takes_is_dropped_once() {
    model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        struct Output(Arc<AtomicUsize>);
        impl Drop for Output {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let cell = RemoteCell::running(Id::next(), Location::caller());
        let (end, output) = (EndOnDrop(Arc::clone(&cell)), Output(Arc::clone(&drops)));
        let worker = thread::spawn(move || end.0.end(Ok(output)));
        drop(RemoteJoinHandle::new(Arc::clone(&cell)));
        worker.join().expect("no panic");
        // Also while somebody, such as an abort handle, keeps the cell.
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        drop(cell);
    });
}

#[test]
fn loom_work_refused_on_its_way_wakes_whoever_joins() {
    model(|| {
        let drops = Arc::default();
        let cell = cell(&drops);
        let queued = Queued::new(&cell);
        let worker = thread::spawn(move || drop(queued));
        assert!(join(RemoteJoinHandle::new(cell)).expect_err("it was refused").is_cancelled());
        worker.join().expect("no panic");
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

/// The instrument sees a planted fault: an end that tells nobody.
#[test]
#[should_panic(expected = "deadlock")]
fn loom_finds_a_join_that_is_not_woken() {
    model(|| {
        let cell = RemoteCell::<u8>::running(Id::next(), Location::caller());
        let ending = Arc::clone(&cell);
        let worker = thread::spawn(move || lock(&ending.state).stage = Stage::Ended(Ok(7)));
        assert_eq!(join(RemoteJoinHandle::new(cell)).expect("it was done"), 7);
        worker.join().expect("no panic");
    });
}
