//! Channels and locks beside their peers: the same work, the same executor, in turn.
//!
//! On one thread the tasks run on quoit's runtime, whoever's the channel. Across threads each side is a plain thread that
//! parks while it waits. Machines are noisy: run it several times and compare ratios, not figures.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use quoit::{Runtime, spawn};

/// Measures `rounds` runs of an async body inside one `block_on`.
fn measure<F: Future<Output = ()>>(runtime: &Runtime, rounds: u64, body: impl Fn(u64) -> F) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        body(rounds).await;
        start.elapsed()
    })
}

/// Polls a future once, which has to wait.
fn begin_to_wait<F: Future>(mut future: Pin<&mut F>) -> impl Future<Output = ()> {
    poll_fn(move |context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
}

/// One peer's body on one thread.
macro_rules! here {
    ($group:ident, $runtime:ident, $name:literal, $body:expr) => {
        $group.bench_function($name, |bencher| {
            bencher.iter_custom(|rounds| measure(&$runtime, rounds, $body));
        });
    };
}

/// Sends a message and takes it, nobody waits.
macro_rules! uncontended {
    ($group:ident, $runtime:ident, $name:literal, $make:expr, ($($send:tt)*), ($($recv:tt)*)) => {
        here!($group, $runtime, $name, async |rounds| {
            #[allow(unused_mut, reason = "not every peer's receiver asks for it")]
            let (tx, mut rx) = $make;
            for round in 0..rounds {
                let _sent = tx.send(black_box(round)) $($send)*;
                let _received = black_box(rx.recv() $($recv)*);
            }
        });
    };
}

/// Two tasks hand a number to each other, one waits while the other runs.
macro_rules! ping_pong {
    ($group:ident, $runtime:ident, $name:literal, $make:expr, ($($send:tt)*), ($($recv:tt)*)) => {
        here!($group, $runtime, $name, async |rounds| {
            #[allow(unused_mut, reason = "not every peer's receiver asks for it")]
            let ((tx, mut pings), (pongs, mut rx)) = ($make, $make);
            let other = spawn(async move {
                for _ in 0..rounds {
                    let _ping = black_box(pings.recv() $($recv)*);
                    let _sent = pongs.send(0_u64) $($send)*;
                }
            });
            for round in 0..rounds {
                let _sent = tx.send(round) $($send)*;
                let _received = black_box(rx.recv() $($recv)*);
            }
            other.await.expect("no panic");
        });
    };
}

/// A task answers requests, each by a channel of its own for one message.
macro_rules! requests {
    ($group:ident, $runtime:ident, $name:literal, $make:expr, $oneshot:expr, ($($send:tt)*)) => {
        here!($group, $runtime, $name, async |rounds| {
            let (tx, mut rx) = $make;
            // Here, so that the types are known below.
            let (answer, answered) = $oneshot;
            let _sent = tx.send((0, answer)) $($send)*;
            let server = spawn(async move {
                while let Some((number, answer)) = rx.recv().await {
                    let _sent = answer.send(number + 1_u64);
                }
            });
            black_box(answered.await.expect("an answer"));
            for round in 1..rounds {
                let (answer, answered) = $oneshot;
                let _sent = tx.send((round, answer)) $($send)*;
                black_box(answered.await.expect("an answer"));
            }
            drop(tx);
            server.await.expect("no panic");
        });
    };
}

fn one_thread(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a ring");

    let mut group = criterion.benchmark_group("1 thread, bounded, send and recv");
    uncontended!(group, runtime, "local", quoit::sync::local::mpsc::channel(64), (.await), (.await));
    uncontended!(group, runtime, "sync", quoit::sync::mpsc::channel(64), (.await), (.await));
    uncontended!(group, runtime, "tokio", tokio::sync::mpsc::channel(64), (.await), (.await));
    uncontended!(group, runtime, "async-channel", async_channel::bounded(64), (.await), (.await));
    uncontended!(group, runtime, "flume", Flume::bounded(64), (.await), (.await));
    uncontended!(group, runtime, "local-sync", local_sync::mpsc::bounded::channel(64), (.await), (.await));
    group.finish();

    let mut group = criterion.benchmark_group("1 thread, unbounded, send and recv");
    uncontended!(group, runtime, "local", quoit::sync::local::mpsc::unbounded_channel(), (), (.await));
    uncontended!(group, runtime, "sync", quoit::sync::mpsc::unbounded_channel(), (), (.await));
    uncontended!(group, runtime, "tokio", tokio::sync::mpsc::unbounded_channel(), (), (.await));
    uncontended!(group, runtime, "async-channel", async_channel::unbounded(), (.await), (.await));
    uncontended!(group, runtime, "flume", Flume::unbounded(), (.await), (.await));
    uncontended!(group, runtime, "local-sync", local_sync::mpsc::unbounded::channel(), (), (.await));
    group.finish();

    let mut group = criterion.benchmark_group("1 thread, bounded, ping-pong");
    ping_pong!(group, runtime, "local", quoit::sync::local::mpsc::channel(1), (.await), (.await));
    ping_pong!(group, runtime, "sync", quoit::sync::mpsc::channel(1), (.await), (.await));
    ping_pong!(group, runtime, "tokio", tokio::sync::mpsc::channel(1), (.await), (.await));
    ping_pong!(group, runtime, "async-channel", async_channel::bounded(1), (.await), (.await));
    ping_pong!(group, runtime, "flume", Flume::bounded(1), (.await), (.await));
    ping_pong!(group, runtime, "local-sync", local_sync::mpsc::bounded::channel(1), (.await), (.await));
    group.finish();

    let mut group = criterion.benchmark_group("1 thread, unbounded, ping-pong");
    ping_pong!(group, runtime, "local", quoit::sync::local::mpsc::unbounded_channel(), (), (.await));
    ping_pong!(group, runtime, "sync", quoit::sync::mpsc::unbounded_channel(), (), (.await));
    ping_pong!(group, runtime, "tokio", tokio::sync::mpsc::unbounded_channel(), (), (.await));
    ping_pong!(group, runtime, "async-channel", async_channel::unbounded(), (.await), (.await));
    ping_pong!(group, runtime, "flume", Flume::unbounded(), (.await), (.await));
    ping_pong!(group, runtime, "local-sync", local_sync::mpsc::unbounded::channel(), (), (.await));
    group.finish();

    let mut group = criterion.benchmark_group("1 thread, request and answer");
    {
        use local_sync::mpsc::unbounded as local_sync_mpsc;
        use quoit::sync::{local, mpsc, oneshot};
        requests!(group, runtime, "local", local::mpsc::unbounded_channel(), local::oneshot::channel(), ());
        requests!(group, runtime, "sync", mpsc::unbounded_channel(), oneshot::channel(), ());
        requests!(group, runtime, "tokio", tokio::sync::mpsc::unbounded_channel(), tokio::sync::oneshot::channel(), ());
        requests!(group, runtime, "local-sync", local_sync_mpsc::channel(), local_sync::oneshot::channel(), ());
    }
    group.finish();
}

/// A channel for one message: made, used and gone.
fn one_message(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a ring");
    let mut group = criterion.benchmark_group("1 thread, oneshot");
    macro_rules! oneshot {
        ($name:literal, $channel:path) => {
            here!(group, runtime, $name, async |rounds| {
                for round in 0..rounds {
                    let (tx, rx) = $channel();
                    let _sent = tx.send(black_box(round));
                    let _received = black_box(rx.await);
                }
            });
        };
    }
    oneshot!("local", quoit::sync::local::oneshot::channel);
    oneshot!("sync", quoit::sync::oneshot::channel);
    oneshot!("tokio", tokio::sync::oneshot::channel);
    oneshot!("local-sync", local_sync::oneshot::channel);
    group.finish();

    let mut group = criterion.benchmark_group("1 thread, oneshot that is waited for");
    macro_rules! oneshot {
        ($name:literal, $channel:path) => {
            here!(group, runtime, $name, async |rounds| {
                for round in 0..rounds {
                    let (tx, rx) = $channel();
                    let mut rx = pin!(rx);
                    begin_to_wait(rx.as_mut()).await;
                    let _sent = tx.send(black_box(round));
                    let _received = black_box(rx.await);
                }
            });
        };
    }
    oneshot!("local", quoit::sync::local::oneshot::channel);
    oneshot!("sync", quoit::sync::oneshot::channel);
    oneshot!("tokio", tokio::sync::oneshot::channel);
    oneshot!("local-sync", local_sync::oneshot::channel);
    group.finish();
}

/// Locks and notices.
fn locks(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a ring");
    let mut group = criterion.benchmark_group("1 thread, mutex");
    macro_rules! mutex {
        ($name:literal, $new:path) => {
            here!(group, runtime, $name, async |rounds| {
                let mutex = $new(0);
                for _ in 0..rounds {
                    *mutex.lock().await += 1;
                }
                black_box(mutex);
            });
        };
    }
    mutex!("local", quoit::sync::local::Mutex::new);
    mutex!("sync", quoit::sync::Mutex::new);
    mutex!("tokio", tokio::sync::Mutex::new);
    group.finish();

    let mut group = criterion.benchmark_group("1 thread, notify, nobody waits");
    macro_rules! notify {
        ($name:literal, $new:path) => {
            here!(group, runtime, $name, async |rounds| {
                let notify = $new();
                for _ in 0..rounds {
                    notify.notify_one();
                    notify.notified().await;
                }
            });
        };
    }
    notify!("local", quoit::sync::local::Notify::new);
    notify!("sync", quoit::sync::Notify::new);
    notify!("tokio", tokio::sync::Notify::new);
    group.finish();

    let mut group = criterion.benchmark_group("1 thread, notify who waits");
    macro_rules! notify {
        ($name:literal, $new:path) => {
            here!(group, runtime, $name, async |rounds| {
                let notify = $new();
                for _ in 0..rounds {
                    let mut notified = pin!(notify.notified());
                    begin_to_wait(notified.as_mut()).await;
                    notify.notify_one();
                    notified.await;
                }
            });
        };
    }
    notify!("local", quoit::sync::local::Notify::new);
    notify!("sync", quoit::sync::Notify::new);
    notify!("tokio", tokio::sync::Notify::new);
    group.finish();
}

/// A thread sends all, another receives all: the cost of a message.
macro_rules! stream {
    ($group:ident, $name:literal, $make:expr, ($($send:tt)*), ($($recv:tt)*)) => {
        $group.bench_function($name, |bencher| {
            bencher.iter_custom(|rounds| {
                #[allow(unused_mut, reason = "not every peer's receiver asks for it")]
                let (tx, mut rx) = $make;
                let start = Instant::now();
                let sender = thread::spawn(move || {
                    park_on(async move {
                        for round in 0..rounds {
                            let _sent = tx.send(round) $($send)*;
                        }
                    });
                });
                park_on(async move {
                    for _ in 0..rounds {
                        let _received = black_box(rx.recv() $($recv)*);
                    }
                });
                sender.join().expect("no panic");
                start.elapsed()
            });
        });
    };
}

/// Two threads hand a number to each other.
macro_rules! table_tennis {
    ($group:ident, $name:literal, $make:expr, ($($send:tt)*), ($($recv:tt)*)) => {
        $group.bench_function($name, |bencher| {
            bencher.iter_custom(|rounds| {
                #[allow(unused_mut, reason = "not every peer's receiver asks for it")]
                let ((tx, mut pings), (pongs, mut rx)) = ($make, $make);
                let start = Instant::now();
                let other = thread::spawn(move || {
                    park_on(async move {
                        for _ in 0..rounds {
                            let _ping = black_box(pings.recv() $($recv)*);
                            let _sent = pongs.send(0_u64) $($send)*;
                        }
                    });
                });
                park_on(async move {
                    for round in 0..rounds {
                        let _sent = tx.send(round) $($send)*;
                        let _received = black_box(rx.recv() $($recv)*);
                    }
                });
                other.join().expect("no panic");
                start.elapsed()
            });
        });
    };
}

fn two_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("2 threads, bounded, stream");
    stream!(group, "sync", quoit::sync::mpsc::channel(64), (.await), (.await));
    stream!(group, "tokio", tokio::sync::mpsc::channel(64), (.await), (.await));
    stream!(group, "async-channel", async_channel::bounded(64), (.await), (.await));
    stream!(group, "flume", Flume::bounded(64), (.await), (.await));
    group.finish();

    let mut group = criterion.benchmark_group("2 threads, unbounded, stream");
    stream!(group, "sync", quoit::sync::mpsc::unbounded_channel(), (), (.await));
    stream!(group, "tokio", tokio::sync::mpsc::unbounded_channel(), (), (.await));
    stream!(group, "async-channel", async_channel::unbounded(), (.await), (.await));
    stream!(group, "flume", Flume::unbounded(), (.await), (.await));
    group.finish();

    let mut group = criterion.benchmark_group("2 threads, unbounded, ping-pong");
    table_tennis!(group, "sync", quoit::sync::mpsc::unbounded_channel(), (), (.await));
    table_tennis!(group, "tokio", tokio::sync::mpsc::unbounded_channel(), (), (.await));
    table_tennis!(group, "async-channel", async_channel::unbounded(), (.await), (.await));
    table_tennis!(group, "flume", Flume::unbounded(), (.await), (.await));
    group.finish();
    oneshots_across(criterion.benchmark_group("2 threads, request and answer"));
}

