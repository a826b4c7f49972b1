//! Unix streams and listeners: names of every kind, credentials, halves, and what streams promise elsewhere, too.

mod common;

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener, UnixStream as StdStream};
use std::pin::pin;

use common::unix::TempPath;
use common::{PATIENCE, arena, arena_of, end, poll_once, run, soon};
use futures_util::StreamExt;
use quoit_net::{UnixListener, UnixStream};
use quoit_runtime::task::yield_now;
use quoit_runtime::{Runtime, spawn};

fn test(body: impl AsyncFnOnce()) {
    arena(|runtime| run(runtime, body()));
}

fn abstract_name(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("quoit-{name}-{}", std::process::id())).unwrap()
}

#[test]
fn streams_connect_by_path_and_by_abstract_name_and_know_who_is_there() {
    test(async || {
        let path = TempPath::new("stream");
        let name = abstract_name("stream");
        let (by_path, by_name) = (UnixListener::bind(path.path()).unwrap(), UnixListener::bind_addr(&name).unwrap());
        assert_eq!(by_path.local_addr().unwrap().as_pathname(), Some(path.path()));
        for by_address in [false, true] {
            let (client, (server, peer)) = if by_address {
                (UnixStream::connect_addr(&name).await.unwrap(), by_name.accept().await.unwrap())
            } else {
                (UnixStream::connect(path.path()).await.unwrap(), by_path.accept().await.unwrap())
            };
            assert!(peer.is_unnamed() && client.local_addr().unwrap().is_unnamed());
            let address = client.peer_addr().unwrap();
            assert_eq!(address.as_pathname(), (!by_address).then_some(path.path()));
            assert_eq!(address.as_abstract_name().is_some(), by_address);
            let credentials = server.peer_cred().unwrap();
            assert_eq!(credentials.pid(), Some(std::process::id() as i32));
            assert_eq!((credentials.uid(), credentials.gid()), {
                let pair = UnixStream::pair().unwrap().0.peer_cred().unwrap();
                (pair.uid(), pair.gid())
            });
            client.write_all("ping").await.0.unwrap();
            let (read, buf) = server.read_exact(Box::new([0; 4])).await;
            assert_eq!((read.unwrap(), &*buf), (4, b"ping"));
            server.write_all_vectored(vec![vec![1, 2], vec![3]]).await.0.unwrap();
            assert_eq!(client.recv().await.unwrap().unwrap(), [1, 2, 3]);
            client.close().await.unwrap();
            assert!(server.recv().await.unwrap().is_none());
            assert!(server.take_error().unwrap().is_none());
        }
        by_path.close().await.unwrap();
        // The path stays, as with std.
        assert_eq!(UnixListener::bind(path.path()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(UnixStream::connect(path.path()).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let missing = UnixStream::connect("/nowhere/at/all").await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let unnamed = UnixStream::pair().unwrap().0.local_addr().unwrap();
        assert_eq!(UnixStream::connect_addr(&unnamed).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(UnixListener::bind_addr(&unnamed).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn an_abstract_name_is_free_as_soon_as_its_listener_is_closed_though_it_was_accepting() {
    test(async || {
        let name = abstract_name("again");
        for _again in 0..3 {
            let listener = UnixListener::bind_addr(&name).unwrap();
            assert!(poll_once(pin!(listener.accept())).await.is_pending());
            yield_now().await;
            listener.close().await.unwrap();
        }
    });
}

#[test]
fn a_dropped_or_forgotten_accept_leaves_its_connection_to_the_next_one() {
    test(async || {
        let name = abstract_name("accept");
        let listener = UnixListener::bind_addr(&name).unwrap();
        assert!(poll_once(pin!(listener.accept())).await.is_pending());
        let mut forgotten = Box::pin(async { listener.accept().await });
        assert!(poll_once(forgotten.as_mut()).await.is_pending());
        std::mem::forget(forgotten);
        let _client = UnixStream::connect_addr(&name).await.unwrap();
        soon("the connection", listener.incoming().next()).await.unwrap().unwrap();
    });
}

#[test]
fn a_connect_waits_while_the_backlog_is_full() {
    test(async || {
        let path = TempPath::new("backlog");
        let listener = StdListener::bind(path.path()).unwrap();
        socket2::SockRef::from(&listener).listen(1).unwrap();
        let mut connected = Vec::new();
        let waiting = loop {
            let mut connect = Box::pin(UnixStream::connect(path.path().to_owned()));
            let mut done = None;
            for _turn in 0..50 {
                if let std::task::Poll::Ready(stream) = poll_once(connect.as_mut()).await {
                    done = Some(stream.unwrap());
                    break;
                }
                yield_now().await;
            }
            match done {
                Some(stream) => connected.push(stream),
                None => break connect,
            }
            assert!(connected.len() < 10);
        };
        // One that is given up is closed.
        drop(UnixStream::connect(path.path()));
        let accepting = std::thread::spawn(move || {
            let first = listener.accept().unwrap().0;
            (first, listener.accept().unwrap().0, listener)
        });
        soon("the connection", waiting).await.unwrap();
        let _ = accepting.join().unwrap();
    });
}

#[test]
fn reads_that_are_dropped_or_forgotten_lose_no_byte() {
    test(async || {
        let (stream, mut peer) = StdStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = UnixStream::from_std(stream).unwrap();
        assert!(poll_once(pin!(stream.read_exact(Box::new([0; 8])))).await.is_pending());
        peer.write_all(b"abc").unwrap();
        yield_now().await;
        let mut forgotten = Box::pin(stream.read_exact(Box::new([0; 8])));
        assert!(poll_once(forgotten.as_mut()).await.is_pending());
        std::mem::forget(forgotten);
        peer.write_all(b"defgh").unwrap();
        let (read, buf) = soon("the bytes", stream.read_exact(Box::new([0; 8]))).await;
        assert_eq!((read.unwrap(), &*buf), (8, b"abcdefgh"));
        drop(peer);
        assert_eq!(stream.read(Vec::with_capacity(9)).await.0.unwrap(), 0);
    });
}

#[test]
fn a_writer_that_is_ahead_of_its_reader_is_held_up_and_nothing_is_lost() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|index| (index / 11) as u8).collect();
        let expected = bytes.clone();
        let writing = spawn(async move {
            one.write_all(bytes).await.0.unwrap();
            one.close().await.unwrap();
        });
        let mut seen = 0;
        while let Some(received) = soon("bytes", other.recv()).await.unwrap() {
            assert!(received[..] == expected[seen..seen + received.len()]);
            seen += received.len();
            if seen % 5 == 0 {
                yield_now().await;
            }
        }
        assert_eq!(seen, expected.len());
        writing.await.unwrap();
    });
}

#[test]
fn halves_go_to_tasks_and_the_end_of_the_writing_one_is_seen() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (reader, writer) = one.into_split();
        writer.write_all("last words").await.0.unwrap();
        drop(writer);
        assert_eq!(other.recv().await.unwrap().unwrap(), b"last words");
        assert!(other.recv().await.unwrap().is_none());
        other.write_all("heard").await.0.unwrap();
        assert_eq!(reader.recv().await.unwrap().unwrap(), b"heard");
        // It is at the end.
        other.readable().await.unwrap();
        let (one, _other) = UnixStream::pair().unwrap();
        let (reader, writer) = one.split();
        assert!(poll_once(pin!(reader.readable())).await.is_pending());
        writer.writable().await.unwrap();
    });
}

#[test]
fn a_peer_that_is_gone_is_a_broken_pipe_and_stays_one() {
    test(async || {
        let (one, other) = UnixStream::pair().unwrap();
        drop(other);
        yield_now().await;
        yield_now().await;
        for _again in 0..2 {
            let (written, buf) = one.write_all("x").await;
            assert_eq!((written.unwrap_err().kind(), buf), (io::ErrorKind::BrokenPipe, "x"));
        }
    });
}

#[test]
fn streams_and_listeners_of_std_go_in_and_out() {
    test(async || {
        let path = TempPath::new("std");
        let listener = UnixListener::from_std(StdListener::bind(path.path()).unwrap()).unwrap();
        let mut client = StdStream::connect(path.path()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        // A read that was dropped is in the way of nothing.
        assert!(poll_once(pin!(server.recv())).await.is_pending());
        let mut server = server.into_std().unwrap();
        server.write_all(b"from std").unwrap();
        let mut buf = [0; 8];
        client.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"from std");
        drop(listener.into_std().unwrap());
        let server = UnixStream::from(std::os::fd::OwnedFd::from(server));
        client.write_all(b"back").unwrap();
        assert_eq!(server.recv().await.unwrap().unwrap(), b"back");
    });
}

#[test]
fn a_stream_outlives_its_runtime_and_then_gives_errors() {
    arena_of(
        |_| {},
        |runtime| {
            let (one, other) = run(&runtime, async {
                let (one, other) = UnixStream::pair().unwrap();
                assert!(poll_once(pin!(one.recv_fds(Vec::with_capacity(9)))).await.is_pending());
                (one, other)
            });
            assert!(runtime.shutdown(PATIENCE).is_clean());
            let another = Runtime::new().unwrap();
            run(&another, async {
                assert_eq!(one.recv_fds(Vec::with_capacity(9)).await.0.unwrap_err().raw_os_error(), Some(108));
                assert!(one.write_all("x").await.0.is_err());
            });
            drop((one, other));
            end(another, 0);
        },
    );
}

#[test]
fn streams_can_be_served_copied_and_read_by_the_traits() {
    test(async || {
        let name = abstract_name("served");
        let listener = UnixListener::bind_addr(&name).unwrap();
        let echo = async |stream: UnixStream| {
            let (reader, writer) = stream.split();
            quoit_runtime::io::copy(&reader, &writer).await.unwrap();
        };
        let serving = spawn(quoit_net::serve(listener, echo));
        for text in ["one", "two"] {
            let client = UnixStream::connect_addr(&name).await.unwrap();
            client.write_all(text).await.0.unwrap();
            client.shutdown(std::net::Shutdown::Write).await.unwrap();
            let (read, back) = client.read_exact(vec![0; 3].into_boxed_slice()).await;
            assert_eq!((read.unwrap(), &*back), (3, text.as_bytes()));
            assert!(client.recv().await.unwrap().is_none());
        }
        serving.abort();
        let _ = serving.await;
    });
}
