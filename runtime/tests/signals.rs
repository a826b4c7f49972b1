//! Signals, each in a process of its own.
#![allow(unsafe_code, reason = "the test sends signals to itself")]

mod support;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use quoit_runtime::io::AsyncReadExt as _;
use quoit_runtime::signal::{SignalKind, ctrl_c, signal};
use quoit_runtime::{metrics, spawn, task};
use support::{alone, end_idle, in_a_process_of_its_own, runtime, turns_until};

/// Sends a signal to this process; it has been handled when this returns.
fn send(kind: SignalKind) {
    // SAFETY: takes a number; the test has installed a handler.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

/// Whether a future is pending, at one poll.
async fn is_pending(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[test]
fn signals_that_come_while_nobody_polls_are_told_as_one_later() {
    in_a_process_of_its_own("signals_that_come_while_nobody_polls_are_told_as_one_later", || {
        let alone = alone();
        let runtime = runtime();
        let mut usr1 = signal(SignalKind::user_defined1()).unwrap();
        // Before the runtime has ever looked at it.
        (0..10).for_each(|_| send(SignalKind::user_defined1()));
        runtime.block_on(async {
            assert_eq!(usr1.recv().await, Some(()));
            assert!(is_pending(usr1.recv()).await);
        });
        // Between two times.
        (0..10).for_each(|_| send(SignalKind::user_defined1()));
        runtime.block_on(async {
            assert_eq!(usr1.recv().await, Some(()));
            assert!(is_pending(usr1.recv()).await);
            drop(usr1);
            turns_until(|| metrics().operations == 0).await;
        });
        end_idle(runtime);
        alone.end();
    });
}

#[test]
fn a_dropped_wait_leaves_the_signal_to_the_next() {
    in_a_process_of_its_own("a_dropped_wait_leaves_the_signal_to_the_next", || {
        let runtime = runtime();
        runtime.block_on(async {
            let mut hangup = signal(SignalKind::hangup()).unwrap();
            for _ in 0..100 {
                assert!(is_pending(hangup.recv()).await);
                send(SignalKind::hangup());
                // Taken by the read that is in flight, which nobody polls.
                task::yield_now().await;
                assert_eq!(hangup.recv().await, Some(()));
            }
            drop(hangup);
            // Nobody listens any more, and nothing happens.
            send(SignalKind::hangup());
            turns_until(|| metrics().operations == 0).await;
        });
        end_idle(runtime);
    });
}

#[test]
fn every_listener_of_every_runtime_hears_every_signal() {
    in_a_process_of_its_own("every_listener_of_every_runtime_hears_every_signal", || {
        const ROUNDS: usize = 20;
        let (heard, all_heard) = mpsc::channel();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let heard = heard.clone();
                thread::spawn(move || {
                    let runtime = runtime();
                    runtime.block_on(async {
                        let listeners: Vec<_> = (0..3)
                            .map(|_| {
                                let mut usr2 = signal(SignalKind::user_defined2()).unwrap();
                                let heard = heard.clone();
                                spawn(async move {
                                    for _ in 0..ROUNDS {
                                        heard.send(()).unwrap();
                                        assert_eq!(usr2.recv().await, Some(()));
                                    }
                                })
                            })
                            .collect();
                        for listener in listeners {
                            listener.await.unwrap();
                        }
                    });
                })
            })
            .collect();
        for _ in 0..ROUNDS {
            (0..9).for_each(|_| all_heard.recv().unwrap());
            send(SignalKind::user_defined2());
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn ctrl_c_is_heard_and_does_not_end_the_process() {
    in_a_process_of_its_own("ctrl_c_is_heard_and_does_not_end_the_process", || {
        let runtime = runtime();
        runtime.block_on(async {
            for _ in 0..3 {
                let waiting = spawn(ctrl_c());
                task::yield_now().await;
                send(SignalKind::interrupt());
                waiting.await.unwrap().unwrap();
            }
            turns_until(|| metrics().operations == 0).await;
        });
        end_idle(runtime);
    });
}

#[test]
fn signals_without_handlers_are_refused() {
    // The other tests of this binary start processes meanwhile, with pipes.
    in_a_process_of_its_own("signals_without_handlers_are_refused", || {
        let alone = alone();
        for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, 0, -1, 1000] {
            let error = signal(SignalKind::from_raw(number)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}");
        }
        alone.end();
    });
}

#[test]
fn a_listener_outlives_its_runtime_and_then_hears_no_more() {
    in_a_process_of_its_own("a_listener_outlives_its_runtime_and_then_hears_no_more", || {
        let first = runtime();
        let mut usr1 = signal(SignalKind::user_defined1()).unwrap();
        first.block_on(async { assert!(is_pending(usr1.recv()).await) });
        drop(first);
        send(SignalKind::user_defined1());
        runtime().block_on(async {
            assert_eq!(usr1.recv().await, None);
            let (reader, writer) = quoit_runtime::io::pipe().unwrap();
            drop(writer);
            assert_eq!(reader.read_to_end(Vec::new()).await.0.unwrap(), 0);
        });
    });
}
