//! Blocking work: on threads of its own, whose number is bounded, and which survive what the work does.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use quoit_runtime::{blocking, spawn, spawn_blocking};
use quoit_testkit::{ManualWaker, threads};
use support::{LONG, alone, end_idle, in_a_process_of_its_own, runtime};

/// Where nothing comes within this time, nothing will.
const A_WHILE: Duration = Duration::from_secs(5);

#[test]
fn two_hundred_jobs_at_once_all_answer_on_a_bounded_number_of_threads() {
    let alone = alone();
    let runtime = runtime();
    let before = threads();
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let sum: usize = runtime.block_on(async {
        let jobs: Vec<_> = (0..200)
            .map(|number| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                spawn(blocking::run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    number
                }))
            })
            .collect();
        let mut sum = 0;
        for job in jobs {
            sum += job.await.expect("no panic");
        }
        sum
    });
    assert_eq!((sum, running.load(Ordering::SeqCst)), ((0..200).sum(), 0));
    assert!(most.load(Ordering::SeqCst) <= 200);
    assert!(threads() <= before + 200 + 2, "{before} threads became {}", threads());
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_full_pool_queues_and_what_is_queued_can_be_aborted() {
    let alone = alone();
    // The pool is the process's: no other test is to have used it before.
    in_a_process_of_its_own("a_full_pool_queues_and_what_is_queued_can_be_aborted", || {
        const CAP: usize = 512;
        const QUEUED: usize = 20;
        let (begun, begins) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().expect("no panic");
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut jobs: Vec<_> = (0..CAP + QUEUED)
            .map(|number| {
                let (begun, gate) = (begun.clone(), Arc::clone(&gate));
                let dropped = Arc::clone(&dropped);
                let count = support::OnDrop(move || _ = dropped.fetch_add(1, Ordering::SeqCst));
                spawn_blocking(move || {
                    begun.send(number).expect("the test listens");
                    drop(gate.lock());
                    drop(count);
                    number
                })
            })
            .collect();
        let running = (0..CAP).map(|_| begins.recv_timeout(LONG).expect("each thread takes one"));
        assert_eq!(running.max(), Some(CAP - 1), "first come, first served");
        assert!(threads() <= CAP + 8, "{} threads", threads());
        // Every second one of those that wait is aborted: it ends at once, and what it had captured is gone.
        let aborted: Vec<_> = (CAP..CAP + QUEUED).step_by(2).collect();
        for number in &aborted {
            let handle = jobs[*number].abort_handle();
            handle.abort();
            assert!(jobs[*number].is_finished() && handle.id() == jobs[*number].id());
        }
        assert_eq!(dropped.load(Ordering::SeqCst), aborted.len());
        // One that runs goes on to its end.
        jobs[0].abort();
        assert!(!jobs[0].is_finished());
        drop(closed);
        for (number, job) in jobs.drain(..).enumerate() {
            match job.join_blocking() {
                Ok(answer) => assert_eq!(answer, number),
                Err(error) => assert!(error.is_cancelled() && aborted.contains(&number), "{number}: {error}"),
            }
        }
        assert_eq!(dropped.load(Ordering::SeqCst), CAP + QUEUED);
        assert_eq!(begins.try_iter().count(), QUEUED - aborted.len());
    });
    alone.end();
}

#[test]
fn a_panic_of_blocking_work_is_a_join_error() {
    let alone = alone();
    let error = spawn_blocking(|| -> u8 { panic!("at work") }).join_blocking().expect_err("it panicked");
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"at work"));
    let runtime = runtime();
    runtime.block_on(async {
        let error = spawn_blocking(|| -> u8 { panic!("again") }).await.expect_err("it panicked");
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(spawn_blocking(|| 3).await.expect("no panic"), 3);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_of_the_work_goes_on_where_it_is_awaited() {
    let alone = alone();
    let runtime = runtime();
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(blocking::run(|| panic!("at work")))));
    assert_eq!(result.expect_err("it panicked").downcast_ref::<&str>(), Some(&"at work"));
    assert_eq!(runtime.block_on(blocking::run(|| 3)), 3);
    end_idle(runtime);
    alone.end();
}

