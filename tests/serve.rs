//! `net::serve`: connections are served until it is asked to stop, whatever happens to them.

mod arena;

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream as StdStream;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use quoit::FutureExt as _;
use quoit::net::{TcpListener, TcpSocket, TcpStream, serve};
use quoit::sync::{CancellationToken, oneshot};
use quoit::task::yield_now;

use arena::{arena, some_turns};

async fn echo(stream: TcpStream) -> io::Result<()> {
    while let Some(received) = stream.recv().await? {
        stream.write_all(received).await.0?;
    }
    Ok(())
}

async fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn each_connection_has_a_task_and_a_panic_ends_its_own_only() {
    arena(|| async {
        let (listener, address) = listener().await;
        let token = CancellationToken::new();
        let stop = token.clone();
        let mut count = 0;
        // The third panics before there is a future, the fourth in it.
        let serving = quoit::spawn(async move {
            let handler = move |stream: TcpStream| {
                count += 1;
                assert_ne!(count, 3, "a panic that is meant to be");
                let panics = count == 4;
                async move {
                    assert!(!panics, "another panic that is meant to be");
                    echo(stream).await
                }
            };
            serve(listener, handler).with_cancel(&stop).await
        });
        let mut served = 0;
        for _ in 0..6 {
            let client = TcpStream::connect(address).await.unwrap();
            let (_, _) = client.write_all("ping").await;
            let answer = client.recv().await;
            if let Ok(Some(bytes)) = answer {
                assert_eq!(&bytes[..], b"ping");
                served += 1;
            }
        }
        assert_eq!(served, 4);
        token.cancel();
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn a_stop_closes_the_listener_ends_idle_handlers_and_lets_answers_out() {
    arena(|| async {
        let (listener, address) = listener().await;
        let token = CancellationToken::new();
        let (release, released) = oneshot::channel::<()>();
        let released = Rc::new(Cell::new(Some(released)));
        let stopped = Rc::new(Cell::new(0));
        let (stop, stopped_inside) = (token.clone(), Rc::clone(&stopped));
        let serving = quoit::spawn(async move {
            let handler = move |stream: TcpStream| {
                let (released, stopped) = (Rc::clone(&released), Rc::clone(&stopped_inside));
                async move {
                    loop {
                        match stream.recv().await {
                            Ok(Some(request)) => {
                                if let Some(released) = released.take() {
                                    // Not I/O: the stop does not reach it.
                                    released.await.unwrap();
                                }
                                stream.write_all(request).await.0.unwrap();
                            }
                            Ok(None) => return,
                            Err(error) => {
                                assert!(quoit::is_cancelled(&error), "{error}");
                                stopped.set(stopped.get() + 1);
                                return;
                            }
                        }
                    }
                }
            };
            serve(listener, handler).with_cancel(&stop).await
        });
        let busy = TcpStream::connect(address).await.unwrap();
        let idle = TcpStream::connect(address).await.unwrap();
        busy.write_all("a request in hand").await.0.unwrap();
        while quoit::metrics().tasks < 3 {
            yield_now().await;
        }
        some_turns().await;
        token.cancel();
        assert!(idle.recv().await.unwrap().is_none());
        assert_eq!(StdStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(!serving.is_finished());
        release.send(()).unwrap();
        assert_eq!(&busy.recv().await.unwrap().unwrap()[..], b"a request in hand");
        assert!(busy.recv().await.unwrap().is_none());
        serving.await.unwrap().unwrap();
        assert_eq!(stopped.get(), 2);
    });
}

#[test]
fn an_answer_that_a_stop_has_spared_is_still_stopped_by_the_handlers_own_scopes() {
    arena(|| async {
        let (listener, address) = listener().await;
        let (token, hurry) = (CancellationToken::new(), CancellationToken::new());
        let (stop, own) = (token.clone(), hurry.clone());
        let serving = quoit::spawn(async move {
            let handler = move |stream: TcpStream| {
                let (own, unused) = (own.clone(), CancellationToken::new());
                async move {
                    // The peer takes nothing. Two futures, of which one has a waker of its own, in a scope in a scope.
                    let write = stream.write_all(vec![0; 32 << 20]);
                    let writes: FuturesUnordered<_> = [write].into_iter().collect();
                    let (results, (late, _)) = join(writes.collect::<Vec<_>>(), stream.write_all("behind it"))
                        .with_cancel(&unused)
                        .with_cancel(&own)
                        .await;
                    assert!(quoit::is_cancelled(results[0].0.as_ref().unwrap_err()));
                    assert!(quoit::is_cancelled(&late.unwrap_err()));
                }
            };
            serve(listener, handler).with_cancel(&stop).await
        });
        let client = TcpStream::connect(address).await.unwrap();
        while quoit::metrics().tasks < 2 {
            yield_now().await;
        }
        some_turns().await;
        token.cancel();
        some_turns().await;
        assert!(!serving.is_finished(), "writes are spared");
        hurry.cancel();
        serving.await.unwrap().unwrap();
        drop(client);
    });
}

#[test]
fn a_dropped_serve_closes_the_listener_and_handlers_go_on() {
    arena(|| async {
        let (listener, address) = listener().await;
        let mut serving = Box::pin(serve(listener, echo));
        let client = {
            let connecting = TcpStream::connect(address);
            let both = futures_util::future::select(Box::pin(connecting), serving.as_mut());
            match both.await {
                futures_util::future::Either::Left((client, _)) => client.unwrap(),
                futures_util::future::Either::Right(_) => panic!("it does not end"),
            }
        };
        client.write_all("1").await.0.unwrap();
        assert!(serving.as_mut().timeout(Duration::from_millis(20)).await.is_err());
        drop(serving);
        client.write_all("2").await.0.unwrap();
        let (result, echoed) = client.read_exact(Vec::with_capacity(2)).await;
        assert_eq!((result.unwrap(), &echoed[..]), (2, &b"12"[..]));
        some_turns().await;
        assert_eq!(StdStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_socket_is_configured_before_it_listens_or_connects() {
    arena(|| async {
        let listen = |address: std::net::SocketAddr| {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseport(true)?;
            socket.set_reuseaddr(true)?;
            assert!(socket.reuseport()? && socket.reuseaddr()?);
            socket.bind(address)?;
            assert!(socket.local_addr()?.port() > 0);
            socket.listen(16)
        };
        let one = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let other = listen(one.local_addr().unwrap()).unwrap();
        assert_eq!(one.local_addr().unwrap(), other.local_addr().unwrap());

        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_keepalive(Some(Duration::from_secs(77))).unwrap();
        socket.set_recv_buffer_size(50_000).unwrap();
        let stream = socket.connect(one.local_addr().unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.keepalive().unwrap(), Some(Duration::from_secs(77)));
        assert_eq!(stream.recv_buffer_size().unwrap(), 100_000);
    });
}

#[test]
fn a_listener_on_all_addresses_takes_both_families_unless_it_is_told_not_to() {
    arena(|| async {
        let both = TcpListener::bind("[::]:0").await.unwrap();
        assert!(!both.only_v6().unwrap());
        let port = both.local_addr().unwrap().port();
        let mut old = StdStream::connect(("127.0.0.1", port)).unwrap();
        let (stream, peer) = both.accept().await.unwrap();
        assert_eq!(peer.ip().to_canonical(), old.local_addr().unwrap().ip());
        old.write_all(b"v4").unwrap();
        assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"v4");
        let _new = StdStream::connect(("::1", port)).unwrap();
        assert!(both.accept().await.unwrap().1.is_ipv6());
        stream.close().await.unwrap();
        assert_eq!(old.read(&mut [0]).unwrap(), 0);

        let socket = TcpSocket::new_v6().unwrap();
        socket.set_only_v6(true).unwrap();
        assert!(socket.only_v6().unwrap());
        socket.bind("[::]:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(StdStream::connect(("127.0.0.1", port)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn connect_tries_every_address_and_not_longer_than_it_may() {
    arena(|| async {
        let (listener, address) = listener().await;
        let closed = {
            let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            unused.local_addr().unwrap()
        };
        let stream = TcpStream::connect(&[closed, address][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let error = TcpStream::connect_timeout(closed, Duration::from_secs(30)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // A backlog that is full answers nobody.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(0).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match TcpStream::connect_timeout(full.local_addr().unwrap(), Duration::from_millis(50)).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10);
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop((waiting, listener));
    });
}
