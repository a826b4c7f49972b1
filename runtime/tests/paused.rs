//! A clock that stands: it moves when a test or an idle runtime moves it, and then everything happens at its exact time.

mod support;

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use quoit_runtime::op::{Nop, submit};
use quoit_runtime::timer::{Instant, Timer, advance, pause, resume};
use quoit_runtime::{block_on, metrics, spawn, spawn_blocking, task};
use quoit_testkit::ManualWaker;
use support::{alone, end_idle, runtime};

const HOUR: Duration = Duration::from_secs(3600);
const NANOSECOND: Duration = Duration::from_nanos(1);

async fn sleep(duration: Duration) {
    sleep_until(Instant::now() + duration).await;
}

async fn sleep_until(deadline: Instant) {
    let mut timer = Timer::new(deadline);
    poll_fn(|cx| timer.poll_elapsed(cx)).await;
}

/// Which sleepers were woken, and when.
type Log = Rc<RefCell<Vec<(usize, Duration)>>>;

/// Spawns a task for each duration, which sleeps so long and then notes when it was woken.
fn sleepers(durations: &[Duration]) -> (Log, Vec<task::JoinHandle<()>>) {
    let (start, log) = (Instant::now(), Log::default());
    let spawn_one = |(number, &duration): (usize, &Duration)| {
        let log = Rc::clone(&log);
        spawn(async move {
            sleep(duration).await;
            log.borrow_mut().push((number, start.elapsed()));
        })
    };
    let tasks = durations.iter().enumerate().map(spawn_one).collect();
    (log, tasks)
}

