//! Small rings, small pools, many connections; and what a message costs.

mod common;

use std::cell::Cell;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use common::{arena_with, pair, read_to_end, run_for, soon, std_pair, write_all};
use quoit_net::{TcpListener, TcpStream};
use quoit_runtime::buf::RecvBuf;
use quoit_runtime::{Builder, KernelKind, Runtime, spawn};
use quoit_testkit::{EchoLoad, EchoReport, allocations_of_this_thread};

/// What the server measures, while all connections are busy.
struct Measure {
    connections: usize,
    messages_per_connection: u64,
    messages: Cell<u64>,
    /// Connections that have echoed some messages.
    warm: Cell<usize>,
    /// Messages, allocations and entries when all were warm, and when the first was about to end.
    marks: Cell<[Option<(u64, u64, u64)>; 2]>,
}

impl Measure {
    fn new(load: &EchoLoad) -> Rc<Self> {
        Rc::new(Self {
            connections: load.connections,
            messages_per_connection: load.messages_per_connection,
            messages: Cell::new(0),
            warm: Cell::new(0),
            marks: Cell::new([None; 2]),
        })
    }

    /// A connection has echoed so many messages.
    fn echoed(&self, count: u64) {
        self.messages.set(self.messages.get() + 1);
        let mark = || Some((self.messages.get(), allocations_of_this_thread(), quoit_runtime::metrics().enters));
        let mut marks = self.marks.get();
        if count == self.messages_per_connection / 8 {
            self.warm.set(self.warm.get() + 1);
            if self.warm.get() == self.connections {
                marks[0] = mark();
            }
        }
        if count == self.messages_per_connection - 1 && marks[1].is_none() {
            marks[1] = mark();
        }
        self.marks.set(marks);
    }
}

/// Echoes until the end. No error may be seen.
async fn echo(stream: TcpStream, measure: Rc<Measure>) {
    let mut count = 0;
    while let Some(bytes) = stream.recv().await.expect("no error reaches the user") {
        let (result, bytes) = stream.write_all(bytes).await;
        result.expect("no error reaches the user");
        drop(bytes);
        count += 1;
        measure.echoed(count);
    }
}

/// Serves a load to its end.
fn serve(runtime: &Runtime, load: impl FnOnce(SocketAddr) -> EchoLoad) -> (EchoReport, Rc<Measure>) {
    let (load, measure) = run_for(runtime, Duration::from_secs(120), async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let load = load(listener.local_addr().unwrap());
        let (connections, measure) = (load.connections, Measure::new(&load));
        let load: thread::JoinHandle<io::Result<EchoReport>> = thread::spawn(move || load.run());
        let tasks: Vec<_> = {
            let mut tasks = Vec::new();
            for _connection in 0..connections {
                let (stream, _) = listener.accept().await.expect("no error reaches the user");
                stream.set_nodelay(true).unwrap();
                tasks.push(spawn(echo(stream, measure.clone())));
            }
            tasks
        };
        for task in tasks {
            task.await.expect("no error reaches the user");
        }
        listener.close().await.unwrap();
        (load, measure)
    });
    let report = load.join().unwrap().expect("every byte comes back");
    println!("{report}; {:?}", runtime.metrics());
    (report, measure)
}

fn load(address: SocketAddr, connections: usize, messages: u64, most: u64) -> EchoLoad {
    let mut load = EchoLoad::new(address);
    (load.connections, load.messages_per_connection, load.max_bytes) = (connections, messages, most);
    load
}

#[test]
fn ring_of_eight_entries_serves_500_connections() {
    let small = |builder: &mut Builder| {
        builder.entries(8).completion_entries(16);
    };
    arena_with(small, |runtime| {
        let (report, _) = serve(runtime, |address| load(address, 500, 20, 8_000));
        assert_eq!((report.connections, report.messages), (500, 10_000));
        // Else this shows nothing; but the queue of the emulated ring grows instead.
        let overflows = runtime.metrics().overflows;
        assert_eq!(overflows > 0, runtime.kernel() != KernelKind::Epoll, "{:?}", runtime.metrics());
    });
}

#[test]
fn pool_of_four_buffers_serves_50_connections() {
    let small = |builder: &mut Builder| {
        builder.buffer_pool(4, 4096);
    };
    arena_with(small, |runtime| {
        let (report, _) = serve(runtime, |address| load(address, 50, 50, 60_000));
        assert_eq!((report.connections, report.messages), (50, 2_500));
        assert!(runtime.metrics().no_buffers > 0, "else this shows nothing: {:?}", runtime.metrics());
    });
}

#[test]
fn hoarder_of_all_buffers_does_not_starve_the_others() {
    let small = |builder: &mut Builder| {
        builder.buffer_pool(8, 1024);
    };
    arena_with(small, |runtime| {
        let (hoarding, peer) = pair();
        let writer = thread::spawn(move || {
            write_all(&peer, &vec![1; 64 << 10]);
            peer
        });
        let mut hoard: Vec<RecvBuf> = Vec::new();
        run_for(runtime, Duration::from_secs(20), async {
            while runtime.metrics().buffers_lent < 8 {
                hoard.push(soon("recv", hoarding.recv()).await.unwrap().unwrap());
            }
        });
        let (report, _) = serve(runtime, |address| load(address, 20, 20, 20_000));
        assert_eq!(report.messages, 400);
        // The hoarder, too, goes on.
        run_for(runtime, Duration::from_secs(20), async {
            let mut count = hoard.iter().map(|bytes| bytes.len()).sum::<usize>();
            while count < 64 << 10 {
                let bytes = soon("recv", hoarding.recv()).await.unwrap().unwrap();
                count += bytes.len();
                hoard.push(bytes);
            }
            assert_eq!(count, 64 << 10);
        });
        drop(writer.join().unwrap());
        assert!(hoard.iter().all(|bytes| bytes.iter().all(|byte| *byte == 1)));
        drop(hoard);
    });
}

