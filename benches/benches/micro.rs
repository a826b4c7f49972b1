//! What the parts of the runtime cost: an operation, a task, a yield, a buffer, a timer, a message, a choice, an item.

use std::future::{pending, poll_fn, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::StreamExt as _;
use quoit::driver::{Nop, submit};
use quoit::net::UnixStream;
use quoit::sync::{mpsc, oneshot};
use quoit::{IoBuf as _, Runtime, join, select, spawn, stream, task, time};

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

/// A message of 64 bytes through a pair of sockets: what the ways to receive it cost, the message included.
fn buffers(criterion: &mut Criterion) {
    let runtime = runtime();
    criterion.bench_function("buffers: received into the ring's, sent again", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                let (one, other) = UnixStream::pair().expect("a pair");
                one.write_all(vec![7; 64]).await.0.expect("it fits");
                let (mut from, mut to) = (&other, &one);
                for _ in 0..rounds {
                    let received = from.recv().await.expect("no error").expect("no end");
                    from.write_all(received).await.0.expect("it fits");
                    std::mem::swap(&mut from, &mut to);
                }
            })
        });
    });
    criterion.bench_function("buffers: read into one's own, written again", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                let (one, other) = UnixStream::pair().expect("a pair");
                let mut buf = vec![7; 64];
                one.write_all(vec![7; 64]).await.0.expect("it fits");
                let (mut from, mut to) = (&other, &one);
                for _ in 0..rounds {
                    buf.clear();
                    let (result, read) = from.read(buf).await;
                    result.expect("no error");
                    let (result, written) = from.write_all(read).await;
                    result.expect("it fits");
                    buf = written;
                    std::mem::swap(&mut from, &mut to);
                }
            })
        });
    });
    criterion.bench_function("buffers: a slice of one's own and back", |bencher| {
        let mut buf = vec![7; 64];
        bencher.iter(|| {
            let slice = black_box(std::mem::take(&mut buf)).slice(8..56);
            buf = black_box(slice).into_inner();
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
    criterion.bench_function("timer: another deadline", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                let mut sleep = pin!(time::sleep(Duration::from_secs(60)));
                let deadline = sleep.deadline();
                for round in 0..rounds {
                    sleep.as_mut().reset(deadline + Duration::from_millis(round % 1000));
                    poll_fn(|cx| {
                        assert!(sleep.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                }
            })
        });
    });
    // On a clock that stands: what the wheel and the wakes cost, without the waiting.
    criterion.bench_function("100,000 timers: start and fire, all", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                time::pause();
                let mut sleeps = Vec::with_capacity(100_000);
                for _ in 0..rounds {
                    let start = time::Instant::now();
                    sleeps.extend((0..100_000).map(|number| {
                        Box::pin(time::sleep_until(start + Duration::from_micros(1 + number * 7919 % 1_000_003)))
                    }));
                    poll_fn(|cx| {
                        assert!(sleeps.iter_mut().all(|sleep| sleep.as_mut().poll(cx).is_pending()));
                        Poll::Ready(())
                    })
                    .await;
                    time::advance(Duration::from_secs(2)).await;
                    assert!(sleeps.drain(..).all(|sleep| sleep.is_elapsed()));
                }
                time::resume();
            })
        });
    });
}

/// What waits for several things at once, or hands values out.
fn combinators(criterion: &mut Criterion) {
    let runtime = runtime();
    criterion.bench_function("select!: one of two ready", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                for round in 0..rounds {
                    let chosen = select! {
                        number = ready(black_box(round)) => number,
                        () = pending() => unreachable!("it is never ready"),
                    };
                    assert_eq!(chosen, round);
                }
            })
        });
    });
    criterion.bench_function("join!: two that are ready", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                for round in 0..rounds {
                    assert_eq!(join!(ready(black_box(round)), ready(1)), (round, 1));
                }
            })
        });
    });
    criterion.bench_function("generator: an item", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                let mut numbers = stream::generator(|co| async move {
                    for number in 0.. {
                        co.yield_(number).await;
                    }
                });
                for round in 0..rounds {
                    assert_eq!(numbers.next().await, Some(round));
                }
            })
        });
    });
    criterion.bench_function("task::with: nothing to wait for", |bencher| {
        bencher.iter_custom(|rounds| {
            measure(&runtime, rounds, async |rounds| {
                for round in 0..rounds {
                    let answer = task::with(black_box(round), async |number| *number, async |_, _| ()).await;
                    assert_eq!(answer, round);
                }
            })
        });
    });
}

criterion_group!(benches, operations, tasks, messages, buffers, timers, combinators);
criterion_main!(benches);
