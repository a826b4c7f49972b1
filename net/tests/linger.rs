//! Sockets that linger: to close them holds up nobody.

mod common;

use std::io::Read;
use std::net::TcpStream as StdStream;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use common::{Known, arena_with, poll_once, run, std_pair};
use quoit_net::{TcpListener, TcpStream};
use quoit_runtime::task::yield_now;
use quoit_runtime::{KernelKind, Runtime};
use socket2::SockRef;

/// Longer than anybody would wait.
const LINGER: Duration = Duration::from_secs(40);

/// Fills a stream with more than its peer has room for, has it dropped or closed, and only then lets the peer read: it must get
/// all.
fn closes_at_once(make: impl AsyncFn() -> (TcpStream, StdStream), close: impl AsyncFn(TcpStream)) {
    for kernel in [KernelKind::IoUring, KernelKind::Epoll] {
        arena_with(
            |builder| {
                builder.kernel(kernel);
            },
            |runtime| go(runtime, &make, &close),
        );
    }
}

fn go(runtime: &Runtime, make: &impl AsyncFn() -> (TcpStream, StdStream), close: &impl AsyncFn(TcpStream)) {
    run(runtime, async {
        let (stream, mut peer) = make().await;
        assert_eq!(stream.linger().unwrap(), Some(LINGER));
        let mut known = Known::default();
        // As much as finds room, and none that would have to wait.
        while poll_once(pin!(stream.writable())).await.is_ready() || wait_a_little(&stream).await {
            let bytes = known.next(20_000);
            let (sent, _) = stream.write(bytes).await;
            known = Known::starting_at(known.at() - 20_000 + sent.unwrap() as u64);
        }
        let (close_is_done, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            // The thread of the runtime sleeps in the kernel, if it does.
            assert_ne!(told.recv_timeout(LINGER / 2), Err(RecvTimeoutError::Timeout), "the close holds up the others");
            let (mut known, mut bytes) = (Known::default(), vec![0; 100_000]);
            loop {
                match peer.read(&mut bytes).unwrap() {
                    0 => return known.at(),
                    count => known.check(&bytes[..count]),
                }
            }
        });
        close(stream).await;
        for _turn in 0..4 {
            yield_now().await;
        }
        close_is_done.send(()).unwrap();
        let came = quoit_runtime::blocking::run(move || reader.join()).await.expect("no panic");
        assert_eq!(came, known.at());
    });
}

/// Room may come when the peer's kernel has taken something.
async fn wait_a_little(stream: &TcpStream) -> bool {
    quoit_time::timeout(Duration::from_millis(50), stream.writable()).await.is_ok()
}

async fn ours() -> (TcpStream, StdStream) {
    let (stream, peer) = common::pair();
    stream.set_linger(Some(LINGER)).unwrap();
    (stream, peer)
}

async fn dropped(stream: TcpStream) {
    drop(stream);
}

async fn closed(stream: TcpStream) {
    stream.close().await.unwrap();
}

#[test]
fn a_stream_that_lingers_is_dropped_without_holding_up_its_thread() {
    closes_at_once(ours, dropped);
}

#[test]
fn a_stream_that_lingers_is_closed_without_holding_up_its_thread() {
    closes_at_once(ours, closed);
}

#[test]
fn a_stream_that_std_has_told_to_linger_holds_up_nobody() {
    let from_std = async || {
        let (near, far) = std_pair();
        SockRef::from(&near).set_linger(Some(LINGER)).unwrap();
        (TcpStream::from_std(near).unwrap(), far)
    };
    closes_at_once(from_std, dropped);
    let from_descriptor = async || {
        let (near, far) = std_pair();
        SockRef::from(&near).set_linger(Some(LINGER)).unwrap();
        (TcpStream::from(OwnedFd::from(near)), far)
    };
    closes_at_once(from_descriptor, closed);
}

#[test]
fn a_stream_that_has_it_from_its_listener_holds_up_nobody() {
    let accepted = async || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_linger(Some(LINGER)).unwrap();
        let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (stream, peer)
    };
    closes_at_once(accepted, dropped);
}

#[test]
fn a_stream_that_leaves_us_lingers_as_it_was_told() {
    arena_with(
        |_| {},
        |runtime| {
            run(runtime, async {
                let (stream, _peer) = ours().await;
                let socket = stream.into_std().unwrap();
                assert_eq!(SockRef::from(&socket).linger().unwrap(), Some(LINGER));
                SockRef::from(&socket).set_linger(None).unwrap();
            });
        },
    );
}