#[test]
fn loan_may_outlive_its_stream_and_go_to_other_threads() {
    arena_with(
        |builder| {
            builder.buffer_pool(2, 1024);
        },
        |runtime| {
            let (stream, peer) = pair();
            write_all(&peer, b"kept");
            let bytes = run_for(runtime, Duration::from_secs(5), async {
                let bytes = stream.recv().await.unwrap().unwrap().into_bytes();
                stream.close().await.unwrap();
                bytes
            });
            assert_eq!(read_to_end(&peer).unwrap(), b"");
            thread::spawn(move || assert_eq!(bytes, b"kept"[..])).join().unwrap();
            let (near, far) = std_pair();
            let stream = TcpStream::from_std(near).unwrap();
            for _round in 0..100 {
                write_all(&far, b"again");
                let bytes = run_for(runtime, Duration::from_secs(5), stream.recv()).unwrap().unwrap();
                thread::spawn({
                    let bytes = bytes.into_bytes();
                    move || assert_eq!(bytes, b"again"[..])
                })
                .join()
                .unwrap();
            }
            drop(stream);
        },
    );
}

/// Allocations, and entries a message, between two marks.
fn costs(connections: usize, messages: u64) -> (u64, f64) {
    let mut costs = None;
    arena_with(
        |_| {},
        |runtime| {
            let one_size = |address| {
                let mut load = load(address, connections, messages, 64);
                load.min_bytes = 64;
                load
            };
            let (_, measure) = serve(runtime, one_size);
            let [Some(before), Some(after)] = measure.marks.get() else { panic!("two marks") };
            let count = after.0.checked_sub(before.0).filter(|count| *count > 1_000).expect("all were busy at once");
            let entries = (after.2 - before.2) as f64 / count as f64;
            println!("{connections} connections: {entries:.4} entries a message over {count} messages");
            costs = Some((after.1 - before.1, entries));
        },
    );
    costs.expect("the arena has run")
}

#[test]
fn echo_of_one_connection_allocates_nothing() {
    let (allocations, _) = costs(1, 8_000);
    assert_eq!(allocations, 0);
}

#[test]
fn echo_of_64_connections_allocates_nothing() {
    let (allocations, _) = costs(64, 400);
    // Of 20,000 messages or so; a list of the runtime's may still grow to the largest burst so far.
    assert!(allocations <= 64, "{allocations} allocations");
}

// The figure of `costs` depends on how fast the load is: a server that waits for it enters for each message. So here the
// messages of all connections come together.
#[test]
fn messages_that_come_together_share_their_entries() {
    arena_with(
        |_| {},
        |runtime| {
            let measure = Measure::new(&load(([127, 0, 0, 1], 1).into(), 64, 1000, 64));
            let (streams, peers): (Vec<_>, Vec<_>) = (0..64).map(|_| pair()).unzip();
            let (rounds, warm_up) = (200, 50);
            let mut before = (0, 0);
            run_for(runtime, Duration::from_secs(60), async {
                let tasks: Vec<_> = streams.into_iter().map(|stream| spawn(echo(stream, measure.clone()))).collect();
                for round in 1..=rounds {
                    peers.iter().for_each(|peer| write_all(peer, &[round; 64]));
                    let all = u64::from(round) * 64;
                    common::until("all are echoed", || measure.messages.get() == all).await;
                    for mut peer in &peers {
                        let mut bytes = [0; 64];
                        peer.read_exact(&mut bytes).unwrap();
                        assert_eq!(bytes, [round; 64]);
                    }
                    if round == warm_up {
                        before = (allocations_of_this_thread(), runtime.metrics().enters);
                    }
                }
                let allocations = allocations_of_this_thread() - before.0;
                let entries = (runtime.metrics().enters - before.1) as f64 / (f64::from(rounds - warm_up) * 64.0);
                println!("64 messages at once: {entries:.4} entries a message");
                assert_eq!(allocations, 0);
                assert!(entries <= 0.1, "{entries} entries a message");
                drop(peers);
                for task in tasks {
                    task.await.unwrap();
                }
            });
        },
    );
}

/// The pool begins with 64 buffers. That 100 streams find it empty in one turn is one reason to grow, not many.
#[test]
fn pool_grows_once_for_all_who_find_it_empty() {
    common::arena(|runtime| {
        let (streams, peers): (Vec<_>, Vec<_>) = (0..100).map(|_| pair()).unzip();
        run_for(runtime, Duration::from_secs(20), async {
            for stream in &streams {
                assert!(common::poll_once(std::pin::pin!(stream.recv())).await.is_pending());
            }
            quoit_runtime::task::yield_now().await;
            for peer in &peers {
                write_all(peer, b"at once");
            }
            let mut held = Vec::new();
            for stream in &streams {
                held.push(soon("recv", stream.recv()).await.unwrap().unwrap());
            }
            assert!(held.iter().all(|bytes| *bytes == b"at once"[..]));
        });
        let metrics = runtime.metrics();
        assert!(metrics.no_buffers > 0);
        assert_eq!(metrics.buffers, 128);
    });
}
