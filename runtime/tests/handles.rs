//! Work that one thread gives to the runtime of another: it is done, or its handle says why not; nobody ever hangs.

mod support;

use std::cell::Cell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;

use quoit_runtime::task::{self, AbortHandle, RemoteAbortOnDrop, RemoteJoinHandle};
use quoit_runtime::thread::{self, ThreadHandle};
use quoit_runtime::{Handle, block_on, spawn};
use quoit_testkit::ManualWaker;
use support::{LONG, OnDrop, alone, end, end_idle, runtime, turns_until};

/// A runtime on a thread of its own, which does what it is given.
fn elsewhere() -> (Handle, ThreadHandle<()>) {
    let thread = thread::spawn(pending::<()>);
    (thread.handle(), thread)
}

/// Ends it, and everything that it has.
fn end_elsewhere(thread: ThreadHandle<()>) {
    let handle = thread.handle();
    thread.abort();
    assert!(thread.join().expect_err("it was aborted").is_cancelled());
    assert!(handle.is_closed() && handle.tasks() == 0);
}

/// Counts the drops of what it is captured in.
fn counted(count: &Arc<AtomicUsize>) -> OnDrop<impl FnMut() + Send + use<>> {
    let count = Arc::clone(count);
    OnDrop(move || _ = count.fetch_add(1, Ordering::SeqCst))
}

const _: () = {
    const fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Handle>();
    send_and_sync::<AbortHandle>();
    send_and_sync::<RemoteJoinHandle<Cell<u8>>>();
    send_and_sync::<RemoteAbortOnDrop<Cell<u8>>>();
    send_and_sync::<ThreadHandle<Cell<u8>>>();
};

#[test]
fn work_from_plain_threads_is_done_on_the_runtimes_thread() {
    let alone = alone();
    let thread = thread::spawn(pending::<()>);
    let handle = thread.handle();
    let there = handle.spawn(|| async { std::thread::current().id() }).join_blocking().expect("no panic");
    let threads: Vec<_> = (0..4_u64)
        .map(|number| {
            let handle = handle.clone();
            std::thread::spawn(move || {
                let jobs = (0..100_u64).map(|job| {
                    handle.spawn(move || async move {
                        // Nothing here is Send.
                        let count = Rc::new(Cell::new(number * 100 + job));
                        let inside = Rc::clone(&count);
                        spawn(async move { inside.set(inside.get() + 1) }).await.expect("no panic");
                        (std::thread::current().id(), count.get())
                    })
                });
                jobs.collect::<Vec<_>>()
                    .into_iter()
                    .map(|job| job.join_blocking().expect("no panic"))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
    assert!(answers.iter().all(|(thread, _)| *thread == there));
    assert_eq!(answers.into_iter().map(|(_, answer)| answer).collect::<Vec<_>>(), (1..=400).collect::<Vec<_>>());
    end_elsewhere(thread);
    alone.end();
}

#[test]
fn panics_of_the_closure_and_of_its_future_arrive_at_the_handle() {
    let alone = alone();
    let (handle, thread) = elsewhere();
    let closure = handle.spawn(|| -> std::future::Ready<u8> { panic!("in the closure") });
    let future = handle.spawn(|| async { panic!("in the future") });
    let error = closure.join_blocking().expect_err("it panicked");
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"in the closure"));
    let error = block_on(future).expect_err("it panicked");
    assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"in the future"));
    assert_eq!(handle.spawn(|| async { 7 }).join_blocking().expect("goes on"), 7);
    end_elsewhere(thread);
    alone.end();
}

#[test]
fn work_for_a_runtime_that_is_gone_or_ends_before_it_began_is_cancelled() {
    let alone = alone();
    let dropped = Arc::new(AtomicUsize::new(0));
    let runtime = runtime();
    let handle = runtime.handle();
    assert!(handle == runtime.handle() && !handle.is_closed());
    let unread: Vec<_> = (0..10)
        .map(|_| {
            let count = counted(&dropped);
            handle.spawn(move || async move { drop(count) })
        })
        .collect();
    assert!(unread.iter().all(|work| !work.is_finished()));
    assert_eq!(handle.tasks(), 10);
    // One is waited for while it is refused.
    let (mut unread, last) = (
        unread,
        std::thread::spawn({
            let work = handle.spawn(|| async {});
            move || work.join_blocking()
        }),
    );
    assert_eq!(end(runtime).tasks_dropped, 0);
    assert!(last.join().expect("no panic").expect_err("it never began").is_cancelled());
    assert_eq!(dropped.load(Ordering::SeqCst), 10);
    assert!(handle.is_closed() && handle.tasks() == 0);
    // Another runtime lives in that place now.
    let next = support::runtime();
    assert!(handle != next.handle());
    let count = counted(&dropped);
    unread.push(handle.spawn(move || async move { drop(count) }));
    assert_eq!(dropped.load(Ordering::SeqCst), 11, "refused at once");
    next.block_on(async {
        for work in unread {
            assert!(work.is_finished());
            assert!(work.await.expect_err("it never began").is_cancelled());
        }
    });
    assert_eq!(next.metrics().polls, 0);
    end_idle(next);
    alone.end();
}

#[test]
fn tasks_given_from_outside_end_as_cancelled_with_their_runtime() {
    let alone = alone();
    let (handle, thread) = elsewhere();
    let dropped = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let count = counted(&dropped);
            handle.spawn(move || async move {
                let _count = count;
                pending::<()>().await;
            })
        })
        .collect();
    // They have all begun when one that came later has ended.
    handle.spawn(|| async {}).join_blocking().expect("no panic");
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    end_elsewhere(thread);
    assert_eq!(dropped.load(Ordering::SeqCst), 10);
    for task in tasks {
        assert!(task.is_finished());
        assert!(task.join_blocking().expect_err("it had no end").is_cancelled());
    }
    alone.end();
}

