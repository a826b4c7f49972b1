//! Sets of tasks, values of tasks, names of tasks.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;

use quoit_runtime::task::{self, JoinSet, yield_now};
use quoit_runtime::{block_on, spawn, thread};
use quoit_testkit::{ManualWaker, Rng};
use support::{LONG, OnDrop, alone, assert_idle, end_idle, runtime, turns_until};

quoit_runtime::task_local! {
    static NUMBER: u64;
    /// Documented, and seen by others.
    pub static NAME: String
}

#[test]
fn tasks_are_joined_in_the_order_in_which_they_end() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut set = JoinSet::new();
        assert!(set.is_empty() && set.try_join_next().is_none() && set.join_next().await.is_none());
        // Each ends when its gate is opened; the gates are opened in a random order, and places are used again.
        let mut rng = Rng::new(5);
        for _round in 0..10 {
            let gates: Vec<_> = (0..20).map(|_| Rc::new(Cell::new(false))).collect();
            let wakers: Vec<_> = (0..20).map(|_| Rc::new(RefCell::new(None))).collect();
            for (number, (gate, waker)) in gates.iter().zip(&wakers).enumerate() {
                let (gate, waker) = (Rc::clone(gate), Rc::clone(waker));
                set.spawn(async move {
                    poll_fn(|cx| {
                        *waker.borrow_mut() = Some(cx.waker().clone());
                        if gate.get() { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                    number
                });
            }
            yield_now().await;
            let mut order: Vec<_> = (0..20_usize).collect();
            for place in (1..20).rev() {
                order.swap(place, rng.below(place as u64 + 1) as usize);
            }
            for number in &order {
                gates[*number].set(true);
                wakers[*number].take().expect("it waits").wake();
            }
            assert_eq!(set.len(), 20);
            let mut joined = Vec::new();
            while let Some(result) = set.join_next().await {
                joined.push(result.expect("no panic"));
            }
            assert_eq!(joined, order);
        }
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_set_holds_tasks_of_other_threads_and_blocking_work_beside_its_own() {
    let alone = alone();
    let thread = thread::spawn(pending::<()>);
    let runtime = runtime();
    runtime.block_on(async {
        let mut set = JoinSet::new();
        let own = set.spawn(async { 1 });
        let other = set.spawn_on(|| async { 2 }, &thread.handle());
        let blocking = set.spawn_blocking(|| 4);
        let ids = [own.id(), other.id(), blocking.id()];
        let mut sum = 0;
        while let Some(joined) = set.join_next_with_id().await {
            let (id, value) = joined.expect("no panic");
            assert!(ids.contains(&id));
            sum += value;
        }
        assert_eq!(sum, 7);
        // One whose runtime is gone is in the set, too.
        let gone = thread.handle();
        assert_eq!(thread.cancel().await, None);
        set.spawn_on(|| async { 8 }, &gone);
        assert_eq!(set.len(), 1);
        assert!(set.try_join_next().expect("it has ended").expect_err("nobody ran it").is_cancelled());
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn panics_and_aborts_are_joined_like_outputs() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut set: JoinSet<u8> = JoinSet::new();
        set.spawn(async { panic!("in the set") });
        let error = set.join_next().await.expect("one").expect_err("it panicked");
        assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"in the set"));
        set.spawn(pending());
        set.spawn(pending()).abort();
        let error = set.join_next().await.expect("one").expect_err("it was aborted");
        assert!(error.is_cancelled());
        assert!(set.try_join_next().is_none());
        set.abort_all();
        assert_eq!(set.len(), 1);
        assert!(set.join_next().await.expect("one").expect_err("it was aborted").is_cancelled());
        // `join_all` goes on with a panic, and the rest is aborted.
        let dropped = Rc::new(Cell::new(0));
        let mut set = JoinSet::new();
        let count = Rc::clone(&dropped);
        set.spawn(async move {
            let _count = OnDrop(move || count.set(count.get() + 1));
            pending::<u8>().await
        });
        yield_now().await;
        set.spawn(async { panic!("one of all") });
        let joining = spawn(async move { set.join_all().await });
        let error = joining.await.expect_err("it panicked");
        assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"one of all"));
        turns_until(|| dropped.get() == 1).await;
        let all: JoinSet<u8> = (0..5).map(std::future::ready).collect();
        assert_eq!(all.join_all().await, [0, 1, 2, 3, 4]);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_set_that_is_dropped_aborts_one_that_shuts_down_waits_and_one_that_detaches_lets_go() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let dropped = Rc::new(Cell::new(0));
        let endless = || {
            let dropped = Rc::clone(&dropped);
            async move {
                let _count = OnDrop(move || dropped.set(dropped.get() + 1));
                pending::<()>().await;
            }
        };
        let mut set: JoinSet<()> = (0..10).map(|_| endless()).collect();
        yield_now().await;
        set.shutdown().await;
        assert_eq!((set.len(), dropped.get()), (0, 10));
        set.extend((0..10).map(|_| endless()));
        yield_now().await;
        drop(set);
        turns_until(|| dropped.get() == 20).await;
        let mut set = JoinSet::new();
        let done = Rc::new(Cell::new(0));
        for _ in 0..10 {
            let done = Rc::clone(&done);
            set.spawn(async move {
                yield_now().await;
                done.set(done.get() + 1);
            });
        }
        set.detach_all();
        assert!(set.is_empty());
        // New ones take the places of those that were detached and still run.
        set.spawn(async {});
        assert!(set.join_next().await.expect("one").is_ok());
        drop(set);
        turns_until(|| done.get() == 10).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_join_that_is_given_up_loses_nothing_and_wakes_whoever_asked_last() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut set = JoinSet::new();
        let (first, last) = (ManualWaker::new(), ManualWaker::new());
        set.spawn(yield_now());
        assert!(first.poll(pin!(set.join_next()).as_mut()).is_pending());
        assert!(last.poll(pin!(set.join_next()).as_mut()).is_pending());
        turns_until(|| last.count() == 1).await;
        assert_eq!((first.count(), set.len()), (0, 1));
        assert!(matches!(last.poll(pin!(set.join_next()).as_mut()), Poll::Ready(Some(Ok(())))));
    });
    end_idle(runtime);
    alone.end();
}

