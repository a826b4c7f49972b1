//! Tasks, wakes, messages and timers beside the peers: `cargo bench -p quoit-benches --bench peers [CASE | RUNTIME]..`.
//!
//! Each runtime does the same in its own way, on one thread, in turn, for several rounds. What counts is the processor time of
//! the thread, which leaves out others that run meanwhile and timers that are waited for. The medians are a table, with the
//! ratio to the best of the peers, taken round by round.

use std::env;
use std::fs;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// What is done so many times; the answer is the processor time of each, in nanoseconds.
type Body = fn(u64) -> f64;

struct Case {
    name: &'static str,
    times: u64,
    /// In the order of `RUNTIMES`.
    bodies: [Body; 5],
}

const RUNTIMES: [&str; 5] = ["quoit", "tokio", "compio", "monoio", "glommio"];

const CASES: [Case; 5] = [
    Case {
        name: "spawn and join",
        times: 400_000,
        bodies: [quoit::spawns, tokio_::spawns, compio_::spawns, monoio_::spawns, glommio_::spawns],
    },
    Case {
        name: "yield between two tasks",
        times: 1_000_000,
        bodies: [quoit::yields, tokio_::yields, compio_::yields, monoio_::yields, glommio_::yields],
    },
    Case {
        name: "request and answer",
        times: 400_000,
        bodies: [quoit::requests, tokio_::requests, compio_::requests, monoio_::requests, glommio_::requests],
    },
    Case {
        name: "timer: create, poll, drop",
        times: 400_000,
        bodies: [quoit::timers, tokio_::timers, compio_::timers, monoio_::timers, glommio_::timers],
    },
    Case {
        name: "100,000 sleeping tasks, each",
        times: 100_000,
        bodies: [quoit::sleepers, tokio_::sleepers, compio_::sleepers, monoio_::sleepers, glommio_::sleepers],
    },
];

