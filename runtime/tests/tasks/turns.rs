use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use quoit_runtime::op::{self, Nop};
use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{spawn, task};

use crate::support::{alone, end_idle, runtime};

#[test]
fn a_task_that_yields_lets_the_others_and_the_kernel_come_first() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                let order = Rc::clone(&order);
                spawn(async move {
                    for round in 0..50 {
                        order.borrow_mut().push((round, number));
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        // A completion comes, although somebody is always ready.
        let nop = spawn(op::submit(Nop::new()));
        nop.await.expect("no panic").expect("a nop");
        assert!(order.borrow().len() < 200, "the nop came while the others were yielding");
        for task in tasks {
            task.await.expect("no panic");
        }
        let expected: Vec<_> = (0..50).flat_map(|round| (0..4).map(move |number| (round, number))).collect();
        assert_eq!(*order.borrow(), expected);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_task_that_is_always_ready_runs_out_of_budget_and_lets_the_others_run() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let steps = Rc::new(Cell::new(0_u32));
        let stop = Rc::new(Cell::new(false));
        let greedy = spawn({
            let (steps, stop) = (Rc::clone(&steps), Rc::clone(&stop));
            async move {
                while !stop.get() {
                    poll_fn(task::poll_budget).await;
                    steps.set(steps.get() + 1);
                }
            }
        });
        let mut timer = Timer::new(Instant::now() + std::time::Duration::from_millis(1));
        poll_fn(|cx| timer.poll_elapsed(cx)).await;
        op::submit(Nop::new()).await.expect("a nop");
        let before = steps.get();
        task::yield_now().await;
        let between = steps.get() - before;
        assert!(between <= 2 * 128, "{between} steps in one turn");
        stop.set(true);
        greedy.await.expect("no panic");
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_woken_task_is_polled_once_however_often_it_was_woken() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let polls = Rc::new(Cell::new(0));
        let waker = Rc::new(RefCell::new(None::<Waker>));
        let task = spawn({
            let (polls, waker) = (Rc::clone(&polls), Rc::clone(&waker));
            poll_fn(move |cx| -> Poll<()> {
                polls.set(polls.get() + 1);
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
        });
        task::yield_now().await;
        assert_eq!(polls.get(), 1);
        for expected in 2..10 {
            let waker = waker.borrow().clone().expect("polled");
            (0..100).for_each(|_| waker.wake_by_ref());
            task::yield_now().await;
            task::yield_now().await;
            assert_eq!(polls.get(), expected);
        }
        assert_eq!(task.cancel().await, None);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_task_that_woke_itself_before_it_ended_gives_the_next_task_of_its_place_no_extra_poll() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let polls = Rc::new(Cell::new(0));
        // It is in the queue when it ends, and its place is vacant for the next one.
        let first = spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        first.await.expect("no panic");
        let next = spawn({
            let polls = Rc::clone(&polls);
            poll_fn(move |_| -> Poll<()> {
                polls.set(polls.get() + 1);
                Poll::Pending
            })
        });
        task::yield_now().await;
        task::yield_now().await;
        assert_eq!(polls.get(), 1);
        next.abort();
        assert!(next.await.is_err());
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn the_future_of_block_on_that_is_always_ready_lets_tasks_run_and_the_kernel_answer() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let done = Rc::new(Cell::new(false));
        let polls = Rc::new(Cell::new(0));
        let nop = spawn({
            let done = Rc::clone(&done);
            async move {
                op::submit(Nop::new()).await.expect("a nop");
                done.set(true);
            }
        });
        let busy = spawn({
            let (done, polls) = (Rc::clone(&done), Rc::clone(&polls));
            poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                cx.waker().wake_by_ref();
                if done.get() { Poll::Ready(()) } else { Poll::Pending }
            })
        });
        // It wakes itself each time, and so does a task.
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if done.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(polls.get() > 0);
        busy.await.expect("no panic");
        nop.await.expect("no panic");
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_task_and_the_future_of_block_on_that_wake_each_other_take_turns() {
    let alone = alone();
    let runtime = runtime();
    let order = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&order);
    runtime.block_on(async move {
        for number in 0..1000 {
            let log_of_task = Rc::clone(&log);
            let task = spawn(async move { log_of_task.borrow_mut().push((number, "task")) });
            task.await.expect("no panic");
            log.borrow_mut().push((number, "root"));
        }
    });
    let expected: Vec<_> = (0..1000).flat_map(|number| [(number, "task"), (number, "root")]).collect();
    assert_eq!(*order.borrow(), expected);
    drop(order);
    end_idle(runtime);
    alone.end();
}
