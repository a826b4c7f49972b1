//! Listeners: who gets which connection, shortages, resets, ports.

mod common;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::pin::pin;
use std::process::{Command, id};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use common::{arena, pair, poll_once, read_to_end, reset, run, soon, until, write_all};
use futures_util::StreamExt;
use quoit_net::{TcpListener, TcpStream, lookup_host};
use quoit_runtime::spawn;
use quoit_runtime::task::yield_now;
use quoit_time::timeout;

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn client(address: SocketAddr) -> StdStream {
    let client = StdStream::connect(address).expect("the listener listens");
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client
}

#[test]
fn several_acceptors_get_distinct_connections() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            let (listener, seen) = (Rc::new(listener), Rc::new(RefCell::new(Vec::new())));
            let acceptors: Vec<_> = (0..5)
                .map(|_| {
                    let (listener, seen) = (listener.clone(), seen.clone());
                    spawn(async move {
                        for _connection in 0..40 {
                            let (stream, peer) = listener.accept().await.unwrap();
                            assert_eq!(stream.peer_addr().unwrap(), peer);
                            seen.borrow_mut().push(peer);
                        }
                    })
                })
                .collect();
            let clients = thread::spawn(move || (0..200).map(|_| client(address)).collect::<Vec<_>>());
            for acceptor in acceptors {
                acceptor.await.unwrap();
            }
            let clients = clients.join().unwrap();
            let ours: BTreeSet<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
            assert_eq!(seen.borrow().len(), 200);
            assert_eq!(seen.borrow().iter().copied().collect::<BTreeSet<_>>(), ours);
        });
    });
}

#[test]
fn dropped_listener_refuses_and_its_queued_connections_are_closed() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            assert!(poll_once(pin!(listener.accept())).await.is_pending());
            yield_now().await;
            // In the listener's own queue.
            let queued = [client(address), client(address)];
            for _turn in 0..3 {
                yield_now().await;
            }
            drop(listener);
            for _turn in 0..3 {
                yield_now().await;
            }
            assert_eq!(StdStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
            for mut client in queued {
                let end = client.read(&mut [0]);
                let kind = end.as_ref().err().map(|error| error.kind());
                assert!(matches!(end, Ok(0)) || kind == Some(ErrorKind::ConnectionReset), "{end:?}");
            }
        });
    });
}

#[test]
fn port_of_a_dropped_listener_can_be_bound_at_once() {
    arena(|runtime| {
        run(runtime, async {
            let (mut listener, address) = bound().await;
            for round in 0..100 {
                if round % 3 > 0 {
                    assert!(poll_once(pin!(listener.accept())).await.is_pending());
                }
                if round % 3 > 1 {
                    yield_now().await;
                    let client = client(address);
                    drop(soon("accept", listener.accept()).await.unwrap());
                    drop(client);
                }
                drop(listener);
                listener = TcpListener::bind(address).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
            }
            assert_eq!(TcpListener::bind(address).await.unwrap_err().kind(), ErrorKind::AddrInUse);
            listener.close().await.unwrap();
            StdListener::bind(address).expect("the port is free when the close has ended");
        });
    });
}

/// The descriptors that this process may have.
fn limit_descriptors(count: usize) {
    let status = Command::new("prlimit").arg(format!("--pid={}", id())).arg(format!("--nofile={count}:")).status();
    assert!(status.expect("prlimit is there").success());
}

fn descriptor_limit() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

/// No descriptor is left, until this is dropped.
struct Shortage {
    limit: usize,
    taken: Vec<fs::File>,
}

impl Shortage {
    fn new() -> Self {
        let limit = descriptor_limit();
        limit_descriptors(quoit_testkit::open_fds() + 20);
        let taken = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        Self { limit, taken }
    }
}

impl Drop for Shortage {
    fn drop(&mut self) {
        self.taken.clear();
        limit_descriptors(self.limit);
    }
}

#[test]
fn shortage_of_descriptors_is_told_once_and_costs_nothing_and_loses_nothing() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            let clients: Vec<_> = (0..10).map(|_| client(address)).collect();
            let shortage = Shortage::new();
            let error = soon("accept", listener.accept()).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(24), "{error}");
            let before = runtime.metrics();
            assert!(timeout(Duration::from_millis(1500), listener.accept()).await.is_err(), "told once");
            let enters = runtime.metrics().enters - before.enters;
            assert!(enters < 40, "{enters} entries within 1.5 s of shortage");
            drop(shortage);
            for _client in &clients {
                drop(soon("accept after the shortage", listener.accept()).await.unwrap());
            }
            // The next shortage is told again.
            let shortage = Shortage::new();
            drop(clients);
            drop(shortage);
            let late = client(address);
            let (stream, peer) = soon("accept", listener.accept()).await.unwrap();
            assert_eq!(peer, late.local_addr().unwrap());
            drop(stream);
        });
    });
}

