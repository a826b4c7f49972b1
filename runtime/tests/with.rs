//! `task::with`: the tear-down runs after every end of the work, once, with the resource. And `on_complete`.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::rc::Rc;

use quoit_runtime::task::{self, Outcome, on_complete, with, yield_now};
use quoit_runtime::{metrics, spawn};
use quoit_testkit::ManualWaker;
use support::{OnDrop, alone, end, end_idle, runtime};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn push(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// A resource that tells of its end.
struct Resource {
    log: Log,
    uses: u32,
}

impl Resource {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), uses: 0 }
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        self.log.push(format!("resource dropped after {} uses", self.uses));
    }
}

/// The tear-down of these tests: it takes two yields.
async fn tear_down<T: std::fmt::Debug>(resource: Resource, outcome: Outcome<'_, T>) {
    let log = resource.log.clone();
    match outcome {
        Outcome::Finished(output) => log.push(format!("begin: {output:?}")),
        other => log.push(format!("begin: {other:?}")),
    }
    yield_now().await;
    log.push("middle");
    yield_now().await;
    drop(resource);
    log.push("end");
}

fn lines(first: &str, uses: u32) -> Vec<String> {
    [first, "middle", &format!("resource dropped after {uses} uses"), "end"].map(String::from).to_vec()
}

