//! Threads with runtimes of their own: what they are given is done, they end, and nothing is left of them.

mod support;

use std::cell::Cell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use quoit_runtime::op::{self, ReadAt};
use quoit_runtime::{Runtime, ShutdownReport, Workers, block_on, spawn, spawn_blocking, task, thread};
use support::{LONG, OnDrop, alone, in_a_process_of_its_own, pipe};

const _: () = {
    const fn send_sync_clone<T: Send + Sync + Clone>() {}
    send_sync_clone::<Workers>();
};

fn workers(threads: usize) -> Workers {
    Workers::builder().threads(threads).build().expect("this machine has io_uring")
}

/// Looks until this many threads with runtimes of their own are there: the last steps of one that ends take a moment. Others
/// come and go, such as those of the test harness and of the pool for blocking work.
#[track_caller]
fn assert_threads(expected: usize) {
    let own = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("proc");
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| ["quoit\n", "quoit-worker-", "set-"].iter().any(|own| name.starts_with(own))).count()
    };
    let start = Instant::now();
    while own() != expected {
        assert!(start.elapsed() < LONG, "{} threads instead of {expected}", own());
        std::thread::yield_now();
    }
}

#[track_caller]
fn shut_down(workers: Workers) -> ShutdownReport {
    let report = workers.shutdown(LONG);
    assert!(report.is_clean(), "{report}");
    assert!(report.elapsed < LONG, "{report}");
    report
}

#[test]
fn a_thread_runs_its_future_and_ends_with_it() {
    let alone = alone();
    let dropped = Arc::new(AtomicUsize::new(0));
    let thread = thread::spawn({
        let dropped = Arc::clone(&dropped);
        move || async move {
            // A task that is left when the future has ended is dropped before the handle answers.
            let count = OnDrop(move || _ = dropped.fetch_add(1, Ordering::SeqCst));
            drop(spawn(async move {
                let _count = count;
                pending::<()>().await;
            }));
            task::yield_now().await;
            Rc::new(Cell::new(42)).get()
        }
    });
    assert_eq!(thread.join().expect("no panic"), 42);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert_threads(0);

    let thread = thread::spawn(|| async { panic!("on its thread") });
    let (handle, stop) = (thread.handle(), thread.abort_handle());
    assert_eq!(stop.id(), thread.id());
    let error = block_on(thread).expect_err("it panicked");
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"on its thread"));
    assert!(handle.is_closed());
    stop.abort();

    let endless = thread::spawn(pending::<u8>);
    assert!(!endless.is_finished());
    assert_eq!(block_on(endless.cancel()), None);
    let (sender, ended) = mpsc::channel::<()>();
    let scoped = thread::spawn(move || async move {
        let _sender = sender;
        pending::<()>().await;
    });
    drop(scoped.abort_on_drop());
    assert_eq!(ended.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_threads(0);
    alone.end();
}

#[test]
fn a_thread_whose_runtime_is_refused_is_an_error() {
    let alone = alone();
    let mut builder = thread::Builder::new();
    builder.name("refused").stack_size(256 << 10).runtime(Runtime::builder().poll_budget(0));
    let error = builder.spawn(|| async {}).map(|_| ()).expect_err("no task would ever run");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_threads(0);
    let error = Workers::builder().threads(3).runtime(Runtime::builder().poll_budget(0)).build().expect_err("likewise");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(Workers::builder().threads(0).build().expect_err("none").kind(), std::io::ErrorKind::InvalidInput);
    assert_threads(0);
    alone.end();
}

#[test]
fn each_worker_does_what_it_is_given_and_knows_its_set() {
    let alone = alone();
    let workers = workers(3);
    assert_eq!(workers.len(), 3);
    assert_threads(3);
    assert!(Workers::current().is_none() && Workers::current_index().is_none());
    let places = workers.broadcast(|index| async move {
        let set = Workers::current().expect("this is a worker");
        assert!(set.handle(index) == quoit_runtime::Handle::current());
        (index, Workers::current_index(), set.len(), std::thread::current().name().map(str::to_owned))
    });
    let places: Vec<_> = places.into_iter().map(|place| place.join_blocking().expect("no panic")).collect();
    let expected = (0..3).map(|index| (index, Some(index), 3, Some(format!("quoit-worker-{index}"))));
    assert_eq!(places, expected.collect::<Vec<_>>());
    let there = workers.spawn_on(2, || async { Workers::current_index() }).join_blocking().expect("no panic");
    assert_eq!(there, Some(2));
    let outside = catch_unwind(AssertUnwindSafe(|| drop(workers.spawn_on(3, || async {}))));
    assert!(outside.is_err(), "there is no fourth");
    // A panic harms nobody else.
    let panicked = workers.spawn_on(1, || async { panic!("on a worker") }).join_blocking();
    assert!(panicked.expect_err("it panicked").is_panic());
    assert_eq!(workers.spawn_on(1, || async { 5 }).join_blocking().expect("goes on"), 5);
    let report = shut_down(workers);
    assert_eq!((report.tasks_dropped, report.operations_cancelled), (0, 0), "{report}");
    assert_threads(0);
    alone.end();
}

