//! What the parts of the runtime cost: an operation, a task, a yield, a timer, a message.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use quoit::driver::{Nop, submit};
use quoit::sync::{mpsc, oneshot};
use quoit::{Runtime, spawn, task, time};

/// Measures `rounds` runs of an async body inside one `block_on`.
fn measure<F: Future<Output = ()>>(runtime: &Runtime, rounds: u64, body: impl Fn(u64) -> F) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        body(rounds).await;
        start.elapsed()
    })
}

fn runtime() -> Runtime {
    Runtime::new().expect("a ring")
}

fn operations(criterion: &mut Criterion) {
    let runtime = runtime();
    criterion.bench_function("nop, one at a time", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                for _ in 0..rounds {
                    submit(Nop::new()).await.expect("a nop");
                }
            })
        });
    });
    criterion.bench_function("nop, 64 at a time, each", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                for _ in 0..rounds.div_ceil(64) {
                    let nops: [_; 64] = std::array::from_fn(|_| submit(Nop::new()));
                    for nop in nops {
                        nop.await.expect("a nop");
                    }
                }
            })
        });
    });
}

fn tasks(criterion: &mut Criterion) {
    let runtime = runtime();
    criterion.bench_function("spawn and join", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                for round in 0..rounds {
                    assert_eq!(spawn(async move { black_box(round) }).await.expect("no panic"), round);
                }
            })
        });
    });
    criterion.bench_function("yield between two tasks, each", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                let yielding = || async move {
                    for _ in 0..rounds.div_ceil(2) {
                        task::yield_now().await;
                    }
                };
                let (one, other) = (spawn(yielding()), spawn(yielding()));
                one.await.expect("no panic");
                other.await.expect("no panic");
            })
        });
    });
}

fn messages(criterion: &mut Criterion) {
    let runtime = runtime();
    criterion.bench_function("request and answer (mpsc, oneshot)", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                let (requests, mut inbox) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(16);
                let server = spawn(async move {
                    while let Some((number, answer)) = inbox.recv().await {
                        let _ = answer.send(number + 1);
                    }
                });
                for round in 0..rounds {
                    let (answer, answered) = oneshot::channel();
                    requests.send((round, answer)).await.expect("the server lives");
                    assert_eq!(answered.await.expect("the server lives"), round + 1);
                }
                drop(requests);
                server.await.expect("no panic");
            })
        });
    });
}

fn timers(criterion: &mut Criterion) {
    let runtime = runtime();
    criterion.bench_function("timer: create, poll, drop", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                for _ in 0..rounds {
                    let mut sleep = Box::pin(time::sleep(Duration::from_secs(60)));
                    poll_fn(|cx| {
                        assert!(sleep.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                }
            })
        });
    });
}

criterion_group!(benches, operations, tasks, messages, timers);
criterion_main!(benches);
