//! Halves of a stream, looking without taking, and the way to std and back.

mod common;

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;

use common::{arena, pair, poll_once, read_to_end, run, soon, until, write_all};
use quoit_net::{TcpListener, TcpStream};
use quoit_runtime::task::yield_now;

#[test]
fn a_dropped_owned_write_half_ends_the_stream_and_the_read_half_reads_on() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, mut peer) = pair();
            let (reader, writer) = stream.into_split();
            writer.write_all("last words").await.0.unwrap();
            drop(writer);
            until("the end", || {
                peer.set_nonblocking(true).unwrap();
                let is_end = peer.peek(&mut [0; 32]).is_ok_and(|count| count == 10);
                peer.set_nonblocking(false).unwrap();
                is_end
            })
            .await;
            yield_now().await;
            assert_eq!(read_to_end(&peer).unwrap(), b"last words");
            peer.write_all(b"an answer").unwrap();
            assert_eq!(&reader.recv().await.unwrap().unwrap()[..], b"an answer");
        });
    });
}

#[test]
fn a_dropped_owned_write_half_ends_the_stream_behind_a_write_that_has_begun() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, peer) = pair();
            let (reader, writer) = stream.into_split();
            {
                let mut write = pin!(writer.write_all(vec![7; 16 << 20]));
                assert!(poll_once(write.as_mut()).await.is_pending());
            }
            drop(writer);
            let reading = std::thread::spawn(move || {
                let bytes = read_to_end(&peer).unwrap();
                write_all(&peer, b"all of it");
                bytes.len()
            });
            assert_eq!(&reader.recv().await.unwrap().unwrap()[..], b"all of it");
            assert_eq!(reading.join().unwrap(), 16 << 20);
        });
    });
}

#[test]
fn a_write_half_that_is_dropped_outside_of_block_on_ends_the_stream_behind_a_write_that_has_begun() {
    arena(|runtime| {
        let (reader, writer, peer) = run(runtime, async {
            let (stream, peer) = pair();
            let (reader, writer) = stream.into_split();
            {
                let mut write = pin!(writer.write_all(vec![7; 16 << 20]));
                assert!(poll_once(write.as_mut()).await.is_pending());
            }
            (reader, writer, peer)
        });
        drop(writer);
        let reading = std::thread::spawn(move || {
            let bytes = read_to_end(&peer).unwrap();
            write_all(&peer, b"all of it");
            bytes.len()
        });
        run(runtime, async {
            assert_eq!(&reader.recv().await.unwrap().unwrap()[..], b"all of it");
            drop(reader);
        });
        assert_eq!(reading.join().unwrap(), 16 << 20);
    });
}

#[test]
fn halves_are_reunited_with_their_own_only() {
    arena(|runtime| {
        run(runtime, async {
            let ((one, _p), (other, mut peer)) = (pair(), pair());
            let ((one_reader, one_writer), (other_reader, other_writer)) = (one.into_split(), other.into_split());
            let mixed = one_reader.reunite(other_writer).unwrap_err();
            let (one_reader, other_writer) = (mixed.0, mixed.1);
            let one = one_reader.reunite(one_writer).unwrap();
            let other = other_writer.reunite(other_reader).unwrap();
            other.write_all("still open").await.0.unwrap();
            peer.write_all(b"yes").unwrap();
            assert_eq!(&other.recv().await.unwrap().unwrap()[..], b"yes");
            other.close().await.unwrap();
            assert_eq!(read_to_end(&peer).unwrap(), b"still open");
            one.close().await.unwrap();
        });
    });
}

#[test]
fn borrowed_halves_read_and_write_at_once() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, mut peer) = pair();
            let (reader, writer) = stream.split();
            let mut received = pin!(reader.recv());
            assert!(poll_once(received.as_mut()).await.is_pending());
            writer.write_all("ask").await.0.unwrap();
            assert_eq!(reader.local_addr().unwrap(), peer.peer_addr().unwrap());
            let mut ask = [0; 3];
            peer.read_exact(&mut ask).unwrap();
            peer.write_all(b"told").unwrap();
            assert_eq!(&received.await.unwrap().unwrap()[..], b"told");
            writer.shutdown().await.unwrap();
            assert_eq!(read_to_end(&peer).unwrap(), b"");
        });
    });
}

#[test]
fn peek_and_readable_take_nothing() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, mut peer) = pair();
            {
                let mut readable = pin!(stream.readable());
                let mut peek = pin!(stream.peek(Vec::with_capacity(3)));
                assert!(poll_once(readable.as_mut()).await.is_pending());
                assert!(poll_once(peek.as_mut()).await.is_pending());
                peer.write_all(b"look").unwrap();
                readable.await.unwrap();
                let (result, buf) = peek.await;
                assert_eq!((result.unwrap(), &buf[..]), (3, &b"loo"[..]));
            }
            // Behind a part that was taken, and across arrivals.
            let (result, buf) = stream.read(Vec::with_capacity(1)).await;
            assert_eq!((result.unwrap(), &buf[..]), (1, &b"l"[..]));
            peer.write_all(b"ing").unwrap();
            let mut seen = Vec::new();
            while seen.len() < 6 {
                let (result, buf) = stream.peek(Vec::with_capacity(16)).await;
                assert_eq!(result.unwrap(), buf.len());
                seen = buf;
                yield_now().await;
            }
            assert_eq!(seen, b"ooking");
            let (result, buf) = stream.read_exact(Vec::with_capacity(6)).await;
            assert_eq!((result.unwrap(), &buf[..]), (6, &b"ooking"[..]));
            drop(peer);
            stream.readable().await.unwrap();
            assert_eq!(stream.peek(Vec::with_capacity(1)).await.0.unwrap(), 0);
            assert!(stream.recv().await.unwrap().is_none());
            let none = stream.peek(Vec::<u8>::new()).await.0.unwrap_err();
            assert_eq!(none.kind(), ErrorKind::InvalidInput);
        });
    });
}

