//! The scenarios: each does one thing `times` times, and nothing else that grows with `times`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use quoit::driver::{Nop, submit};
use quoit::net::{TcpListener, TcpStream};
use quoit::sync::{Notify, local, mpsc, oneshot};
use quoit::{spawn, task, time};

type Scenario = fn(u64) -> Pin<Box<dyn Future<Output = ()>>>;

/// All of them, by the names under which their counts are kept.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = &[
    ("spawn-join", |times| Box::pin(spawn_join(times))),
    ("spawn-detached", |times| Box::pin(spawn_detached(times))),
    ("yield", |times| Box::pin(yields(times))),
    ("wake", |times| Box::pin(wakes(times))),
    ("request-answer", |times| Box::pin(requests(times))),
    ("timer", |times| Box::pin(timers(times))),
    ("sleeping-task", |times| Box::pin(sleeping_tasks(times))),
    ("mpsc", |times| Box::pin(messages(times))),
    ("mpsc-local", |times| Box::pin(local_messages(times))),
    ("oneshot", |times| Box::pin(one_message(times))),
    ("oneshot-local", |times| Box::pin(one_local_message(times))),
    ("notify", |times| Box::pin(notices(times))),
    ("notify-local", |times| Box::pin(local_notices(times))),
    ("nop", |times| Box::pin(nops(times))),
    ("echo", |times| Box::pin(echoes(times))),
];

/// A task is spawned, runs to its end, and is joined.
async fn spawn_join(times: u64) {
    for time in 0..times {
        assert_eq!(spawn(async move { black_box(time) }).await.expect("no panic"), time);
    }
}

/// Tasks that nobody joins, 64 before they run.
async fn spawn_detached(times: u64) {
    for time in 0..times {
        drop(spawn(async move {
            black_box(time);
        }));
        if time % 64 == 63 {
            task::yield_now().await;
        }
    }
}

/// A yield of one of two tasks.
async fn yields(times: u64) {
    let yielding = || async move {
        for _ in 0..times / 2 {
            task::yield_now().await;
        }
    };
    let (one, other) = (spawn(yielding()), spawn(yielding()));
    one.await.expect("no panic");
    other.await.expect("no panic");
}

/// A task wakes another one by its waker, and waits for the same.
async fn wakes(times: u64) {
    let (here, there) = (Rc::<RefCell<Option<Waker>>>::default(), Rc::<RefCell<Option<Waker>>>::default());
    let waking = |own: Rc<RefCell<Option<Waker>>>, other: Rc<RefCell<Option<Waker>>>| {
        let mut left = times / 2;
        poll_fn(move |context| {
            if let Some(waker) = other.borrow_mut().take() {
                waker.wake();
            }
            left = left.saturating_sub(1);
            *own.borrow_mut() = Some(context.waker().clone());
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let one = spawn(waking(Rc::clone(&here), Rc::clone(&there)));
    let other = spawn(waking(there, here));
    one.await.expect("no panic");
    other.await.expect("no panic");
}

/// A task answers a request by a channel of its own.
async fn requests(times: u64) {
    let (requests, mut inbox) = local::mpsc::unbounded_channel::<(u64, local::oneshot::Sender<u64>)>();
    let server = spawn(async move {
        while let Some((number, answer)) = inbox.recv().await {
            answer.send(number + 1).expect("somebody waits");
        }
    });
    for time in 0..times {
        let (answer, answered) = local::oneshot::channel();
        requests.send((time, answer)).expect("the server lives");
        assert_eq!(answered.await.expect("the server lives"), time + 1);
    }
    drop(requests);
    server.await.expect("no panic");
}

/// A timer is made, waits, and is dropped.
async fn timers(times: u64) {
    for _ in 0..times {
        let mut sleep = pin!(time::sleep(Duration::from_secs(60)));
        begin_to_wait(sleep.as_mut()).await;
    }
}

/// A task is spawned, sleeps among all the others, wakes, and is joined. On a clock that stands, so that nothing depends on
/// the machine's.
async fn sleeping_tasks(times: u64) {
    time::pause();
    let start = time::Instant::now();
    let mut tasks = Vec::with_capacity(times as usize);
    for time in 0..times {
        let deadline = start + Duration::from_micros(1 + time * 7919 % 1_000_003);
        tasks.push(spawn(time::sleep_until(deadline)));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
}

/// A message, sent and received, for which nobody has to wait.
async fn messages(times: u64) {
    let (tx, mut rx) = mpsc::channel(64);
    for time in 0..times {
        tx.send(black_box(time)).await.expect("the receiver is here");
        assert_eq!(rx.recv().await, Some(time));
    }
}

/// The same, for one thread.
async fn local_messages(times: u64) {
    let (tx, mut rx) = local::mpsc::channel(64);
    for time in 0..times {
        tx.send(black_box(time)).await.expect("the receiver is here");
        assert_eq!(rx.recv().await, Some(time));
    }
}

/// A channel for one message is made, waited for, and used.
async fn one_message(times: u64) {
    for time in 0..times {
        let (tx, rx) = oneshot::channel();
        let mut rx = pin!(rx);
        begin_to_wait(rx.as_mut()).await;
        tx.send(black_box(time)).expect("the receiver is here");
        assert_eq!(rx.await, Ok(time));
    }
}

/// The same, for one thread.
async fn one_local_message(times: u64) {
    for time in 0..times {
        let (tx, rx) = local::oneshot::channel();
        let mut rx = pin!(rx);
        begin_to_wait(rx.as_mut()).await;
        tx.send(black_box(time)).expect("the receiver is here");
        assert_eq!(rx.await, Ok(time));
    }
}

/// Who waits is notified.
async fn notices(times: u64) {
    let notify = Notify::new();
    for _ in 0..times {
        let mut notified = pin!(notify.notified());
        begin_to_wait(notified.as_mut()).await;
        notify.notify_one();
        notified.await;
    }
}

/// The same, for one thread.
async fn local_notices(times: u64) {
    let notify = local::Notify::new();
    for _ in 0..times {
        let mut notified = pin!(notify.notified());
        begin_to_wait(notified.as_mut()).await;
        notify.notify_one();
        notified.await;
    }
}

/// An operation, one of 64 that are submitted together.
async fn nops(times: u64) {
    for _ in 0..times / 64 {
        let nops: [_; 64] = std::array::from_fn(|_| submit(Nop::new()));
        for nop in nops {
            nop.await.expect("a nop");
        }
    }
}

/// A message of 106 bytes to a server and back, over a connection, of 16 at once. Both ends are counted.
async fn echoes(times: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let mut ends = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(address).await.expect("it listens");
        let (server, _) = listener.accept().await.expect("a connection");
        ends.push(spawn(serve(server)));
        ends.push(spawn(ask(client, times / CONNECTIONS)));
    }
    for end in ends {
        end.await.expect("no panic");
    }
}

async fn serve(stream: TcpStream) {
    while let Some(bytes) = stream.recv().await.expect("the client is there") {
        stream.write_all(bytes).await.0.expect("the client reads");
    }
}

async fn ask(stream: TcpStream, times: u64) {
    let mut message = vec![7_u8; 106];
    for _ in 0..times {
        let sent;
        (sent, message) = stream.write_all(message).await;
        sent.expect("the server reads");
        let mut received = 0;
        while received < message.len() {
            received += stream.recv().await.expect("the server is there").expect("it answers").len();
        }
    }
}

/// Polls a future once, which has to wait.
fn begin_to_wait<F: Future>(mut future: Pin<&mut F>) -> impl Future<Output = ()> {
    poll_fn(move |context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
}

/// Of the echo.
const CONNECTIONS: u64 = 16;
