//! A runtime that is to spin looks for something to do before it sleeps: it hears of everything, and stops where that is no use.

mod support;

use std::thread;
use std::time::Duration;

use quoit_runtime::op::{self, Nop, PollOnce};
use quoit_runtime::timer::Instant;
use quoit_runtime::{KernelKind, Metrics, Runtime, metrics};
use support::{alone, end_idle, pipe, sleep, woken_from_elsewhere, write};

/// Longer than anything here takes: nothing is in vain.
const PATIENT: Duration = Duration::from_secs(600);

fn spinning(kernel: KernelKind, most: Duration) -> Runtime {
    Runtime::builder().kernel(kernel).spin(most).build().expect("this machine has io_uring")
}

/// Spins, those in vain, and sleeps.
fn waits(metrics: &Metrics) -> (u64, u64, u64) {
    (metrics.spins, metrics.vain_spins, metrics.parks)
}

#[test]
fn what_was_not_asked_for_is_not_done() {
    let alone = alone();
    let runtime = support::runtime();
    runtime.block_on(async { sleep(Duration::from_millis(1)).await });
    let (spins, in_vain, _) = waits(&runtime.metrics());
    assert_eq!((spins, in_vain), (0, 0));
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_completion_ends_a_spin() {
    let alone = alone();
    let runtime = spinning(KernelKind::IoUring, PATIENT);
    runtime.block_on(async {
        for round in 1..=20 {
            let (read, feed) = pipe();
            let feeding = thread::spawn(move || write(&feed, b"x"));
            op::submit(PollOnce::readable(read)).await.expect("a pipe can be polled");
            feeding.join().expect("no panic");
            let (spins, in_vain, parks) = waits(&metrics());
            // The byte may have been there before it was looked for.
            assert!(spins <= round, "{spins} spins in {round} rounds");
            assert_eq!((in_vain, parks), (0, 0));
        }
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_wake_of_another_thread_ends_a_spin_and_needs_no_bell() {
    let alone = alone();
    let runtime = spinning(KernelKind::IoUring, PATIENT);
    runtime.block_on(async {
        // The bell is being watched.
        op::submit(Nop::new()).await.expect("a nop");
        let (before, cqes) = (metrics().remote_wakes, metrics().cqes);
        for _ in 0..20 {
            woken_from_elsewhere().await;
        }
        assert_eq!((metrics().remote_wakes, metrics().cqes), (before + 20, cqes));
        let (spins, in_vain, parks) = waits(&metrics());
        assert!((1..=21).contains(&spins), "{spins}");
        assert_eq!((in_vain, parks), (0, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn timers_end_a_spin_and_are_not_early() {
    let alone = alone();
    let runtime = spinning(KernelKind::IoUring, PATIENT);
    runtime.block_on(async {
        for round in 1..=5 {
            let deadline = Instant::now() + Duration::from_millis(2);
            sleep(Duration::from_millis(2)).await;
            assert!(Instant::now() >= deadline);
            let (spins, in_vain, parks) = waits(&metrics());
            assert!(spins >= round);
            assert_eq!((in_vain, parks), (0, 0));
        }
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn who_waits_long_spins_once_and_then_sleeps() {
    let alone = alone();
    let runtime = spinning(KernelKind::IoUring, Duration::from_micros(100));
    runtime.block_on(async {
        for _ in 0..3 {
            // So long that a thread which is kept from its CPU for a while doesn't find it short.
            sleep(Duration::from_millis(200)).await;
        }
    });
    let (spins, in_vain, parks) = waits(&runtime.metrics());
    assert_eq!((spins, in_vain), (1, 1));
    assert!(parks >= 3, "{parks}");
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_sleep_behind_a_spin_in_vain_hears_of_everything() {
    let alone = alone();
    let runtime = spinning(KernelKind::IoUring, Duration::from_nanos(1));
    runtime.block_on(async {
        for _ in 0..20 {
            woken_from_elsewhere().await;
            let (read, feed) = pipe();
            let feeding = thread::spawn(move || write(&feed, b"x"));
            op::submit(PollOnce::readable(read)).await.expect("a pipe can be polled");
            feeding.join().expect("no panic");
        }
    });
    assert!(runtime.metrics().spins >= 1);
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_clock_that_stands_is_not_waited_for() {
    let alone = alone();
    let runtime = spinning(KernelKind::IoUring, PATIENT);
    runtime.block_on(async {
        quoit_runtime::timer::pause();
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(metrics().spins, 0);
        quoit_runtime::timer::resume();
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn kernels_that_show_nothing_are_not_looked_at() {
    let alone = alone();
    for kernel in [KernelKind::Epoll, KernelKind::Sim { seed: 7 }] {
        let runtime = spinning(kernel, PATIENT);
        runtime.block_on(async { sleep(Duration::from_millis(1)).await });
        assert_eq!(runtime.metrics().spins, 0, "{kernel:?}");
        end_idle(runtime);
    }
    alone.end();
}

#[test]
fn a_thread_of_the_kernels_that_submits_is_waited_for_likewise() {
    let alone = alone();
    let built = Runtime::builder().kernel(KernelKind::IoUring).sqpoll(Duration::from_millis(10)).spin(PATIENT).build();
    let runtime = built.expect("this machine has io_uring");
    runtime.block_on(async {
        for _ in 0..20 {
            op::submit(Nop::new()).await.expect("a nop");
            woken_from_elsewhere().await;
        }
        let (_, in_vain, parks) = waits(&metrics());
        assert_eq!((in_vain, parks), (0, 0));
    });
    end_idle(runtime);
    alone.end();
}
