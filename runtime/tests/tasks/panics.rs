use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;

use quoit_runtime::op::{self, Nop};
use quoit_runtime::{metrics, spawn, task};

use crate::support::{self, OnDrop, alone, end_idle, runtime, turns_until};

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[test]
fn a_panic_in_poll_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let other = spawn(async {
            for _ in 0..10 {
                op::submit(Nop::new()).await.expect("a nop");
            }
            7
        });
        let detached = spawn(async { panic!("nobody joins this one") });
        drop(detached);
        let error = spawn(async { panic!("in poll") }).await.expect_err("it panicked");
        assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"in poll"));
        assert_eq!(other.await.expect("goes on"), 7);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_in_the_destructor_of_a_future_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        // At its end; when it is aborted; when its own code has panicked before.
        let bomb = Bomb("at the end");
        let ended = spawn(poll_fn(move |_| {
            let _here = &bomb;
            Poll::Ready(())
        }));
        assert!(ended.await.expect_err("it panicked").is_panic());
        let bomb = Bomb("when aborted");
        let aborted = spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        task::yield_now().await;
        aborted.abort();
        assert!(aborted.await.expect_err("it panicked").is_panic());
        let bomb = Bomb("after a panic");
        let both = spawn(poll_fn(move |_| -> Poll<()> {
            let _here = &bomb;
            panic!("in poll")
        }));
        assert_eq!(both.await.expect_err("it panicked").into_panic().downcast_ref::<&str>(), Some(&"in poll"));
        assert_eq!(metrics().tasks, 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_in_the_destructor_of_a_detached_output_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        drop(spawn(async { Bomb("a detached output") }));
        assert!(spawn(async { 1 }).await.is_ok());
        turns_until(|| metrics().tasks == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn panics_in_the_destructors_of_a_future_and_of_its_output_stay_in_their_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let bomb = Bomb("the future");
        let task = spawn(poll_fn(move |_| {
            let _here = &bomb;
            Poll::Ready(Bomb("its output"))
        }));
        let error = task.await.map(std::mem::forget).expect_err("it panicked");
        assert!(error.is_panic());
        assert_eq!(metrics().tasks, 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_payload_whose_destructor_panics_stays_in_its_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        // Nobody joins: the payload is dropped by the executor.
        drop(spawn(async { std::panic::panic_any(Bomb("a payload")) }));
        turns_until(|| metrics().tasks == 0).await;
        // The destructor of the future has a payload of its own, which nobody will ever see.
        struct PanicsAny;
        impl Drop for PanicsAny {
            fn drop(&mut self) {
                std::panic::panic_any(Bomb("a second payload"));
            }
        }
        let guard = PanicsAny;
        let task = spawn(poll_fn(move |_| -> Poll<()> {
            let _here = &guard;
            panic!("first")
        }));
        assert!(task.await.expect_err("it panicked").is_panic());
        assert_eq!(metrics().tasks, 0);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_of_block_ons_future_leaves_the_runtime_usable() {
    let alone = alone();
    let runtime = runtime();
    let (read, feed) = support::pipe();
    for _ in 0..10 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _reading = op::submit(op::PollOnce::readable(read.clone()));
                drop(spawn(async { task::yield_now().await }));
                task::yield_now().await;
                panic!("in block_on")
            })
        }));
        assert_eq!(result.expect_err("it panicked").downcast_ref::<&str>(), Some(&"in block_on"));
        assert_eq!(runtime.block_on(async { spawn(async { 3 }).await.expect("no panic") }), 3);
    }
    runtime.block_on(turns_until(|| metrics().operations == 0 && metrics().tasks == 0));
    drop((read, feed));
    end_idle(runtime);
    alone.end();
}

#[test]
fn destructors_that_run_while_a_task_or_block_on_unwinds_may_use_the_runtime() {
    let alone = alone();
    let runtime = runtime();
    let ran = Rc::new(Cell::new(0));
    // Spawns a task, starts an operation and drops it, aborts a task.
    let guard = || {
        let ran = Rc::clone(&ran);
        OnDrop(move || {
            let ran = Rc::clone(&ran);
            drop(spawn(async move {
                op::submit(Nop::new()).await.expect("a nop");
                ran.set(ran.get() + 1);
            }));
            drop(op::submit(Nop::new()));
            drop(spawn(pending::<()>()).abort_on_drop());
        })
    };
    for round in 1..=5 {
        let (in_task, in_root) = (guard(), guard());
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _in_root = in_root;
                let task = spawn(async move {
                    let _in_task = in_task;
                    task::yield_now().await;
                    panic!("in a task")
                });
                let error = task.await.map(|(): ()| ()).expect_err("it panicked");
                assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"in a task"));
                panic!("in block_on")
            })
        }));
        assert_eq!(result.expect_err("it panicked").downcast_ref::<&str>(), Some(&"in block_on"));
        runtime.block_on(turns_until(|| metrics().operations == 0 && metrics().tasks == 0));
        assert_eq!(ran.get(), 2 * round);
    }
    end_idle(runtime);
    alone.end();
}