// The end of the pause has to be told to all of them, not to the one that was polled last.
#[test]
fn acceptor_is_woken_after_a_shortage_though_another_one_was_dropped() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            let listener = Rc::new(listener);
            let client = client(address);
            let shortage = Shortage::new();
            let error = soon("accept", listener.accept()).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(24), "{error}");
            let accept = |listener: Rc<TcpListener>| async move { listener.accept().await };
            let first = spawn(accept(listener.clone()));
            yield_now().await;
            let second = spawn(accept(listener.clone()));
            yield_now().await;
            second.abort();
            yield_now().await;
            drop(shortage);
            let (_stream, peer) = soon("the first acceptor", first).await.unwrap().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        });
    });
}

#[test]
fn connection_reset_before_it_is_accepted_is_skipped() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            for _round in 0..5 {
                reset(client(address));
                let good = client(address);
                let (stream, peer) = soon("accept", listener.accept()).await.unwrap();
                assert_eq!(peer, good.local_addr().unwrap());
                drop(stream);
                // Incoming does not ask for the address: it may show it, and goes on.
                reset(client(address));
                let good = client(address);
                let mut incoming = listener.incoming();
                loop {
                    let stream = soon("incoming", incoming.next()).await.unwrap().unwrap();
                    if stream.peer_addr().is_ok_and(|peer| peer == good.local_addr().unwrap()) {
                        break;
                    }
                    assert!(stream.recv().await.is_err());
                }
            }
        });
    });
}

#[test]
fn more_connections_than_the_queue_holds_all_come() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            assert!(poll_once(pin!(listener.accept())).await.is_pending());
            yield_now().await;
            let before = quoit_testkit::open_fds();
            let mut clients: Vec<_> = (0..400).map(|_| client(address)).collect();
            for _turn in 0..20 {
                yield_now().await;
            }
            let queued = || quoit_testkit::open_fds() - before;
            // The kernel accepts all that is there in one go; what comes later waits in the backlog.
            assert!(queued() >= clients.len() + 256, "{}", queued());
            let first = queued() - clients.len();
            clients.extend((0..400).map(|_| client(address)));
            for _turn in 0..20 {
                yield_now().await;
            }
            assert_eq!(queued() - clients.len(), first, "a full queue accepts no more");
            let mut seen = BTreeSet::new();
            for _client in &clients {
                let (stream, peer) = soon("accept", listener.accept()).await.unwrap();
                assert!(seen.insert(peer));
                drop(stream);
            }
            assert_eq!(seen, clients.iter().map(|client| client.local_addr().unwrap()).collect());
        });
    });
}

#[test]
fn ipv6_and_dual_stack_listeners_serve_their_families() {
    arena(|runtime| {
        run(runtime, async {
            let listener = TcpListener::bind("[::1]:0").await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (served, peer) = listener.accept().await.unwrap();
            assert_eq!(stream.local_addr().unwrap(), peer);
            assert_eq!(served.local_addr().unwrap(), stream.peer_addr().unwrap());
            served.write_all("six").await.0.unwrap();
            assert_eq!(stream.recv().await.unwrap().unwrap(), b"six");

            let listener = TcpListener::bind("[::]:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            for host in ["127.0.0.1", "::1"] {
                let stream = TcpStream::connect((host, port)).await.unwrap();
                let (served, peer) = listener.accept().await.unwrap();
                assert_eq!(peer.port(), stream.local_addr().unwrap().port());
                assert_eq!(peer.ip().to_canonical(), host.parse::<std::net::IpAddr>().unwrap());
                drop(served);
            }
        });
    });
}

