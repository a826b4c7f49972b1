//! Several machines: names, partitions, crashes.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use quoit::FutureExt;
use quoit::net::{TcpListener, TcpStream};
use quoit::sim;
use quoit::time::{Instant, sleep};

/// Echoes on port 7, to everybody.
async fn serve() {
    let listener = TcpListener::bind("0.0.0.0:7").await.expect("a free port");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        drop(quoit::spawn(async move {
            while let Some(received) = stream.recv().await? {
                stream.write_all(received).await.0?;
            }
            io::Result::Ok(())
        }));
    }
}

/// One question and its answer.
async fn ask(server: &str) -> io::Result<()> {
    let stream = TcpStream::connect(server).await?;
    stream.write_all("ping").await.0?;
    match stream.recv().await? {
        Some(answer) => assert_eq!(&answer[..], b"ping"),
        None => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    Ok(())
}

#[quoit::test(kernel = "sim", seeds = 100)]
async fn a_client_survives_its_server() {
    let server = sim::host("server", serve);
    let client = sim::host("client", || async {
        while ask("server:7").await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    sim::partition(server.ip(), client.ip());
    sleep(Duration::from_secs(10)).await;
    server.crash();
    sim::heal();
    server.restart();
    client.join().await;
}

#[quoit::test(kernel = "sim", seeds = 3)]
async fn an_operation_that_is_alone_is_performed_by_the_world_and_by_no_call_of_ours() {
    let server = sim::host("server", serve);
    ask("server:7").await.expect("a listener");
    let metrics = quoit::metrics();
    assert_eq!((metrics.attempts, metrics.vain_attempts), (0, 0));
    server.crash();
}

#[quoit::test(kernel = "sim", seeds = 50)]
async fn a_partition_delays_what_was_sent_and_loses_nothing() {
    let server = sim::host("server", serve);
    let stream = TcpStream::connect("server:7").await.expect("a listener");
    assert_eq!(stream.peer_addr().expect("connected").ip(), server.ip());
    sim::partition(sim::ip(), server.ip());
    let start = Instant::now();
    stream.write_all("ping").await.0.expect("room for four bytes");
    assert!(stream.recv().timeout(Duration::from_secs(30)).await.is_err());
    sim::heal();
    let answer = stream.recv().timeout(Duration::from_secs(600)).await.expect("healed").expect("no error");
    assert_eq!(&answer.expect("bytes")[..], b"ping");
    assert!(start.elapsed() >= Duration::from_secs(30));
}

#[quoit::test(kernel = "sim", seeds = 50)]
async fn a_connection_that_is_cut_off_for_good_times_out() {
    let server = sim::host("server", serve);
    let stream = TcpStream::connect("server:7").await.expect("a listener");
    sim::partition(sim::ip(), server.ip());
    let error = TcpStream::connect("server:7").await.expect_err("no way");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    stream.write_all("ping").await.0.expect("room for four bytes");
    let error = stream.recv().await.expect_err("no way");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn peers_of_a_machine_that_crashes_see_a_reset_or_silence() {
    let seen = RefCell::new((0, 0));
    sim::check(0..50, || async {
        let server = sim::host("server", serve);
        let stream = TcpStream::connect("server:7").await.expect("a listener");
        stream.write_all("ping").await.0.expect("connected");
        stream.recv().await.expect("connected");
        server.crash();
        match stream.recv().timeout(Duration::from_secs(60)).await {
            Ok(reset) => {
                assert_eq!(reset.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
                seen.borrow_mut().0 += 1;
            }
            Err(_) => {
                seen.borrow_mut().1 += 1;
                // Once it is back, it knows nothing of the connection.
                server.restart();
                stream.write_all("ping").await.0.expect("nobody has said no yet");
                let error = stream.recv().await.expect_err("a reset");
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
        }
    });
    let (resets, silences) = seen.into_inner();
    assert!(resets > 0 && silences > 0, "{resets} resets, {silences} silences");
}

#[test]
fn a_crash_drops_what_a_machine_runs_and_a_restart_makes_it_again() {
    struct Counts(Rc<Cell<u32>>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    sim::check(0..20, || async {
        let (made, dropped) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let host = sim::host("other", {
            let (made, dropped) = (Rc::clone(&made), Rc::clone(&dropped));
            move || {
                made.set(made.get() + 1);
                let counts = Counts(Rc::clone(&dropped));
                async move {
                    sleep(Duration::from_secs(5)).await;
                    drop(counts);
                }
            }
        });
        sleep(Duration::from_secs(1)).await;
        host.crash();
        assert_eq!((made.get(), dropped.get()), (1, 1));
        host.crash();
        host.restart();
        host.restart();
        assert_eq!((made.get(), dropped.get()), (3, 2));
        let start = Instant::now();
        host.join().await;
        assert_eq!((start.elapsed(), dropped.get()), (Duration::from_secs(5), 3));
        // What has finished goes on having finished.
        host.join().await;
    });
}

#[test]
fn a_machine_may_crash_itself() {
    sim::check(0..20, || async {
        let this: Rc<RefCell<Option<sim::Host>>> = Rc::default();
        let host = sim::host("other", {
            let this = Rc::clone(&this);
            move || {
                let this = Rc::clone(&this);
                async move {
                    sleep(Duration::from_secs(1)).await;
                    let host = this.borrow().clone().expect("set below");
                    host.crash();
                    std::future::pending::<()>().await;
                }
            }
        });
        this.replace(Some(host.clone()));
        assert!(host.join().timeout(Duration::from_secs(5)).await.is_err());
        this.take();
    });
}

#[test]
#[should_panic(expected = "seed 0 fails: a machine fails")]
fn a_panic_of_a_machine_fails_the_run() {
    sim::check(0..5, || async {
        let host = sim::host("other", || async { panic!("a machine fails") });
        host.join().await;
    });
}

#[test]
#[should_panic(expected = "there is a machine named \"twin\" already")]
fn two_machines_of_one_name_are_refused() {
    sim::run(7, async {
        sim::host("twin", || async {});
        sim::host("twin", || async {});
    });
}

#[test]
fn a_seed_repeats_the_trace_of_many_machines() {
    let hash = |seed| {
        sim::run(seed, async {
            sim::host("server", serve);
            let clients: Vec<sim::Host> = ["a", "b", "c"]
                .into_iter()
                .map(|name| {
                    sim::host(name, || async {
                        for _ in 0..5 {
                            while ask("server:7").await.is_err() {
                                sleep(Duration::from_millis(1)).await;
                            }
                        }
                    })
                })
                .collect();
            for client in clients {
                client.join().await;
            }
            sim::trace_hash()
        })
    };
    for seed in 0..20 {
        assert_eq!(hash(seed), hash(seed));
    }
}