#[test]
fn work_whose_future_is_dropped_is_done_and_its_result_dropped() {
    let alone = alone();
    let runtime = runtime();
    let (sender, receiver) = mpsc::channel::<u32>();
    struct Tell(mpsc::Sender<u32>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.send(1);
        }
    }
    let (go, wait) = mpsc::channel::<()>();
    let waker = ManualWaker::new();
    {
        let mut job = pin!(blocking::run(move || {
            wait.recv().expect("told below");
            Tell(sender)
        }));
        assert!(job.as_mut().poll(&mut Context::from_waker(&waker.waker())).is_pending());
    }
    go.send(()).expect("it waits");
    assert_eq!(receiver.recv_timeout(LONG), Ok(1));
    assert_eq!(receiver.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    end_idle(runtime);
    alone.end();
}

/// A pool that loses a thread to each such result has none left in the end.
#[test]
fn results_whose_destructors_panic_take_no_thread_of_the_pool_along() {
    let alone = alone();
    // Where it fails, no other test would get a thread any more.
    in_a_process_of_its_own("results_whose_destructors_panic_take_no_thread_of_the_pool_along", || {
        tell_panics_in_a_line();
        const BOMBS: usize = 150;
        struct Bomb(mpsc::Sender<()>);
        impl Drop for Bomb {
            fn drop(&mut self) {
                let _ = self.0.send(());
                panic!("the destructor of a result nobody waits for");
            }
        }
        let (sender, receiver) = mpsc::channel();
        // None ends before its future is dropped: it is the pool's thread that drops the result.
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().expect("no panic");
        for _ in 0..BOMBS {
            let (bomb, gate) = (Bomb(sender.clone()), Arc::clone(&gate));
            drop(blocking::run(move || {
                drop(gate.lock());
                bomb
            }));
        }
        drop(closed);
        let dropped = (0..BOMBS).take_while(|_| receiver.recv_timeout(A_WHILE).is_ok()).count();
        let (answer, answers) = mpsc::channel();
        drop(blocking::run(move || answer.send(7)));
        assert_eq!(answers.recv_timeout(A_WHILE), Ok(7), "no thread is left after {dropped} of {BOMBS}");
        assert_eq!(dropped, BOMBS);
    });
    alone.end();
}

#[test]
fn wakers_that_panic_take_no_thread_of_the_pool_along() {
    let alone = alone();
    in_a_process_of_its_own("wakers_that_panic_take_no_thread_of_the_pool_along", || {
        tell_panics_in_a_line();
        struct Panics;
        impl std::task::Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("a waker panics on the pool's thread");
            }
        }
        let waker = std::task::Waker::from(Arc::new(Panics));
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().expect("no panic");
        let mut jobs: Vec<_> = (0..150)
            .map(|_| {
                let gate = Arc::clone(&gate);
                Box::pin(blocking::run(move || drop(gate.lock())))
            })
            .collect();
        for job in &mut jobs {
            assert!(job.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(closed);
        let (answer, answers) = mpsc::channel();
        drop(blocking::run(move || answer.send(7)));
        assert_eq!(answers.recv_timeout(A_WHILE), Ok(7), "no thread is left");
    });
    alone.end();
}

#[test]
fn a_result_that_came_first_needs_no_wake() {
    let alone = alone();
    let waker = ManualWaker::new();
    let (sender, receiver) = mpsc::channel::<()>();
    struct Last(Option<mpsc::Sender<()>>);
    let mut job = pin!(blocking::run(move || {
        drop(Last(Some(sender)).0.take());
        5
    }));
    assert!(receiver.recv_timeout(LONG).is_err());
    let answer = loop {
        if let Poll::Ready(answer) = waker.poll(job.as_mut()) {
            break answer;
        }
        std::thread::yield_now();
    };
    assert_eq!(answer, 5);
    alone.end();
}

/// No backtraces: a thread that writes one has files open, and the others' descriptors are counted meanwhile.
fn tell_panics_in_a_line() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}
