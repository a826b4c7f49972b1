//! One machine: its clock, its sockets, and the trace.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use quoit::net::{TcpListener, TcpStream};
use quoit::sim::{self, Faults};
use quoit::time::{Instant, sleep, timeout};
use quoit::{FutureExt, KernelKind, Runtime};

/// A client and a server that echoes. The answer is the trace, and what arrived.
async fn echo(message: Vec<u8>) -> io::Result<(u64, Vec<u8>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = quoit::spawn(async move {
        let stream = TcpStream::connect(address).await?;
        let count = message.len();
        // At once: windows may be smaller than the message.
        let (written, (read, answer)) =
            join(stream.write_all(message), stream.read_exact(Vec::with_capacity(count))).await;
        written.0?;
        read.map(|_| answer)
    });
    let (stream, peer) = listener.accept().await?;
    assert_eq!(stream.peer_addr()?, peer);
    while let Some(received) = stream.recv().await? {
        stream.write_all(received).await.0?;
    }
    let answer = client.await.expect("no panic")?;
    Ok((sim::trace_hash(), answer))
}

fn message() -> Vec<u8> {
    (0..30_000_u32).map(|number| number as u8).collect()
}

#[test]
fn bytes_arrive_as_they_were_sent_and_a_seed_repeats_its_trace() {
    let mut hashes = Vec::new();
    for seed in 0..30 {
        let (hash, answer) = sim::run(seed, echo(message())).expect("a kind world");
        assert!(answer == message(), "seed {seed}");
        let (again, _) = sim::run(seed, echo(message())).expect("a kind world");
        assert_eq!(hash, again, "seed {seed}");
        hashes.push(hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 30);
}

#[test]
fn a_runtime_on_a_world_of_its_own_does_what_run_does() {
    let runtime = Runtime::builder().kernel(KernelKind::Sim { seed: 7 }).build().expect("a world");
    assert_eq!(runtime.kernel(), KernelKind::Sim { seed: 7 });
    let one = runtime.block_on(echo(message())).expect("a kind world");
    let other = sim::run(7, echo(message())).expect("a kind world");
    assert_eq!(one.0, other.0);
    // Its clock stands still while it does not run.
    let before = runtime.block_on(async { Instant::now() });
    assert_eq!(runtime.block_on(async { before.elapsed() }), Duration::ZERO);
    assert!(runtime.shutdown(Duration::from_secs(1)).is_clean());
}

#[test]
fn faults_do_harm_and_healing_ends_them() {
    let failures = RefCell::new(0);
    sim::check(0..100, || async {
        sim::set_faults(
            Faults::new().latency(Duration::ZERO..Duration::from_secs(5)).reset(0.2).short_io(0.5).datagram_loss(0.5),
        );
        let outcome = echo(message()[..20].to_vec()).timeout(Duration::from_secs(600)).await;
        *failures.borrow_mut() += usize::from(!matches!(outcome, Ok(Ok(_))));
        sim::heal();
        echo(message()).await.expect("a kind world");
    });
    let failures = failures.into_inner();
    assert!((1..100).contains(&failures), "{failures} of 100 failed");
}

#[test]
fn the_order_of_ready_tasks_depends_on_the_seed() {
    let order = |seed| {
        sim::run(seed, async {
            let seen = Rc::new(RefCell::new(Vec::new()));
            let spawn = |number| {
                let seen = Rc::clone(&seen);
                quoit::spawn(async move { seen.borrow_mut().push(number) })
            };
            for task in (0..10).map(spawn).collect::<Vec<_>>() {
                task.await.expect("no panic");
            }
            seen.take()
        })
    };
    assert_eq!(order(1), order(1));
    assert!((2..20).any(|seed| order(seed) != order(1)));
}

#[test]
fn nothing_is_open_once_sockets_are_dropped() {
    sim::check(0..30, || async {
        echo(message()).await.expect("a kind world");
        // Closes are operations, too, and take their time.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(sim::open_files(), 0);
    });
}

#[test]
fn a_connection_to_nobody_is_refused_and_to_nowhere_fails() {
    sim::check(0..20, || async {
        let refused = TcpStream::connect("127.0.0.1:7").await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let nowhere = TcpStream::connect("10.9.9.9:7").await.expect_err("no such machine");
        assert_eq!(nowhere.kind(), io::ErrorKind::HostUnreachable);
        let unknown = TcpStream::connect("nobody:7").await.expect_err("no such name");
        assert_eq!(unknown.kind(), io::ErrorKind::NotFound);
        TcpListener::bind("localhost:7").await.expect("a name that every machine has");
    });
}

#[test]
fn a_port_is_taken_until_its_listener_is_closed() {
    sim::check(0..20, || async {
        let listener = TcpListener::bind("0.0.0.0:7").await.expect("a free port");
        let error = TcpListener::bind("127.0.0.1:7").await.expect_err("a port that is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        listener.close().await.expect("a listener");
        TcpListener::bind("127.0.0.1:7").await.expect("a free port");
    });
}

#[test]
fn a_slow_reader_holds_up_its_peer() {
    sim::check(0..10, || async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a listener");
        let (server, _) = listener.accept().await.expect("a connection");
        // Far more than any window and queue hold.
        let writing = quoit::spawn(async move { client.write_all(vec![7; 512 << 10]).await.0 });
        sleep(Duration::from_secs(60)).await;
        // Nobody reads: only windows and queues have filled.
        assert!(!writing.is_finished());
        let mut count = 0;
        while let Some(bytes) = server.recv().await.expect("no error") {
            count += bytes.len();
        }
        assert_eq!(count, 512 << 10);
        writing.await.expect("no panic").expect("all is out");
    });
}

#[test]
#[should_panic(expected = "the simulation stands still")]
fn a_world_in_which_nothing_can_happen_is_told() {
    sim::run(7, std::future::pending::<()>());
}

#[test]
fn waiting_without_sleeping_makes_time_go_by() {
    sim::run(7, async {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1) {
            quoit::task::yield_now().await;
        }
        assert!(timeout(Duration::from_secs(1), std::future::pending::<()>()).await.is_err());
        assert!(start.elapsed() >= Duration::from_secs(1));
    });
}

#[test]
fn another_thread_may_wake_a_world_that_is_not_closed() {
    let runtime = Runtime::builder().kernel(KernelKind::Sim { seed: 7 }).build().expect("a world");
    let (sender, receiver) = quoit::sync::oneshot::channel();
    let thread = std::thread::spawn(move || sender.send(7));
    assert_eq!(runtime.block_on(receiver).expect("a sender"), 7);
    thread.join().expect("no panic").expect("a receiver");
}

#[test]
fn outside_of_a_simulation_time_is_real_and_calls_say_so() {
    assert!(!sim::is_simulated());
    let panic = std::panic::catch_unwind(|| quoit::block_on(async { sim::trace_hash() })).expect_err("no simulation");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("sim::trace_hash: this is not a simulation"), "{text}");
    let real = Instant::now();
    sim::run(7, async { sleep(Duration::from_secs(1_000_000)).await });
    assert!(real.elapsed() < Duration::from_secs(100_000));
}