#[test]
fn while_there_is_something_to_do_the_clock_stands() {
    let alone = alone();
    block_on(async {
        pause();
        let start = Instant::now();
        let (log, _tasks) = sleepers(&[NANOSECOND]);
        for _ in 0..100 {
            task::yield_now().await;
            submit(Nop::new()).await.expect("a nop");
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
        assert_eq!((log.borrow().len(), metrics().timers), (0, 1));
    });
    alone.end();
}

#[test]
fn an_idle_runtime_goes_from_deadline_to_deadline_each_at_its_exact_time() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        pause();
        let durations = [HOUR, NANOSECOND, HOUR + NANOSECOND, Duration::from_micros(70), HOUR * 24 * 365, HOUR];
        let (log, tasks) = sleepers(&durations);
        for task in tasks {
            task.await.expect("no panic");
        }
        let order = [1, 3, 0, 5, 2, 4];
        assert_eq!(*log.borrow(), order.map(|number| (number, durations[number])));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn advance_fires_what_is_due_in_order_but_at_the_new_time() {
    let alone = alone();
    block_on(async {
        pause();
        let seconds = [5, 1, 9, 3, 1, 4].map(Duration::from_secs);
        let (log, tasks) = sleepers(&seconds);
        // The tasks have not run yet: they do so first.
        let step = Duration::from_secs(4);
        advance(step).await;
        assert_eq!(*log.borrow(), [(1, step), (4, step), (3, step), (5, step)]);
        advance(Duration::from_secs(5) - NANOSECOND).await;
        assert_eq!(log.borrow().len(), 5);
        advance(NANOSECOND).await;
        assert_eq!(log.borrow()[4..], [(0, Duration::from_secs(9) - NANOSECOND), (2, Duration::from_secs(9))]);
        assert!(tasks.iter().all(task::JoinHandle::is_finished));
        advance(Duration::ZERO).await;
        assert_eq!(metrics().timers, 0);
    });
    alone.end();
}

#[test]
fn advance_fires_more_timers_than_a_turn_does() {
    let alone = alone();
    block_on(async {
        pause();
        let (log, _tasks) = sleepers(&[HOUR; 3_000]);
        advance(HOUR).await;
        assert_eq!(log.borrow().len(), 3_000);
        assert!(
            log.borrow().iter().map(|&(number, _)| number).eq(0..3_000),
            "equal deadlines in the order of their polls"
        );
    });
    alone.end();
}

#[test]
fn timers_that_wait_when_the_clock_stops_or_runs_on_are_kept() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (log, tasks) = sleepers(&[HOUR, HOUR * 3, HOUR * 2]);
        task::yield_now().await;
        task::yield_now().await;
        assert_eq!(metrics().timers, 3);
        pause();
        advance(HOUR * 2).await;
        assert_eq!(log.borrow().iter().map(|&(number, _)| number).collect::<Vec<_>>(), [0, 2]);
        let left = Duration::from_millis(5);
        advance(HOUR - left).await;
        let before = Instant::now();
        resume();
        for task in tasks {
            task.await.expect("no panic");
        }
        // In real time, and not early.
        assert!(log.borrow()[2].1 >= HOUR * 3 && before.elapsed() >= Duration::from_millis(1));
        // Stopped a second time, time has not gone back.
        let running = Instant::now();
        pause();
        assert!(Instant::now() >= running);
        sleep(HOUR).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn operations_complete_before_the_clock_moves_on() {
    let alone = alone();
    block_on(async {
        pause();
        let start = Instant::now();
        let mut soon = pin!(sleep(NANOSECOND));
        let waker = ManualWaker::new();
        assert!(waker.poll(soon.as_mut()).is_pending());
        for _ in 0..10 {
            submit(Nop::new()).await.expect("a nop");
        }
        assert_eq!((start.elapsed(), waker.count()), (Duration::ZERO, 0));
        soon.await;
        assert_eq!(start.elapsed(), NANOSECOND);
    });
    alone.end();
}

#[test]
fn a_clock_that_stands_waits_for_other_threads_where_no_timer_does() {
    let alone = alone();
    block_on(async {
        pause();
        let (start, mut polls) = (Instant::now(), 0);
        poll_fn(|cx| {
            polls += 1;
            if polls == 3 {
                return std::task::Poll::Ready(());
            }
            let waker = cx.waker().clone();
            drop(std::thread::spawn(move || waker.wake()));
            std::task::Poll::Pending
        })
        .await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
    alone.end();
}

#[test]
fn a_clock_that_stands_waits_for_blocking_work() {
    let alone = alone();
    block_on(async {
        pause();
        let start = Instant::now();
        let mut soon = pin!(sleep(NANOSECOND));
        let waker = ManualWaker::new();
        assert!(waker.poll(soon.as_mut()).is_pending());
        let work = spawn_blocking(|| std::thread::sleep(Duration::from_millis(5)));
        work.await.expect("no panic");
        assert_eq!((start.elapsed(), waker.count()), (Duration::ZERO, 0));
        // Also where nobody waits for the work: then it goes on when that has ended.
        drop(spawn_blocking(|| std::thread::sleep(Duration::from_millis(5))));
        soon.await;
        assert_eq!(start.elapsed(), NANOSECOND);
    });
    alone.end();
}

#[test]
fn the_end_of_time_is_not_never() {
    let alone = alone();
    block_on(async {
        pause();
        let waker = ManualWaker::new();
        let (mut never, mut last) = (pin!(sleep_until(Instant::NEVER)), pin!(sleep(HOUR * 24 * 365 * 400)));
        assert!(waker.poll(never.as_mut()).is_pending() && waker.poll(last.as_mut()).is_pending());
        advance(Duration::MAX).await;
        assert_eq!((waker.count(), Instant::now().is_never()), (1, false));
        assert!(waker.poll(last.as_mut()).is_ready() && waker.poll(never.as_mut()).is_pending());
        // Time can't go on, and nothing hangs.
        advance(Duration::MAX).await;
        resume();
    });
    alone.end();
}

#[test]
fn runtimes_have_clocks_of_their_own() {
    let alone = alone();
    let (one, other) = (runtime(), runtime());
    let start = one.block_on(async {
        pause();
        advance(HOUR).await;
        Instant::now()
    });
    assert!(other.block_on(async { Instant::now() }) < start);
    assert!(Instant::now() < start);
    // It stands on when the runtime is entered again.
    assert_eq!(one.block_on(async { Instant::now() }), start);
    // A timer goes by the clock of the runtime that it waits in.
    let timer = one.block_on(async { Timer::new(Instant::now() + NANOSECOND) });
    assert!(!timer.is_elapsed());
    one.block_on(advance(NANOSECOND));
    assert!(timer.is_elapsed());
    drop((one, other));
    alone.end();
}

#[test]
fn misuse_panics() {
    let alone = alone();
    let message = |run: fn()| {
        let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
        payload.downcast_ref::<&str>().expect("it is a text").to_string()
    };
    assert!(message(|| pause()).contains("no quoit runtime"));
    assert!(message(|| resume()).contains("no quoit runtime"));
    assert!(message(|| block_on(async { resume() })).contains("does not stand"));
    assert!(message(|| block_on(advance(HOUR))).contains("does not stand"));
    let twice = || {
        block_on(async {
            pause();
            pause();
        })
    };
    assert!(message(twice).contains("stands already"));
    alone.end();
}