#[test]
fn abort_ends_work_on_its_way_and_at_work_and_is_too_late_afterwards() {
    let alone = alone();
    let dropped = Arc::new(AtomicUsize::new(0));
    // On its way: nobody has looked yet.
    let runtime = runtime();
    let count = counted(&dropped);
    let on_its_way = runtime.handle().spawn(move || async move { drop(count) });
    let handle = on_its_way.abort_handle();
    assert_eq!(handle.id(), on_its_way.id());
    handle.clone().abort();
    assert!(on_its_way.is_finished());
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    // At work: it begins in the first turn, and never ends by itself.
    let polls = Arc::new(AtomicUsize::new(0));
    let (count, counting) = (counted(&dropped), Arc::clone(&polls));
    let at_work = runtime.handle().spawn(move || async move {
        let _count = count;
        counting.fetch_add(1, Ordering::SeqCst);
        pending::<u8>().await
    });
    runtime.block_on(async {
        assert!(on_its_way.await.expect_err("it never began").is_cancelled());
        turns_until(|| polls.load(Ordering::SeqCst) == 1).await;
        assert!(!at_work.is_finished());
        let aborting = at_work.abort_handle();
        std::thread::spawn(move || aborting.abort()).join().expect("no panic");
        assert!(at_work.await.expect_err("it had no end").is_cancelled());
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
        // Ended.
        let ended = Handle::current().spawn(|| async { 5 });
        turns_until(|| ended.is_finished()).await;
        ended.abort();
        assert_eq!(ended.cancel().await, Some(5));
        // Cancelled, and the guard.
        assert_eq!(Handle::current().spawn(pending::<u8>).cancel().await, None);
        let count = counted(&dropped);
        let scoped = Handle::current()
            .spawn(move || async move {
                let _count = count;
                pending::<()>().await;
            })
            .abort_on_drop();
        task::yield_now().await;
        assert!(!scoped.is_finished());
        drop(scoped);
        turns_until(|| dropped.load(Ordering::SeqCst) == 3).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn detached_work_goes_on_and_its_output_is_dropped_where_it_ends() {
    let alone = alone();
    let (handle, thread) = elsewhere();
    let (sender, receiver) = mpsc::channel();
    drop(handle.spawn(move || async move {
        task::yield_now().await;
        OnDrop(move || sender.send(std::thread::current().id()).expect("the test waits"))
    }));
    let there = receiver.recv_timeout(LONG).expect("it went on");
    assert_eq!(there, handle.spawn(|| async { std::thread::current().id() }).join_blocking().expect("no panic"));
    // An output that is there already is dropped with the handle; an abort handle keeps none.
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = counted(&dropped);
    let ended = handle.spawn(move || async move { count });
    handle.spawn(|| async {}).join_blocking().expect("no panic");
    assert!(ended.is_finished());
    let keeping = ended.abort_handle();
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(ended);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    keeping.abort();
    end_elsewhere(thread);
    alone.end();
}

#[test]
fn a_remote_handle_wakes_whoever_polled_it_last_on_whatever_executor() {
    let alone = alone();
    let (handle, thread) = elsewhere();
    let (go, wait) = mpsc::channel::<()>();
    let mut work = pin!(handle.spawn(move || async move { wait.recv().expect("told below") }));
    let (first, last) = (ManualWaker::new(), ManualWaker::new());
    assert!(first.poll(work.as_mut()).is_pending());
    assert!(last.poll(work.as_mut()).is_pending());
    assert!(last.poll(work.as_mut()).is_pending());
    go.send(()).expect("it waits");
    // What is given later ends later.
    handle.spawn(|| async {}).join_blocking().expect("no panic");
    assert_eq!((first.count(), last.count()), (0, 1));
    assert!(matches!(first.poll(work.as_mut()), Poll::Ready(Ok(()))));
    let again = catch_unwind(AssertUnwindSafe(|| first.poll(work.as_mut())));
    assert!(again.is_err(), "polled after it had completed");
    end_elsewhere(thread);
    alone.end();
}

#[test]
fn joining_by_blocking_inside_of_a_runtime_panics() {
    let alone = alone();
    let runtime = runtime();
    let work = runtime.handle().spawn(|| async {});
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { work.join_blocking() })));
    let payload = result.expect_err("it would have stood still");
    assert!(payload.downcast_ref::<&str>().expect("a text").contains("await the handle"));
    runtime.block_on(task::yield_now());
    end_idle(runtime);
    alone.end();
}

/// Neither waits for the other, so neither can stop the other.
#[test]
fn two_runtimes_that_flood_each_other_with_work_both_do_all_of_it() {
    const WORK: usize = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let alone = alone();
    let ((left, left_thread), (right, right_thread)) = (elsewhere(), elsewhere());
    let done = Arc::new(AtomicUsize::new(0));
    let flood = |target: Handle| {
        let done = Arc::clone(&done);
        move || async move {
            let mut last = None;
            for _ in 0..WORK {
                let done = Arc::clone(&done);
                last = Some(target.spawn(move || async move { _ = done.fetch_add(1, Ordering::Relaxed) }));
            }
            last.expect("there was some").await
        }
    };
    let floods = [left.spawn(flood(right.clone())), right.spawn(flood(left.clone()))];
    for flood in floods {
        flood.join_blocking().expect("no panic").expect("no panic");
    }
    assert_eq!(done.load(Ordering::Relaxed), 2 * WORK);
    end_elsewhere(left_thread);
    end_elsewhere(right_thread);
    alone.end();
}
