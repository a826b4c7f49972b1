use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use quoit_runtime::{spawn, task};
use quoit_testkit::ManualWaker;

use crate::support::{alone, end, end_idle, runtime, turns_until};

#[test]
fn abort_ends_a_task_at_each_stage_of_its_life() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        // Before its first poll.
        let polled = Rc::new(Cell::new(0));
        let count = || {
            let polled = Rc::clone(&polled);
            async move {
                polled.set(polled.get() + 1);
                pending::<()>().await;
            }
        };
        let task = spawn(count());
        task.abort();
        task.abort();
        assert!(task.await.expect_err("aborted").is_cancelled());
        assert_eq!(polled.get(), 0);
        // While it waits, and while it is queued.
        let waiting = spawn(count());
        task::yield_now().await;
        waiting.abort();
        assert_eq!(waiting.cancel().await, None);
        let waker = Rc::new(RefCell::new(None::<Waker>));
        let queued = spawn({
            let waker = Rc::clone(&waker);
            poll_fn(move |cx| -> Poll<()> {
                assert!(waker.borrow().is_none(), "an aborted task is not polled");
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
        });
        task::yield_now().await;
        waker.borrow().as_ref().expect("polled").wake_by_ref();
        queued.abort();
        assert!(queued.await.expect_err("aborted").is_cancelled());
        // Itself: it goes on to its next await.
        let own = Rc::new(RefCell::new(None));
        let reached = Rc::new(Cell::new(false));
        let suicide = spawn({
            let (own, reached) = (Rc::clone(&own), Rc::clone(&reached));
            async move {
                let handle: task::AbortHandle = own.borrow_mut().take().expect("set below");
                handle.abort();
                reached.set(true);
                pending::<()>().await;
                unreachable!("aborted");
            }
        });
        *own.borrow_mut() = Some(suicide.abort_handle());
        assert!(suicide.await.expect_err("aborted").is_cancelled());
        assert!(reached.get());
        // Itself, but it ends in the same poll: the output is there.
        let own = Rc::new(RefCell::new(None));
        let ends = spawn({
            let own = Rc::clone(&own);
            async move {
                let handle: task::AbortHandle = own.borrow_mut().take().expect("set below");
                handle.abort();
                5
            }
        });
        *own.borrow_mut() = Some(ends.abort_handle());
        assert_eq!(ends.await.expect("it was faster"), 5);
        // The place of that task is used again, by one that nobody has aborted.
        assert_eq!(spawn(async { task::yield_now().await }).await.map_err(|error| error.to_string()), Ok(()));
        // After its end.
        let over = spawn(async { 6 });
        let handle = over.abort_handle();
        turns_until(|| over.is_finished()).await;
        over.abort();
        handle.abort();
        assert_eq!(over.await.expect("it had ended"), 6);
        handle.abort();
        assert_eq!(spawn(async { 7 }).await.expect("another task of the same place"), 7);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_task_aborted_outside_of_block_on_before_its_first_poll_is_never_polled() {
    let alone = alone();
    let runtime = runtime();
    let polled = Rc::new(Cell::new(false));
    let task = runtime.spawn({
        let polled = Rc::clone(&polled);
        async move { polled.set(true) }
    });
    task.abort();
    let result = runtime.block_on(task);
    assert!(!polled.get(), "it was polled, although it was aborted before");
    assert!(result.expect_err("aborted").is_cancelled());
    end_idle(runtime);
    alone.end();
}

#[test]
fn abort_works_from_other_threads_and_when_the_runtime_is_gone() {
    let alone = alone();
    let runtime = runtime();
    let handle = runtime.block_on(async {
        let tasks: Vec<_> = (0..100).map(|_| spawn(pending::<()>())).collect();
        let handles: Vec<_> = tasks.iter().map(task::JoinHandle::abort_handle).collect();
        let last = handles[99].clone();
        let thread = std::thread::spawn(move || handles.iter().for_each(task::AbortHandle::abort));
        for task in tasks {
            assert!(task.await.expect_err("aborted").is_cancelled());
        }
        thread.join().expect("no panic");
        last
    });
    end_idle(runtime);
    handle.abort();
    // The next runtime has the same place, and perhaps the same inbox.
    let other = crate::support::runtime();
    other.block_on(async {
        let survivor = spawn(async {
            task::yield_now().await;
            9
        });
        std::thread::spawn(move || handle.abort()).join().expect("no panic");
        assert_eq!(survivor.await.expect("nobody aborted it"), 9);
    });
    end_idle(other);
    alone.end();
}

#[test]
fn a_handle_polled_when_the_runtime_is_gone_answers_what_became_of_the_task() {
    let alone = alone();
    let runtime = runtime();
    let (ended, waiting, queued) = runtime.block_on(async {
        let ended = spawn(async { 1 });
        turns_until(|| ended.is_finished()).await;
        (ended, spawn(pending::<u8>()), spawn(async { 2 }))
    });
    let report = end(runtime);
    assert_eq!(report.tasks_dropped, 2);
    let waker = ManualWaker::new();
    assert!(matches!(waker.poll(std::pin::pin!(ended)), Poll::Ready(Ok(1))));
    for handle in [waiting, queued] {
        handle.abort();
        assert!(handle.is_finished());
        let Poll::Ready(Err(error)) = waker.poll(std::pin::pin!(handle)) else { panic!("it was cancelled") };
        assert!(error.is_cancelled());
    }
    alone.end();
}