fn main() {
    let words: Vec<_> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let (names, cases): (Vec<_>, Vec<_>) = words.iter().partition(|word| RUNTIMES.contains(&word.as_str()));
    let rounds = env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(7);
    println!("| nanoseconds | {} | quoit / best peer |", RUNTIMES.join(" | "));
    println!("|---|{}---|", "---|".repeat(RUNTIMES.len()));
    for case in CASES.iter().filter(|case| cases.is_empty() || cases.iter().any(|word| case.name.contains(&***word))) {
        let takes_part: Vec<_> =
            RUNTIMES.iter().map(|name| names.is_empty() || names.iter().any(|word| word == name)).collect();
        let mut rows = vec![Vec::new(); RUNTIMES.len()];
        for round in 0..=rounds {
            for (runtime, body) in case.bodies.iter().enumerate().filter(|(runtime, _)| takes_part[*runtime]) {
                let nanos = body(case.times);
                // The first round warms up.
                if round > 0 {
                    rows[runtime].push(nanos);
                }
            }
        }
        let medians: Vec<_> = rows.iter().map(|row| median(row.clone())).collect();
        let peers = (1..RUNTIMES.len()).filter_map(|peer| Some((peer, medians[peer]?)));
        let best = peers.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(peer, _)| &rows[peer]);
        let ratio =
            best.and_then(|best| median(rows[0].iter().zip(best).map(|(ours, theirs)| ours / theirs).collect()));
        let shown = |figure: Option<f64>, digits| figure.map_or("".to_owned(), |figure| format!("{figure:.digits$}"));
        let figures: Vec<_> = medians.iter().map(|nanos| shown(*nanos, 1)).collect();
        println!("| {} | {} | {} |", case.name, figures.join(" | "), shown(ratio, 2));
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// What a body takes of the processor, shared out among so many times.
async fn measured<F: Future<Output = ()>>(times: u64, body: F) -> f64 {
    let before = processor_nanos();
    body.await;
    (processor_nanos() - before) as f64 / times as f64
}

/// Processor time of this thread.
fn processor_nanos() -> u64 {
    // The kernel brings the figure up to date when the thread is scheduled.
    std::thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("procfs");
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("nanoseconds come first")
}

/// For runtimes that have no such thing: wakes itself, and is ready at the next poll.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The bodies, in the words of one runtime.
macro_rules! bodies {
    (
        $module:ident, $block_on:expr, $spawn:expr, $joined:expr, $yielded:expr, $sleep:expr,
        $channel:expr, $oneshot:expr, $send:expr, $recv:expr
    ) => {
        mod $module {
            use super::*;

            pub(super) fn spawns(times: u64) -> f64 {
                $block_on(measured(times, async move {
                    for time in 0..times {
                        assert_eq!($joined($spawn(async move { black_box(time) }).await), time);
                    }
                }))
            }

            pub(super) fn yields(times: u64) -> f64 {
                $block_on(measured(times, async move {
                    let yielding = move || async move {
                        for _ in 0..times / 2 {
                            $yielded.await;
                        }
                    };
                    let (one, other) = ($spawn(yielding()), $spawn(yielding()));
                    $joined(one.await);
                    $joined(other.await);
                }))
            }

            pub(super) fn requests(times: u64) -> f64 {
                $block_on(measured(times, async move {
                    let (requests, mut inbox) = $channel;
                    // Here, so that the types are known below.
                    let (answer, answered) = $oneshot;
                    $send(&requests, (0_u64, answer));
                    let server = $spawn(async move {
                        while let Some((number, answer)) = $recv(&mut inbox).await {
                            let _sent = answer.send(number + 1_u64);
                        }
                    });
                    assert_eq!(answered.await.ok(), Some(1));
                    for time in 1..times {
                        let (answer, answered) = $oneshot;
                        $send(&requests, (time, answer));
                        assert_eq!(answered.await.ok(), Some(time + 1));
                    }
                    drop(requests);
                    $joined(server.await);
                }))
            }

            pub(super) fn timers(times: u64) -> f64 {
                $block_on(measured(times, async move {
                    for _ in 0..times {
                        let mut sleep = pin!($sleep(Duration::from_secs(60)));
                        poll_fn(|context| {
                            assert!(sleep.as_mut().poll(context).is_pending());
                            Poll::Ready(())
                        })
                        .await;
                    }
                }))
            }

            pub(super) fn sleepers(times: u64) -> f64 {
                $block_on(measured(times, async move {
                    let mut tasks = Vec::with_capacity(times as usize);
                    for time in 0..times {
                        let micros = 100_000 + time * 7919 % 100_003;
                        tasks.push($spawn(async move { $sleep(Duration::from_micros(micros)).await }));
                    }
                    for task in tasks {
                        $joined(task.await);
                    }
                }))
            }
        }
    };
}

bodies!(
    quoit,
    |body| ::quoit::Runtime::new().expect("a ring").block_on(body),
    ::quoit::spawn,
    |joined: Result<_, ::quoit::task::JoinError>| joined.expect("no panic"),
    ::quoit::task::yield_now(),
    ::quoit::time::sleep,
    ::quoit::sync::local::mpsc::unbounded_channel(),
    ::quoit::sync::local::oneshot::channel(),
    |requests: &::quoit::sync::local::mpsc::UnboundedSender<_>, request| requests.send(request).expect("a server"),
    ::quoit::sync::local::mpsc::UnboundedReceiver::recv
);

bodies!(
    tokio_,
    |body| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(body),
    tokio::spawn,
    |joined: Result<_, tokio::task::JoinError>| joined.expect("no panic"),
    tokio::task::yield_now(),
    tokio::time::sleep,
    tokio::sync::mpsc::unbounded_channel(),
    tokio::sync::oneshot::channel(),
    |requests: &tokio::sync::mpsc::UnboundedSender<_>, request| requests.send(request).expect("a server"),
    tokio::sync::mpsc::UnboundedReceiver::recv
);

bodies!(
    compio_,
    |body| compio::runtime::Runtime::new().expect("a ring").block_on(body),
    compio::runtime::spawn,
    |joined: Result<_, _>| joined.expect("no panic"),
    Yield::default(),
    compio::time::sleep,
    local_sync::mpsc::unbounded::channel(),
    local_sync::oneshot::channel(),
    |requests: &local_sync::mpsc::unbounded::Tx<_>, request| requests.send(request).expect("a server"),
    local_sync::mpsc::unbounded::Rx::recv
);

bodies!(
    monoio_,
    |body| {
        let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new();
        builder.enable_timer().build().expect("a ring").block_on(body)
    },
    monoio::spawn,
    |joined| joined,
    Yield::default(),
    monoio::time::sleep,
    local_sync::mpsc::unbounded::channel(),
    local_sync::oneshot::channel(),
    |requests: &local_sync::mpsc::unbounded::Tx<_>, request| requests.send(request).expect("a server"),
    local_sync::mpsc::unbounded::Rx::recv
);

bodies!(
    glommio_,
    |body| glommio::LocalExecutorBuilder::default().make().expect("a ring").run(body),
    glommio::spawn_local,
    |joined| joined,
    Yield::default(),
    glommio::timer::sleep,
    local_sync::mpsc::unbounded::channel(),
    local_sync::oneshot::channel(),
    |requests: &local_sync::mpsc::unbounded::Tx<_>, request| requests.send(request).expect("a server"),
    local_sync::mpsc::unbounded::Rx::recv
);
