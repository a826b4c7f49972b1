//! Wakes from other threads: none is lost, and none harms a runtime that is gone.

mod support;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Waker};

use quoit_runtime::{spawn, task};
use support::{alone, assert_idle, end, end_idle, runtime};

/// A counter that other threads raise, and a task that must see every raise.
#[derive(Default)]
struct Bell {
    raised: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    fn raise(&self) {
        self.raised.fetch_add(1, Ordering::Release);
        let waker = self.waker.lock().expect("no panic").clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait_for(&self, goal: u64) {
        poll_fn(|cx| {
            *self.waker.lock().expect("no panic") = Some(cx.waker().clone());
            if self.raised.load(Ordering::Acquire) >= goal { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[test]
fn very_many_wakes_from_each_of_eight_threads_are_all_seen() {
    const THREADS: u64 = 8;
    const WAKES: u64 = if cfg!(debug_assertions) { 50_000 } else { 250_000 };
    let alone = alone();
    let runtime = runtime();
    let bells: Vec<Arc<Bell>> = (0..16).map(|_| Arc::default()).collect();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let bells = bells.clone();
            std::thread::spawn(move || {
                for wake in 0..WAKES {
                    bells[((wake + thread) % 16) as usize].raise();
                }
            })
        })
        .collect();
    runtime.block_on(async {
        let goal = THREADS * WAKES / 16;
        let tasks = bells.iter().map(|bell| {
            let bell = Arc::clone(bell);
            spawn(async move { bell.wait_for(goal).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
    });
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert!(bells.iter().all(|bell| bell.raised.load(Ordering::Relaxed) == THREADS * WAKES / 16));
    assert_idle(&runtime);
    end(runtime);
    alone.end();
}

/// Each runtime's task wakes the other's, faster than that can look. Neither waits for the other, and none is lost.
#[test]
fn two_runtimes_that_flood_each_other_with_wakes_both_see_the_last() {
    const WAKES: u64 = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };
    let alone = alone();
    let bells: [Arc<Bell>; 2] = Default::default();
    let barrier = Arc::new(Barrier::new(2));
    let flood = |own: usize| {
        let (bells, barrier) = (bells.clone(), Arc::clone(&barrier));
        move || async move {
            let listening = spawn({
                let own = Arc::clone(&bells[own]);
                async move { own.wait_for(WAKES).await }
            });
            // Both listen before either begins.
            task::yield_now().await;
            barrier.wait();
            for wake in 0..WAKES {
                bells[1 - own].raise();
                if wake % 100 == 0 {
                    task::yield_now().await;
                }
            }
            listening.await.expect("no panic");
            quoit_runtime::metrics().remote_wakes
        }
    };
    let threads = [0, 1].map(|own| quoit_runtime::thread::spawn(flood(own)));
    for thread in threads {
        let seen = thread.join().expect("no panic");
        assert!(seen > 0 && seen <= WAKES, "{seen}");
    }
    assert!(bells.iter().all(|bell| bell.raised.load(Ordering::Relaxed) == WAKES));
    alone.end();
}

#[test]
fn each_wake_of_eight_threads_that_wait_for_the_answer_is_answered() {
    const THREADS: usize = 8;
    // `QUOIT_STORM=250000` asks for more.
    let wakes = std::env::var("QUOIT_STORM").map_or(1_500, |text| text.parse().expect("QUOIT_STORM is a number"));
    let alone = alone();
    let runtime = runtime();
    // One thread rings the future of `block_on`, the others a task each; each waits for its answer, so the runtime sleeps
    // now and then.
    let bells: Vec<Arc<Bell>> = (0..THREADS).map(|_| Arc::default()).collect();
    let (answers, waiting): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<u64>()).unzip();
    let threads: Vec<_> = bells
        .iter()
        .cloned()
        .zip(waiting)
        .map(|(bell, waiting)| {
            std::thread::spawn(move || {
                for wake in 1..=wakes {
                    bell.raise();
                    assert_eq!(waiting.recv_timeout(support::LONG), Ok(wake), "a wake was lost");
                }
            })
        })
        .collect();
    runtime.block_on(async {
        let answer_all = |index: usize| {
            let (bell, answer) = (Arc::clone(&bells[index]), answers[index].clone());
            async move {
                for wake in 1..=wakes {
                    bell.wait_for(wake).await;
                    answer.send(wake).expect("the thread waits");
                }
            }
        };
        let tasks: Vec<_> = (1..THREADS).map(|index| spawn(answer_all(index))).collect();
        answer_all(0).await;
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let metrics = runtime.metrics();
    assert!(metrics.remote_wakes > 0 && metrics.parks > 0, "{metrics:?}");
    end_idle(runtime);
    alone.end();
}

thread_local! {
    static LATE: RefCell<Option<WakeOnDrop>> = const { RefCell::new(None) };
}

struct WakeOnDrop(Waker);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.wake_by_ref();
        drop(self.0.clone());
    }
}

#[test]
fn wakers_may_be_woken_when_their_runtime_is_gone_and_when_their_thread_ends() {
    let alone = alone();
    for _ in 0..20 {
        let kept: Rc<RefCell<Vec<Waker>>> = Rc::default();
        let runtime = runtime();
        runtime.block_on(async {
            for _ in 0..100 {
                let kept = Rc::clone(&kept);
                drop(spawn(poll_fn(move |cx| -> Poll<()> {
                    kept.borrow_mut().push(cx.waker().clone());
                    Poll::Pending
                })));
            }
            poll_fn(|cx| {
                kept.borrow_mut().push(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
            task::yield_now().await;
        });
        let wakers = kept.take();
        assert_eq!(wakers.len(), 101);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (wakers, stop) = (wakers.clone(), Arc::clone(&stop));
            move || {
                let last = wakers[50].clone();
                // Before, while and after the runtime ends.
                while !stop.load(Ordering::Acquire) {
                    wakers.iter().for_each(Waker::wake_by_ref);
                }
                wakers.into_iter().for_each(Waker::wake);
                LATE.with(|late| *late.borrow_mut() = Some(WakeOnDrop(last)));
            }
        });
        assert_eq!(end(runtime).tasks_dropped, 100);
        // Another runtime moves in where those wakers point to.
        let next = support::runtime();
        let polls = Rc::new(Cell::new(0));
        next.block_on(async {
            let task = spawn({
                let polls = Rc::clone(&polls);
                async move {
                    for _ in 0..100 {
                        polls.set(polls.get() + 1);
                        task::yield_now().await;
                    }
                }
            });
            task.await.expect("no panic");
        });
        stop.store(true, Ordering::Release);
        thread.join().expect("no panic, not even while the thread's locals are dropped");
        wakers.into_iter().for_each(Waker::wake);
        assert_eq!(polls.get(), 100);
        end_idle(next);
    }
    alone.end();
}

#[test]
fn a_waker_may_be_woken_by_a_thread_local_of_the_runtimes_own_thread() {
    let alone = alone();
    std::thread::spawn(|| {
        let runtime = runtime();
        runtime.block_on(poll_fn(|cx| {
            LATE.with(|late| *late.borrow_mut() = Some(WakeOnDrop(cx.waker().clone())));
            Poll::Ready(())
        }));
        end_idle(runtime);
    })
    .join()
    .expect("no panic");
    alone.end();
}