#[test]
fn work_goes_to_the_worker_with_the_fewest_tasks() {
    let alone = alone();
    let workers = workers(3);
    let (sender, indexes) = mpsc::channel();
    // The first worker gets five by itself, behind the back of the set.
    let (busy, told) = mpsc::channel::<()>();
    workers
        .spawn_on(0, move || async move {
            (0..5).for_each(|_| drop(spawn(pending::<()>())));
            drop(busy);
        })
        .join_blocking()
        .expect("no panic");
    assert!(told.recv().is_err());
    // Its next turn tells.
    while workers.handle(0).tasks() != 5 {
        std::thread::yield_now();
    }
    for _ in 0..8 {
        let sender = sender.clone();
        drop(workers.spawn(move || async move {
            sender.send(Workers::current_index().expect("a worker")).expect("the test waits");
            pending::<()>().await;
        }));
    }
    let mut counts = [0; 3];
    (0..8).for_each(|_| counts[indexes.recv_timeout(LONG).expect("each begins")] += 1);
    assert_eq!(counts, [0, 4, 4]);
    assert_eq!(format!("{workers:?}"), "Workers { tasks: [5, 4, 4], .. }");
    assert_eq!(shut_down(workers).tasks_dropped, 13);
    alone.end();
}

#[test]
fn a_shutdown_with_work_in_flight_ends_and_reports_it() {
    let alone = alone();
    let workers = workers(2);
    let dropped = Arc::new(AtomicUsize::new(0));
    let (begun, begins) = mpsc::channel();
    let tasks: Vec<_> = (0..10)
        .map(|number| {
            let (begun, dropped) = (begun.clone(), Arc::clone(&dropped));
            workers.spawn_on(number % 2, move || async move {
                let _count = OnDrop(move || _ = dropped.fetch_add(1, Ordering::SeqCst));
                // A read that nothing ever comes for.
                let (read, _write) = pipe();
                begun.send(()).expect("the test waits");
                let _ = op::submit(ReadAt::new(read, Vec::<u8>::with_capacity(16), u64::MAX)).await;
            })
        })
        .collect();
    (0..10).for_each(|_| begins.recv_timeout(LONG).expect("each begins"));
    let others = workers.clone();
    let report = shut_down(workers);
    assert_eq!(report.tasks_dropped, 10, "{report}");
    assert_eq!(dropped.load(Ordering::SeqCst), 10);
    assert_threads(0);
    for task in tasks {
        assert!(task.join_blocking().expect_err("it had no end").is_cancelled());
    }
    // Another handle of the set finds it ended.
    assert!(others.spawn(|| async {}).join_blocking().expect_err("nobody is there").is_cancelled());
    assert_eq!(shut_down(others).tasks_dropped, 0);
    alone.end();
}

#[test]
fn a_worker_that_never_comes_back_is_left_behind_and_told() {
    let alone = alone();
    in_a_process_of_its_own("a_worker_that_never_comes_back_is_left_behind_and_told", || {
        let workers = workers(2);
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().expect("no panic");
        let (begun, begins) = mpsc::channel();
        let stuck = workers.spawn_on(1, {
            let gate = Arc::clone(&gate);
            move || async move {
                begun.send(()).expect("the test waits");
                drop(gate.lock());
            }
        });
        begins.recv_timeout(LONG).expect("it begins");
        let report = workers.shutdown(Duration::from_millis(1));
        assert_eq!((report.threads_left, report.is_clean()), (1, false), "{report}");
        assert!(report.to_string().contains("1 threads did not end in time"), "{report}");
        drop(closed);
        stuck.join_blocking().expect("it ends after all");
        assert_threads(0);
    });
    alone.end();
}

#[test]
fn the_last_handle_of_a_set_ends_it_wherever_it_is_dropped() {
    let alone = alone();
    // Outside: the threads are gone when the drop returns.
    let set = workers(2);
    let clone = set.clone();
    drop(set);
    assert_threads(2);
    drop(clone);
    assert_threads(0);
    // On a thread of the set, which cannot wait for itself.
    let set = workers(2);
    let handle = set.handle(0);
    let (sender, receiver) = mpsc::channel::<()>();
    drop(set.spawn_on(1, {
        let set = set.clone();
        move || async move {
            receiver.recv().expect_err("the other handle is dropped");
            drop(set);
        }
    }));
    drop(set);
    drop(sender);
    assert_threads(0);
    assert!(handle.is_closed());
    alone.end();
}

