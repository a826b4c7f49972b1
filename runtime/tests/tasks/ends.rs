use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use quoit_runtime::{metrics, spawn, task};
use quoit_testkit::ManualWaker;

use crate::support::{OnDrop, alone, end, end_idle, in_a_process_of_its_own, runtime, turns_until};

#[test]
fn a_task_spawned_by_a_destructor_while_the_runtime_ends_is_dropped_too() {
    let alone = alone();
    let runtime = runtime();
    let dropped = Rc::new(Cell::new(0));
    let spawned = Rc::new(RefCell::new(None));
    runtime.block_on(async {
        let (dropped, spawned) = (Rc::clone(&dropped), Rc::clone(&spawned));
        drop(spawn(async move {
            let _guard = OnDrop(move || {
                let count = OnDrop({
                    let dropped = Rc::clone(&dropped);
                    move || dropped.set(dropped.get() + 1)
                });
                let late = spawn(async move {
                    let _count = &count;
                    pending::<()>().await;
                });
                *spawned.borrow_mut() = Some(late);
            });
            pending::<()>().await;
        }));
        task::yield_now().await;
    });
    end(runtime);
    let late = spawned.borrow_mut().take().expect("the destructor ran");
    assert_eq!(dropped.get(), 1);
    let Poll::Ready(Err(error)) = ManualWaker::new().poll(std::pin::pin!(late)) else { panic!("it was cancelled") };
    assert!(error.is_cancelled());
    alone.end();
}

/// Spawns a task that owns the rest of the chain, from its destructor.
struct Respawn(u32, Rc<Cell<u32>>);

impl Drop for Respawn {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
        if self.0 > 0 {
            let next = Respawn(self.0 - 1, Rc::clone(&self.1));
            drop(spawn(async move {
                let _next = &next;
                pending::<()>().await;
            }));
        }
    }
}

fn on_a_small_stack(code: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(256 << 10).spawn(code).expect("a thread").join().expect("no panic");
}

#[test]
fn tasks_that_spawn_the_next_when_they_are_dropped_end_one_after_another_while_the_runtime_ends() {
    let alone = alone();
    let name = "ends::tasks_that_spawn_the_next_when_they_are_dropped_end_one_after_another_while_the_runtime_ends";
    // Where the bug is there, it ends the process.
    in_a_process_of_its_own(name, || {
        on_a_small_stack(|| {
            const LENGTH: u32 = 10_000;
            let drops = Rc::new(Cell::new(0));
            let runtime = runtime();
            let first = Respawn(LENGTH, Rc::clone(&drops));
            drop(runtime.spawn(async move {
                let _first = &first;
                pending::<()>().await;
            }));
            end(runtime);
            assert_eq!(drops.get(), LENGTH + 1);
        });
    });
    alone.end();
}

#[test]
fn a_long_chain_of_tasks_that_wake_the_next_needs_no_stack() {
    let alone = alone();
    on_a_small_stack(|| {
        const LENGTH: usize = 1_000_000;
        let runtime = runtime();
        let done = Rc::new(Cell::new(0));
        let wakers: Rc<RefCell<Vec<Option<Waker>>>> = Rc::new(RefCell::new(vec![None; LENGTH + 1]));
        runtime.block_on(async {
            for number in 0..LENGTH {
                let (done, wakers) = (Rc::clone(&done), Rc::clone(&wakers));
                drop(spawn(poll_fn(move |cx| {
                    if number > 0 && done.get() < number {
                        wakers.borrow_mut()[number] = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    done.set(done.get() + 1);
                    if let Some(next) = wakers.borrow_mut()[number + 1].take() {
                        next.wake();
                    }
                    Poll::Ready(())
                })));
            }
            turns_until(|| metrics().tasks == 0).await;
        });
        assert_eq!(done.get(), LENGTH);
        assert!(runtime.metrics().polls >= LENGTH as u64);
        end_idle(runtime);
    });
    alone.end();
}

#[test]
fn a_long_chain_of_tasks_that_own_and_abort_the_next_needs_no_stack() {
    let alone = alone();
    on_a_small_stack(|| {
        const LENGTH: usize = 100_000;
        for by_shutdown in [false, true] {
            let runtime = runtime();
            let mut last = None;
            runtime.block_on(async {
                let mut next = spawn(pending::<()>()).abort_on_drop();
                for _ in 0..LENGTH {
                    next = spawn(async move { drop(next.await) }).abort_on_drop();
                }
                task::yield_now().await;
                last = Some(next);
            });
            if by_shutdown {
                drop(runtime);
                drop(last);
            } else {
                drop(last);
                runtime.block_on(turns_until(|| metrics().tasks == 0));
                end_idle(runtime);
            }
        }
    });
    alone.end();
}

#[test]
fn a_runtime_with_very_many_tasks_ends_in_time_that_grows_with_their_number_only() {
    let alone = alone();
    let runtime = runtime();
    for _ in 0..150_000 {
        drop(runtime.spawn(pending::<()>()));
    }
    runtime.block_on(task::yield_now());
    let report = end(runtime);
    assert_eq!(report.tasks_dropped, 150_000);
    alone.end();
}