/// A task with a full set would go on for ever.
#[test]
fn joining_a_great_many_tasks_lets_others_run() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let others = Rc::new(Cell::new(0));
        let mut set: JoinSet<()> = (0..1000).map(|_| std::future::ready(())).collect();
        turns_until(|| quoit_runtime::metrics().tasks == 0).await;
        let joining = spawn({
            let others = Rc::clone(&others);
            async move {
                others.set(0);
                while set.join_next().await.is_some() {}
                others.get()
            }
        });
        let counting = spawn({
            let others = Rc::clone(&others);
            async move {
                loop {
                    others.set(others.get() + 1);
                    yield_now().await;
                }
            }
        });
        let seen: u32 = joining.await.expect("no panic");
        assert!(seen >= 1000 / 128, "only {seen}");
        assert_eq!(counting.cancel().await, None::<()>);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_tasks_values_are_its_own_wherever_it_is_polled() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut set = JoinSet::new();
        for number in 0..10 {
            set.spawn(NUMBER.scope(number, async move {
                for _ in 0..5 {
                    yield_now().await;
                    assert_eq!(NUMBER.get(), number);
                }
                // Another one inside, and the old one again behind it.
                let inside = NUMBER.scope(number + 100, async {
                    yield_now().await;
                    NUMBER.with(|number| *number)
                });
                assert_eq!(inside.await, number + 100);
                assert_eq!(NUMBER.sync_scope(5, || NUMBER.get()), 5);
                // A task of its own does not inherit.
                let child = spawn(async { NUMBER.try_with(|_| ()) });
                assert!(child.await.expect("no panic").is_err());
                NUMBER.get()
            }));
        }
        let mut sum = 0;
        while let Some(number) = set.join_next().await {
            sum += number.expect("no panic");
        }
        assert_eq!(sum, 45);
        assert!(NUMBER.try_get().is_err());
        let length = NAME.scope("quoit".into(), async { NAME.with(String::len) }).await;
        assert_eq!(length, 5);
        // The value outlives the future, which finds it in its destructor.
        let seen = Rc::new(Cell::new(0));
        let mut scope = Box::pin(NUMBER.scope(9, {
            let seen = Rc::clone(&seen);
            async move {
                let _look = OnDrop(move || seen.set(NUMBER.get()));
                pending::<()>().await;
            }
        }));
        assert!(ManualWaker::new().poll(scope.as_mut()).is_pending());
        drop(scope);
        assert_eq!(seen.get(), 9);
        let mut ended = pin!(NAME.scope("kept".into(), async {}));
        ended.as_mut().await;
        assert_eq!(ended.as_mut().take_value().as_deref(), Some("kept"));
        assert_eq!(ended.take_value(), None);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_panic_inside_of_a_scope_leaves_the_place_as_it_was() {
    let alone = alone();
    let outcome = catch_unwind(|| NUMBER.sync_scope(1, || NUMBER.sync_scope(2, || panic!("inside of both"))));
    assert!(outcome.is_err() && NUMBER.try_get().is_err());
    let error =
        block_on(async { spawn(NUMBER.scope(3, async { panic!("in a task") })).await }).expect_err("it panicked");
    assert!(error.is_panic() && NUMBER.try_get().is_err());
    // Entered while somebody looks: refused, and the value stays.
    NUMBER.sync_scope(4, || {
        let inside = AssertUnwindSafe(|| NUMBER.with(|_| NUMBER.sync_scope(5, || ())));
        assert!(catch_unwind(inside).is_err());
        assert_eq!(NUMBER.get(), 4);
    });
    let outside = catch_unwind(|| NUMBER.get()).expect_err("there is none");
    assert!(outside.downcast_ref::<String>().expect("a text").contains("outside of its scope"));
    alone.end();
}

