//! A runtime that is to gather completions hears of everything all the same: of a single one, of timers, of other threads.

mod support;

use std::thread;
use std::time::Duration;

use quoit_runtime::op::{self, Nop, PollOnce};
use quoit_runtime::timer::Instant;
use quoit_runtime::{KernelKind, Runtime, metrics};
use support::{alone, end_idle, pipe, sleep, woken_from_elsewhere, write};

/// So long that a wait which is given up only then is noticed.
const LONG: Duration = Duration::from_secs(600);
/// So short that hardly anything comes in time.
const SHORT: Duration = Duration::from_micros(1);

fn gathering(most: usize, time: Duration) -> Runtime {
    Runtime::builder().kernel(KernelKind::IoUring).gather(most, time).build().expect("this machine has io_uring")
}

fn kernel_gathers() -> bool {
    quoit_runtime::probe().io_uring.is_ok_and(|features| features.min_wait)
}

#[test]
fn what_was_not_asked_for_is_not_done() {
    let alone = alone();
    let runtime = support::runtime();
    runtime.block_on(async { sleep(Duration::from_millis(1)).await });
    assert_eq!((runtime.metrics().gathers, runtime.metrics().vain_gathers), (0, 0));
    end_idle(runtime);
    alone.end();
}

#[test]
fn one_completion_ends_a_wait_when_the_time_is_up() {
    let alone = alone();
    let runtime = gathering(64, SHORT);
    runtime.block_on(async {
        for _ in 0..20 {
            woken_from_elsewhere().await;
            let (read, feed) = pipe();
            let feeding = thread::spawn(move || write(&feed, b"x"));
            op::submit(PollOnce::readable(read)).await.expect("a pipe can be polled");
            feeding.join().expect("no panic");
        }
    });
    let metrics = runtime.metrics();
    if kernel_gathers() {
        assert!(metrics.gathers >= 1);
        // A single one at a time is hardly worth it: the waits between two gathering ones become more and more.
        assert!(metrics.vain_gathers <= 8, "{metrics:?}");
    }
    end_idle(runtime);
    alone.end();
}

#[test]
fn as_many_as_are_waited_for_end_a_wait_before_the_time_is_up() {
    let alone = alone();
    // The first wait is for so many as come at once: the completion of each nop, when it is submitted.
    let runtime = gathering(4, LONG);
    runtime.block_on(async {
        for _ in 0..20 {
            let nops: Vec<_> = (0..4).map(|_| quoit_runtime::spawn(async { op::submit(Nop::new()).await })).collect();
            for nop in nops {
                nop.await.expect("no panic").expect("a nop succeeds");
            }
        }
        assert_eq!(metrics().vain_gathers, 0);
        assert_eq!(metrics().gathers, if kernel_gathers() { metrics().parks } else { 0 });
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn timers_are_not_waited_beyond() {
    let alone = alone();
    // A timer that is due before the time for gathering is up ends the wait.
    let runtime = gathering(64, LONG);
    runtime.block_on(async {
        for _ in 0..10 {
            let start = Instant::now();
            sleep(Duration::from_millis(2)).await;
            assert!(start.elapsed() >= Duration::from_millis(2));
        }
        assert_eq!(metrics().gathers, 0);
    });
    end_idle(runtime);
    // One that is due later is heard of though the wait has gathered.
    let runtime = gathering(64, SHORT);
    runtime.block_on(async {
        let start = Instant::now();
        sleep(Duration::from_millis(2)).await;
        assert!(start.elapsed() >= Duration::from_millis(2));
    });
    assert_eq!(runtime.metrics().gathers >= 1, kernel_gathers());
    end_idle(runtime);
    alone.end();
}

#[test]
fn other_kernels_do_not_gather() {
    let alone = alone();
    for kernel in [KernelKind::Epoll, KernelKind::Sim { seed: 7 }] {
        let runtime = Runtime::builder().kernel(kernel).gather(64, LONG).build().expect("this kernel is always there");
        runtime.block_on(async { sleep(Duration::from_millis(1)).await });
        assert_eq!(runtime.metrics().gathers, 0, "{kernel:?}");
        end_idle(runtime);
    }
    alone.end();
}