#[test]
fn sockets_taken_over_from_std_may_be_nonblocking() {
    arena(|runtime| {
        run(runtime, async {
            let listener = StdListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            let mut accept = pin!(listener.accept());
            assert!(poll_once(accept.as_mut()).await.is_pending());
            yield_now().await;
            let near = StdStream::connect(address).unwrap();
            near.set_nonblocking(true).unwrap();
            let near = TcpStream::from(std::os::fd::OwnedFd::from(near));
            let (far, _) = accept.await.unwrap();
            let mut receive = pin!(near.recv());
            assert!(poll_once(receive.as_mut()).await.is_pending());
            yield_now().await;
            far.write_all("late").await.0.unwrap();
            assert_eq!(receive.await.unwrap().unwrap(), b"late");
            let mut write = Box::pin(near.write_all(vec![3; 8 << 20]));
            assert!(poll_once(write.as_mut()).await.is_pending());
            let (count, _) = far.read_exact(Vec::with_capacity(8 << 20)).await;
            assert!(count.unwrap() >= 8 << 20);
            write.await.0.unwrap();
        });
    });
}

#[test]
fn options_come_back_as_they_were_set() {
    arena(|_runtime| {
        let (stream, peer) = pair();
        for on in [true, false] {
            stream.set_nodelay(on).unwrap();
            assert_eq!(stream.nodelay().unwrap(), on);
        }
        for time in [Some(Duration::from_secs(77)), None] {
            stream.set_keepalive(time).unwrap();
            assert_eq!(stream.keepalive().unwrap(), time);
            stream.set_linger(time).unwrap();
            assert_eq!(stream.linger().unwrap(), time);
        }
        stream.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(stream.linger().unwrap(), Some(Duration::ZERO));
        stream.set_ttl(42).unwrap();
        assert_eq!(stream.ttl().unwrap(), 42);
        stream.set_recv_buffer_size(20_000).unwrap();
        assert_eq!(stream.recv_buffer_size().unwrap(), 40_000);
        stream.set_send_buffer_size(30_000).unwrap();
        assert_eq!(stream.send_buffer_size().unwrap(), 60_000);
        assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
        assert_eq!(stream.local_addr().unwrap(), peer.peer_addr().unwrap());
        drop(stream);
        assert_eq!(read_to_end(&peer).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

/// What must come within the resolver's own patience.
async fn error_of<T>(call: impl Future<Output = std::io::Result<T>>) -> std::io::Error {
    match call.await {
        Ok(_) => panic!("it should fail"),
        Err(error) => error,
    }
}

#[test]
fn names_are_resolved_and_wrong_ones_are_errors() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            let stream = TcpStream::connect(("localhost", address.port())).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), address);
            drop(listener.accept().await.unwrap());
            assert!(lookup_host("localhost:80").await.unwrap().all(|address| address.ip().is_loopback()));
            assert_eq!(lookup_host(&[address, address][..]).await.unwrap().count(), 2);
            let error = error_of(TcpStream::connect("no.such.name.invalid:80")).await;
            println!("unknown name: {error:?}");
            assert_eq!(error_of(TcpListener::bind("localhost")).await.kind(), ErrorKind::InvalidInput);
            assert_eq!(error_of(TcpStream::connect(&[] as &[SocketAddr])).await.kind(), ErrorKind::InvalidInput);
            // Dropped on the way, if the helper thread is not faster: it ends by itself.
            let files = quoit_testkit::open_fds();
            drop(poll_once(pin!(lookup_host("localhost:81"))).await);
            until("the helper has closed its files", || quoit_testkit::open_fds() == files).await;
            // The second of several addresses.
            listener.close().await.unwrap();
            let other = bound().await;
            let stream = TcpStream::connect(&[address, other.1][..]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), other.1);
            assert_eq!(error_of(TcpStream::connect(address)).await.kind(), ErrorKind::ConnectionRefused);
        });
    });
}

#[test]
fn queued_connections_with_bytes_are_whole() {
    arena(|runtime| {
        run(runtime, async {
            let (listener, address) = bound().await;
            let clients: Vec<_> = (0..50_u8)
                .map(|number| {
                    let client = client(address);
                    write_all(&client, &[number; 1000]);
                    client
                })
                .collect();
            let mut seen = BTreeSet::new();
            for _client in &clients {
                let (stream, _) = listener.accept().await.unwrap();
                let (count, bytes) = stream.read_exact(Box::new([0; 1000])).await;
                assert_eq!(count.unwrap(), 1000);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]) && seen.insert(bytes[0]));
            }
            for mut client in clients {
                client.write_all(b"x").ok();
            }
            until("nothing is in flight but the accept", || runtime.metrics().in_flight <= 1).await;
        });
    });
}