#[test]
fn names_ids_and_places_of_tasks_show() {
    let alone = alone();
    assert_eq!(task::try_id(), None);
    let runtime = runtime();
    runtime.block_on(async {
        assert_eq!(task::try_id(), None, "the future of `block_on` is no task");
        let (named, line) = (task::Builder::new().name("accounts").spawn(async { task::try_id() }), line!());
        let text = format!("{named:?}");
        assert!(text.contains("\"accounts\"") && text.contains(&format!("sets.rs:{line}")), "{text}");
        let id = named.id();
        assert_eq!(named.await.expect("no panic"), Some(id));
        let there = task::Builder::new().name("there").spawn_on(|| async { 5 }, &quoit_runtime::Handle::current());
        assert!(format!("{there:?}").contains("sets.rs:"));
        assert_eq!(there.await.expect("no panic"), 5);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_loop_that_pays_from_its_budget_lets_others_run() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let other = Rc::new(Cell::new(0_u32));
        let counting = spawn({
            let other = Rc::clone(&other);
            async move {
                loop {
                    other.set(other.get() + 1);
                    yield_now().await;
                }
            }
        });
        let busy = spawn({
            let other = Rc::clone(&other);
            async move {
                let before = other.get();
                for _ in 0..1280 {
                    task::consume_budget().await;
                }
                other.get() - before
            }
        });
        assert!(busy.await.expect("no panic") >= 9);
        assert_eq!(counting.cancel().await, None::<()>);
    });
    assert_idle(&runtime);
    // Outside of a runtime nobody is kept waiting.
    let waker = ManualWaker::new();
    for _ in 0..1000 {
        assert!(waker.poll(pin!(task::consume_budget()).as_mut()).is_ready());
    }
    end_idle(runtime);
    alone.end();
}

/// Ends come from other threads while the set is joined, dropped and filled.
#[test]
fn ends_on_other_threads_are_each_joined_once() {
    let alone = alone();
    let threads: Vec<_> = (0..2).map(|_| thread::spawn(pending::<()>)).collect();
    let joined = block_on(async {
        let mut set = JoinSet::new();
        let mut joined = 0;
        for number in 0..3000_usize {
            set.spawn_on(move || async move { number }, &threads[number % 2].handle());
            if number % 3 == 0 {
                joined += set.join_next().await.map_or(0, |result| result.expect("no panic"));
            }
        }
        while let Some(result) = set.join_next().await {
            joined += result.expect("no panic");
        }
        joined
    });
    assert_eq!(joined, (0..3000).sum());
    let dropped = Arc::new(AtomicUsize::new(0));
    let (begun, begins) = mpsc::channel();
    block_on(async {
        let mut set = JoinSet::new();
        for number in 0..100 {
            let (begun, dropped) = (begun.clone(), Arc::clone(&dropped));
            let make = move || async move {
                let _count = OnDrop(move || _ = dropped.fetch_add(1, Ordering::SeqCst));
                begun.send(()).expect("the test waits");
                pending::<()>().await;
            };
            set.spawn_on(make, &threads[number % 2].handle());
        }
        (0..100).for_each(|_| begins.recv_timeout(LONG).expect("each begins"));
    });
    // The set is gone, and so are its tasks, when what the threads were given later is done.
    threads.iter().for_each(|thread| thread.handle().spawn(yield_now).join_blocking().expect("no panic"));
    assert_eq!(dropped.load(Ordering::SeqCst), 100);
    for thread in threads {
        thread.abort();
        assert!(thread.join().is_err());
    }
    alone.end();
}