#[test]
fn the_tear_down_follows_the_work_and_sees_its_output() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let log = Log::default();
        // The work borrows from its surroundings.
        let mut used = 0;
        let answer = with(
            Resource::new(&log),
            async |resource| {
                yield_now().await;
                resource.uses += 1;
                used += resource.uses;
                "done"
            },
            tear_down,
        )
        .await;
        log.push(answer);
        let mut expected = lines("begin: \"done\"", 1);
        expected.push(String::from("done"));
        assert_eq!((log.take(), used), (expected, 1));

        // An error is an output.
        let failed = with(Resource::new(&log), async |_| Err::<(), _>("no"), tear_down).await;
        assert_eq!((failed, log.take()), (Err("no"), lines("begin: Err(\"no\")", 0)));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_goes_on_after_the_tear_down() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let log = Log::default();
        let task = spawn(with(
            Resource::new(&log),
            async |resource| {
                resource.uses += 1;
                yield_now().await;
                resume_unwind(Box::new(7))
            },
            tear_down::<()>,
        ));
        let payload = task.await.expect_err("it panics").into_panic();
        assert_eq!(payload.downcast_ref(), Some(&7));
        assert_eq!(log.take(), lines("begin: Panicked", 1));

        // A closure that panics before there is a future.
        let before = |_: &mut Resource| -> std::future::Ready<()> { resume_unwind(Box::new(8)) };
        let payload = spawn(with(Resource::new(&log), before, tear_down)).await.expect_err("it panics").into_panic();
        assert_eq!((payload.downcast_ref(), log.take()), (Some(&8), lines("begin: Panicked", 0)));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_of_the_tear_down_is_told_unless_the_work_has_panicked_before() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let log = Log::default();
        let torn = async |_: Resource, _: Outcome<'_, Resource>| {
            yield_now().await;
            resume_unwind(Box::new("tear-down"))
        };
        let finished = with(Resource::new(&log), async |resource| Resource::new(&resource.log), torn);
        let payload = spawn(finished).await.map(drop).expect_err("it panics").into_panic();
        assert_eq!(payload.downcast_ref(), Some(&"tear-down"));
        assert_eq!(log.take().len(), 2, "both resources are dropped");

        let panicked = with(Resource::new(&log), async |_| resume_unwind(Box::new("work")), torn);
        let payload = spawn(panicked).await.map(drop).expect_err("it panics").into_panic();
        assert_eq!((payload.downcast_ref(), log.take().len()), (Some(&"work"), 1));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn dropped_work_is_torn_down_by_a_task() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let log = Log::default();
        let local = log.clone();
        let task = spawn(with(
            Resource::new(&log),
            async move |resource| {
                let _local = OnDrop(|| local.push("work dropped"));
                resource.uses += 1;
                pending::<()>().await
            },
            tear_down,
        ));
        yield_now().await;
        assert_eq!((log.take().len(), metrics().tasks), (0, 1));
        assert_eq!(task.cancel().await, None);
        while metrics().tasks > 0 {
            yield_now().await;
        }
        let mut expected = lines("begin: Dropped", 1);
        expected.insert(0, String::from("work dropped"));
        assert_eq!(log.take(), expected);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_tear_down_that_has_begun_goes_on_as_a_task_where_it_stands() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (log, waker) = (Log::default(), ManualWaker::new());
        {
            let mut future = pin!(with(Resource::new(&log), async |_| 7, tear_down));
            assert!(waker.poll(future.as_mut()).is_pending());
            assert_eq!(log.take(), ["begin: 7"]);
        }
        assert_eq!(metrics().tasks, 1);
        while metrics().tasks > 0 {
            yield_now().await;
        }
        assert_eq!(log.take(), lines("", 0)[1..]);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn what_was_never_polled_has_begun_nothing() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let log = Log::default();
        drop(with(Resource::new(&log), async |_| (), tear_down));
        assert_eq!((log.take(), metrics().tasks), (vec![String::from("resource dropped after 0 uses")], 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn one_inside_another_is_torn_down_from_the_inside() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let log = Log::default();
        let outer = spawn({
            let log = log.clone();
            async move {
                with(
                    Resource::new(&log),
                    async |outer| {
                        let inner = Resource::new(&outer.log);
                        with(inner, async |_| pending::<()>().await, async |inner, _| inner.log.push("inner")).await
                    },
                    async |resource, _| resource.log.push("outer"),
                )
                .await
            }
        });
        yield_now().await;
        assert_eq!(outer.cancel().await, None);
        while metrics().tasks > 0 {
            yield_now().await;
        }
        let dropped = "resource dropped after 0 uses";
        assert_eq!(log.take(), ["inner", dropped, "outer", dropped]);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_runtime_that_ends_drops_the_resource_without_a_tear_down() {
    let alone = alone();
    let log = Log::default();
    // The work is under way.
    let first = runtime();
    first.block_on(async {
        drop(spawn(with(Resource::new(&log), async |_| pending::<()>().await, tear_down)));
        yield_now().await;
    });
    // The task, and the one that would tear down.
    assert_eq!(end(first).tasks_dropped, 2);
    assert_eq!(log.take(), ["resource dropped after 0 uses"]);
    // The tear-down is under way.
    let second = runtime();
    second.block_on(async {
        drop(spawn(with(Resource::new(&log), async |_| (), tear_down)));
        yield_now().await;
    });
    assert_eq!(end(second).tasks_dropped, 2);
    assert_eq!(log.take(), ["begin: ()", "resource dropped after 0 uses"]);
    alone.end();
}

#[test]
fn dropped_outside_of_a_runtime_it_only_drops_the_resource() {
    let alone = alone();
    let runtime = runtime();
    let (log, waker) = (Log::default(), ManualWaker::new());
    let mut future = Box::pin(with(Resource::new(&log), async |_| pending::<()>().await, tear_down));
    runtime.block_on(async { assert!(waker.poll(future.as_mut()).is_pending()) });
    drop(future);
    assert_eq!((log.take(), runtime.metrics().tasks), (vec![String::from("resource dropped after 0 uses")], 0));
    end_idle(runtime);
    alone.end();
}

#[test]
fn on_complete_calls_back_with_the_output() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let log = Log::default();
        let note = |log: &Log| {
            let log = log.clone();
            move |output: u32| log.push(output.to_string())
        };
        on_complete(ready(1), note(&log)).await.expect("no panic");
        // Detached, it goes on.
        drop(on_complete(
            async {
                yield_now().await;
                2
            },
            note(&log),
        ));
        while metrics().tasks > 0 {
            yield_now().await;
        }
        // Aborted, nobody is called, and what the callback holds is dropped.
        assert_eq!(on_complete(pending(), note(&log)).cancel().await, None);
        assert_eq!((log.take(), Rc::strong_count(&log.0)), (vec![String::from("1"), String::from("2")], 1));
        // A panic stays in the task.
        let panics = |_| resume_unwind(Box::new("callback"));
        assert!(on_complete(ready(()), panics).await.expect_err("it panics").is_panic());
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_tear_down_runs_in_the_task_that_awaits_it() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let ids = Rc::new(Cell::new(None));
        let seen = Rc::clone(&ids);
        let task = spawn(with(
            (),
            async |()| task::id(),
            async move |(), outcome| {
                let Outcome::Finished(&work) = outcome else { return };
                seen.set(Some((work, task::id())));
            },
        ));
        let id = task.id();
        assert_eq!((task.await.expect("no panic"), ids.get()), (id, Some((id, id))));
    });
    end_idle(runtime);
    alone.end();
}

/// It asks nothing of the runtime while nobody drops it midway.
#[test]
fn with_works_on_any_executor() {
    let future = AssertUnwindSafe(with(1, async |number| *number + 1, async |_, _| ()));
    assert_eq!(ManualWaker::new().poll(pin!(future.0)), std::task::Poll::Ready(2));
    fn is_static<F: Future + 'static>(_: &F) {}
    is_static(&with(1, async |_| (), async |_, _| ()));
}