#[test]
fn writable_waits_for_room_and_behind_earlier_writes() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, peer) = pair();
            soon("room", stream.writable()).await.unwrap();
            let mut write = Box::pin(stream.write_all(vec![0; 16 << 20]));
            assert!(poll_once(write.as_mut()).await.is_pending());
            {
                let mut writable = pin!(stream.writable());
                for _turn in 0..10 {
                    assert!(poll_once(writable.as_mut()).await.is_pending());
                    yield_now().await;
                }
            }
            let reading = std::thread::spawn(move || read_to_end(&peer).unwrap().len());
            write.as_mut().await.0.unwrap();
            drop(write);
            stream.writable().await.unwrap();
            stream.close().await.unwrap();
            assert_eq!(reading.join().unwrap(), 16 << 20);
        });
    });
}

#[test]
fn a_stream_that_is_idle_becomes_one_of_std_with_its_own_descriptor() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, mut peer) = pair();
            peer.write_all(b"one").unwrap();
            // A receive is in flight from here on.
            assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"one");
            let std = becomes_std(stream, &mut peer);
            // And back.
            let stream = TcpStream::from_std(std).unwrap();
            peer.write_all(b"three").unwrap();
            assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"three");
        });
    });
}

#[test]
fn a_stream_becomes_one_of_std_also_outside_of_block_on() {
    arena(|runtime| {
        let (stream, mut peer) = run(runtime, async {
            let (stream, mut peer) = pair();
            peer.write_all(b"one").unwrap();
            assert_eq!(&stream.recv().await.unwrap().unwrap()[..], b"one");
            (stream, peer)
        });
        becomes_std(stream, &mut peer);
    });
}

/// Makes a stream one of std, which has its descriptor and receives what the peer sends.
fn becomes_std(stream: TcpStream, peer: &mut std::net::TcpStream) -> std::net::TcpStream {
    let number = stream.as_raw_fd();
    let mut std = stream.into_std().unwrap();
    assert_eq!(std.as_raw_fd(), number);
    peer.write_all(b"two").unwrap();
    let mut two = [0; 3];
    std.read_exact(&mut two).unwrap();
    assert_eq!(&two, b"two");
    std
}

#[test]
fn a_listener_becomes_one_of_std_also_outside_of_block_on() {
    arena(|runtime| {
        let (listener, address) = run(runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            // An accept is in flight from here on.
            let first = TcpStream::connect(address).await.unwrap();
            drop(listener.accept().await.unwrap());
            drop(first);
            (listener, address)
        });
        let std = listener.into_std().unwrap();
        let _second = std::net::TcpStream::connect(address).unwrap();
        assert!(std.accept().is_ok());
    });
}

#[test]
fn a_stream_with_bytes_or_writes_is_busy_and_its_descriptor_is_a_duplicate() {
    arena(|runtime| {
        run(runtime, async {
            let (stream, mut peer) = pair();
            peer.write_all(b"unread").unwrap();
            stream.readable().await.unwrap();
            assert_eq!(stream.into_std().unwrap_err().kind(), ErrorKind::ResourceBusy);

            let (stream, peer) = pair();
            {
                let mut write = pin!(stream.write_all(vec![1; 16 << 20]));
                assert!(poll_once(write.as_mut()).await.is_pending());
            }
            let number = stream.as_raw_fd();
            let fd = OwnedFd::from(stream);
            assert_ne!(fd.as_raw_fd(), number);
            let reading = std::thread::spawn(move || {
                let mut bytes = vec![0; (16 << 20) + 3];
                (&peer).read_exact(&mut bytes).unwrap();
                bytes
            });
            while runtime.metrics().tasks > 0 {
                yield_now().await;
            }
            std::net::TcpStream::from(fd).write_all(b"end").unwrap();
            assert_eq!(&reading.join().unwrap()[16 << 20..], b"end");
        });
    });
}

#[test]
fn a_listener_becomes_one_of_std_unless_connections_wait_in_it() {
    arena(|runtime| {
        run(runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            assert!(poll_once(pin!(listener.accept())).await.is_pending());
            yield_now().await;
            let std = listener.into_std().unwrap();
            let client = std::net::TcpStream::connect(address).unwrap();
            assert_eq!(std.accept().unwrap().1, client.local_addr().unwrap());
            let listener = TcpListener::from_std(std).unwrap();
            assert!(poll_once(pin!(listener.accept())).await.is_pending());
            let _waiting = std::net::TcpStream::connect(address).unwrap();
            let cqes = runtime.metrics().cqes;
            until("the connection", || runtime.metrics().cqes > cqes).await;
            assert_eq!(listener.into_std().unwrap_err().kind(), ErrorKind::ResourceBusy);
            Ok::<(), io::Error>(())
        })
        .unwrap();
    });
}