/// A thread answers requests, each by a channel of its own for one message.
fn oneshots_across(mut group: BenchmarkGroup<'_, WallTime>) {
    macro_rules! requests_across {
        ($name:literal, $make:expr, $oneshot:expr) => {
            group.bench_function($name, |bencher| {
                bencher.iter_custom(|rounds| {
                    let (tx, mut rx) = $make;
                    // Here, so that the types are known below.
                    let (answer, answered) = $oneshot;
                    let _sent = tx.send((0, answer));
                    let start = Instant::now();
                    let server = thread::spawn(move || {
                        park_on(async move {
                            while let Some((number, answer)) = rx.recv().await {
                                let _sent = answer.send(number + 1_u64);
                            }
                        });
                    });
                    park_on(async move {
                        black_box(answered.await.expect("an answer"));
                        for round in 1..rounds {
                            let (answer, answered) = $oneshot;
                            let _sent = tx.send((round, answer));
                            black_box(answered.await.expect("an answer"));
                        }
                    });
                    server.join().expect("no panic");
                    start.elapsed()
                });
            });
        };
    }
    requests_across!("sync", quoit::sync::mpsc::unbounded_channel(), quoit::sync::oneshot::channel());
    requests_across!("tokio", tokio::sync::mpsc::unbounded_channel(), tokio::sync::oneshot::channel());
    group.finish();
}

/// flume, under the names of the others.
struct Flume;

struct FlumeSender<T>(flume::Sender<T>);

struct FlumeReceiver<T>(flume::Receiver<T>);

impl Flume {
    fn bounded<T>(capacity: usize) -> (FlumeSender<T>, FlumeReceiver<T>) {
        let (tx, rx) = flume::bounded(capacity);
        (FlumeSender(tx), FlumeReceiver(rx))
    }

    fn unbounded<T>() -> (FlumeSender<T>, FlumeReceiver<T>) {
        let (tx, rx) = flume::unbounded();
        (FlumeSender(tx), FlumeReceiver(rx))
    }
}

impl<T> FlumeSender<T> {
    fn send(&self, value: T) -> flume::r#async::SendFut<'_, T> {
        self.0.send_async(value)
    }
}

impl<T> FlumeReceiver<T> {
    fn recv(&self) -> flume::r#async::RecvFut<'_, T> {
        self.0.recv_async()
    }
}

/// Polls a future to its end, and parks the thread while it waits.
fn park_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400)).sample_size(10);
    targets = one_thread, one_message, locks, two_threads
}
criterion_main!(benches);