#[test]
fn a_set_cannot_be_shut_down_by_a_thread_of_its_own() {
    let alone = alone();
    let set = workers(1);
    let task = set.spawn_on(0, || async {
        let set = Workers::current().expect("a worker");
        catch_unwind(AssertUnwindSafe(|| drop(set.shutdown(Duration::ZERO)))).is_err()
    });
    assert!(task.join_blocking().expect("the panic was caught"));
    // But by another runtime's, on a thread where it may block.
    let report = block_on(async move { spawn_blocking(move || set.shutdown(LONG)).await.expect("no panic") });
    assert!(report.is_clean(), "{report}");
    alone.end();
}

#[test]
fn the_first_of_a_set_can_be_the_calling_thread() {
    let alone = alone();
    let here = std::thread::current().id();
    let kept = Workers::builder()
        .threads(3)
        .name("set")
        .block_on(async {
            let set = Workers::current().expect("the first of a set");
            assert_eq!((set.len(), Workers::current_index()), (3, Some(0)));
            assert_threads(2);
            let first = set.spawn_on(0, || async { std::thread::current().id() });
            assert_eq!(first.await.expect("no panic"), here);
            let mut names = Vec::new();
            for task in
                set.broadcast(|_| async { std::thread::current().name().map(str::to_owned) }).into_iter().skip(1)
            {
                names.push(task.await.expect("no panic"));
            }
            assert_eq!(names, [Some("set-1".to_owned()), Some("set-2".to_owned())]);
            drop(set.spawn_on(2, pending::<()>));
            set
        })
        .expect("this machine has io_uring");
    // Whoever still holds the set, its threads are gone.
    assert_threads(0);
    assert!(Workers::current().is_none());
    assert!((0..3).all(|index| kept.handle(index).is_closed()));
    // A panic of the future ends the others as well.
    let panicking = AssertUnwindSafe(|| Workers::builder().threads(2).block_on(async { panic!("in the first") }));
    assert!(catch_unwind(panicking).is_err());
    assert_threads(0);
    alone.end();
}

#[test]
fn pinned_workers_are_each_on_one_cpu_and_what_they_start_is_not() {
    let alone = alone();
    in_a_process_of_its_own("pinned_workers_are_each_on_one_cpu_and_what_they_start_is_not", || {
        let allowed = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("proc");
            let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a line");
            line.trim().to_owned()
        };
        let all = allowed();
        let set = Workers::builder().threads(3).pin(true).build().expect("this machine has io_uring");
        let pinned = set.broadcast(move |_| async move {
            let blocking = spawn_blocking(allowed).await.expect("no panic");
            let thread = thread::spawn(move || async move { allowed() }).await.expect("no panic");
            (allowed(), blocking, thread)
        });
        for task in pinned {
            let (own, blocking, thread) = task.join_blocking().expect("no panic");
            own.parse::<usize>().expect("one CPU only");
            assert_eq!((&blocking, &thread), (&all, &all));
        }
        assert_eq!(allowed(), all);
        drop(set);
        // The calling thread gets back what it had.
        let inside = Workers::builder().threads(2).pin(true).block_on(async { allowed() }).expect("a ring");
        inside.parse::<usize>().expect("one CPU only");
        assert_eq!(allowed(), all);
    });
    alone.end();
}

#[test]
fn workers_that_end_while_others_give_them_work_refuse_it_and_hang_nobody() {
    let alone = alone();
    for _ in 0..5 {
        let set = workers(2);
        let stop = Arc::new(AtomicBool::new(false));
        let givers: Vec<_> = (0..2)
            .map(|_| {
                let (set, stop) = (set.clone(), Arc::clone(&stop));
                std::thread::spawn(move || {
                    let (mut done, mut refused) = (0_u64, 0_u64);
                    while !stop.load(Ordering::Acquire) {
                        let burst: Vec<_> = (0..32).map(|_| set.spawn(task::yield_now)).collect();
                        for work in burst {
                            match work.join_blocking() {
                                Ok(()) => done += 1,
                                Err(error) => {
                                    assert!(error.is_cancelled());
                                    refused += 1;
                                }
                            }
                        }
                    }
                    (done, refused)
                })
            })
            .collect();
        // They are at work.
        while set.handle(0).tasks() == 0 {
            std::thread::yield_now();
        }
        shut_down(set);
        stop.store(true, Ordering::Release);
        for giver in givers {
            let (done, refused) = giver.join().expect("no panic");
            assert_eq!((done + refused) % 32, 0);
        }
    }
    alone.end();
}
