//! What it takes to wake a runtime that sleeps, from another thread: beside the bare calls by which threads wake each other.
//!
//! Each figure is a way there and back: the runtime unparks a thread, which wakes the runtime. The way there is the same for all
//! of them, so the floor is two threads that unpark each other (a futex), or that write to each other's eventfd. monoio takes
//! no wakes from other threads unless it is built for that, which would make it slower in the other comparisons.

use std::future::poll_fn;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use nix::sys::eventfd::EventFd;

/// What the two sides share.
#[derive(Default)]
struct Court {
    /// How many balls have been served, and how many have come back.
    served: AtomicU64,
    returned: AtomicU64,
    /// Who waits for the next to come back.
    waker: Mutex<Option<Waker>>,
}

/// A thread that gives back each of so many balls by waking whoever waits.
fn opponent(court: &Arc<Court>, rounds: u64, wake: impl Fn(&Court) + Send + 'static) -> thread::JoinHandle<()> {
    let court = Arc::clone(court);
    thread::spawn(move || {
        for round in 1..=rounds {
            while court.served.load(Ordering::Acquire) < round {
                thread::park();
            }
            court.returned.store(round, Ordering::Release);
            wake(&court);
        }
    })
}

/// Plays so many rounds as a future, whose runtime sleeps in each until it is woken.
async fn play(rounds: u64) -> Duration {
    let court = Arc::new(Court::default());
    let opponent = opponent(&court, rounds, |court| {
        let waker = court.waker.lock().expect("no panic").take();
        waker.expect("it stands before the ball is served").wake();
    });
    let start = Instant::now();
    for round in 1..=rounds {
        poll_fn(|cx| {
            if court.returned.load(Ordering::Acquire) >= round {
                return Poll::Ready(());
            }
            if court.served.load(Ordering::Relaxed) < round {
                *court.waker.lock().expect("no panic") = Some(cx.waker().clone());
                serve(&court, round, opponent.thread());
            }
            Poll::Pending
        })
        .await;
    }
    let elapsed = start.elapsed();
    opponent.join().expect("no panic");
    elapsed
}

fn serve(court: &Court, round: u64, opponent: &Thread) {
    court.served.store(round, Ordering::Release);
    opponent.unpark();
}

fn there_and_back(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wake from another thread, there and back");
    group.bench_function("bare futex", |bencher| {
        bencher.iter_custom(|rounds| {
            let (court, own) = (Arc::new(Court::default()), thread::current());
            let opponent = opponent(&court, rounds, move |_| own.unpark());
            let start = Instant::now();
            for round in 1..=rounds {
                serve(&court, round, opponent.thread());
                while court.returned.load(Ordering::Acquire) < round {
                    thread::park();
                }
            }
            let elapsed = start.elapsed();
            opponent.join().expect("no panic");
            elapsed
        });
    });
    group.bench_function("bare eventfd", |bencher| {
        bencher.iter_custom(|rounds| {
            let (court, event) = (Arc::new(Court::default()), Arc::new(EventFd::new().expect("an eventfd")));
            let theirs = Arc::clone(&event);
            let opponent = opponent(&court, rounds, move |_| {
                theirs.write(1).expect("room for one more");
            });
            let start = Instant::now();
            for round in 1..=rounds {
                serve(&court, round, opponent.thread());
                nix::unistd::read(event.as_fd(), &mut [0; 8]).expect("it is written to");
            }
            let elapsed = start.elapsed();
            opponent.join().expect("no panic");
            elapsed
        });
    });
    group.bench_function("quoit", |bencher| {
        let runtime = quoit::Runtime::new().expect("a ring");
        bencher.iter_custom(|rounds| runtime.block_on(play(rounds)));
    });
    group.bench_function("tokio", |bencher| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an epoll");
        bencher.iter_custom(|rounds| runtime.block_on(play(rounds)));
    });
    group.bench_function("compio", |bencher| {
        let runtime = compio::runtime::Runtime::new().expect("a ring");
        bencher.iter_custom(|rounds| runtime.block_on(play(rounds)));
    });
    group.bench_function("glommio", |bencher| {
        let executor = glommio::LocalExecutorBuilder::default().make().expect("a ring");
        bencher.iter_custom(|rounds| executor.run(play(rounds)));
    });
    group.finish();
}

/// Two runtimes of quoit, each on a thread, that send each other a message.
fn between_runtimes(criterion: &mut Criterion) {
    criterion.bench_function("message between two threads of quoit, there and back", |bencher| {
        let runtime = quoit::Runtime::new().expect("a ring");
        bencher.iter_custom(|rounds| {
            runtime.block_on(async move {
                let (tx, mut balls) = quoit::sync::mpsc::unbounded_channel();
                let (back, mut rx) = quoit::sync::mpsc::unbounded_channel();
                let other = quoit::thread::spawn(move || async move {
                    while let Some(round) = balls.recv().await {
                        let _sent = back.send(round);
                    }
                });
                // The other has begun.
                tx.send(0).expect("it receives");
                assert_eq!(rx.recv().await, Some(0));
                let start = Instant::now();
                for round in 1..=rounds {
                    tx.send(round).expect("it receives");
                    assert_eq!(rx.recv().await, Some(round));
                }
                let elapsed = start.elapsed();
                drop(tx);
                other.await.expect("no panic");
                elapsed
            })
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = there_and_back, between_runtimes
}
criterion_main!(benches);
