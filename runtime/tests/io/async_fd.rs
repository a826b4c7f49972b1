use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;
use std::thread;

use quoit_runtime::io::{AsyncFd, AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, Interest};
use quoit_runtime::task::yield_now;
use quoit_runtime::{metrics, spawn};
use quoit_testkit::FdCount;

use crate::support::{alone, end_idle, runtime, turns_until};

#[test]
fn readiness_is_told_as_it_is_and_waited_for() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = AsyncFd::new(near).unwrap();
        near.writable().await.unwrap();
        let ready = near.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap();
        assert_eq!((ready.is_readable(), ready.is_writable(), ready.is_read_closed()), (false, true, false));
        {
            let mut readable = pin!(near.readable());
            assert!(poll_fn(|cx| Poll::Ready(readable.as_mut().poll(cx).is_pending())).await);
        }
        let refused = near.try_io(Interest::READABLE, |_| -> std::io::Result<()> { unreachable!("it is not ready") });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::WouldBlock);
        far.write_all(b"xy").unwrap();
        near.readable().await.unwrap();
        // Level-triggered: it is still so.
        near.readable().await.unwrap();
        let byte = near.try_io(Interest::READABLE, |mut stream| {
            let mut byte = [0];
            stream.read_exact(&mut byte).map(|()| byte[0])
        });
        assert_eq!(byte.unwrap(), b'x');
        drop(far);
        let ready = near.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && ready.is_read_closed());
        assert_eq!(near.read(Vec::with_capacity(2)).await.1, b"y");
        assert_eq!(near.read(Vec::with_capacity(2)).await.0.unwrap(), 0);
        turns_until(|| metrics().operations == 0).await;
        drop(near);
        turns_until(|| metrics().in_flight == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_full_socket_whose_peer_has_ended_its_side_is_not_writable_and_not_tried_without_a_pause() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = (&near).write(&[7; 4096]) {
            sent += count;
        }
        far.shutdown(Shutdown::Write).unwrap();
        let near = AsyncFd::new(near).unwrap();
        {
            let mut writable = pin!(near.writable());
            for _turn in 0..20 {
                assert!(poll_fn(|cx| Poll::Ready(writable.as_mut().poll(cx).is_pending())).await);
                yield_now().await;
            }
            let mut write = pin!(near.write("x"));
            let mut dropped = Box::pin(near.writable());
            let sqes = metrics().sqes;
            for _turn in 0..400 {
                assert!(poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx).is_pending())).await);
                assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
                yield_now().await;
            }
            drop(dropped);
            let tries = metrics().sqes - sqes;
            assert!(tries < 200, "tried again without a pause: {tries} entries");
            far.read_exact(&mut vec![0; sent]).unwrap();
            writable.await.unwrap();
            assert_eq!(write.await.0.unwrap(), 1);
        }
        drop(near);
        turns_until(|| metrics().in_flight == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn async_io_tries_again_where_somebody_else_was_faster() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"x").unwrap();
        let near = AsyncFd::new(near).unwrap();
        let calls = Cell::new(0);
        let byte = near.async_io(Interest::READABLE, |mut stream| {
            calls.set(calls.get() + 1);
            if calls.get() < 3 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let mut byte = [0];
            stream.read_exact(&mut byte).map(|()| byte[0])
        });
        assert_eq!((byte.await.unwrap(), calls.get()), (b'x', 3));
        drop((near, far));
        turns_until(|| metrics().in_flight == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_pipe_without_readers_is_writable_and_says_why() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let writer = AsyncFd::new(writer).unwrap();
        let ready = writer.ready(Interest::WRITABLE).await.unwrap();
        assert!(ready.is_error() && ready.is_writable() && ready.is_write_closed());
        writer.ready(Interest::ERROR).await.unwrap();
        assert_eq!(writer.write("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(writer.write_all("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        writer.shutdown().await.unwrap();
        drop(writer);
        turns_until(|| metrics().in_flight == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn sockets_devices_and_files_are_read_and_written_through_the_ring() {
    let alone = alone();
    let fds = FdCount::now();
    let runtime = runtime();
    runtime.block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        let (near, far) = (AsyncFd::new(near).unwrap(), AsyncFd::new(far).unwrap());
        let writing = spawn(async move {
            near.write_all(vec![7; 1_000_000]).await.0.unwrap();
            near.shutdown().await.unwrap();
            near
        });
        let (result, received) = far.read_to_end(Vec::new()).await;
        assert_eq!((result.unwrap(), received.iter().all(|byte| *byte == 7)), (1_000_000, true));
        let near = writing.await.unwrap();
        // The other way is still open.
        far.write_all("back").await.0.unwrap();
        assert_eq!(*near.read_exact(Box::new([0; 4])).await.1, *b"back");
        // Nobody reads any more.
        drop(far);
        turns_until(|| metrics().in_flight == 0).await;
        assert_eq!(near.write("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);

        let random = AsyncFd::new(File::open("/dev/urandom").unwrap()).unwrap();
        random.readable().await.unwrap();
        assert_eq!(random.read(Vec::with_capacity(16)).await.1.len(), 16);
        let null = AsyncFd::new(File::options().write(true).open("/dev/null").unwrap()).unwrap();
        null.write_all("into nothing").await.0.unwrap();
        // A file has no readiness: it is always ready.
        let own = AsyncFd::new(File::open(file!()).or_else(|_| File::open("tests/io/async_fd.rs")).unwrap()).unwrap();
        own.readable().await.unwrap();
        let (result, text) = own.read_to_string(String::new()).await;
        assert_eq!(result.unwrap(), include_str!("async_fd.rs").len());
        assert_eq!(text, include_str!("async_fd.rs"));
        drop((near, random, null, own));
        turns_until(|| metrics().in_flight == 0).await;
    });
    runtime.block_on(turns_until(|| metrics().operations == 0));
    end_idle(runtime);
    // A kernel in user space reads files on a thread, which lets go of the runtime a moment later.
    while FdCount::now().count() != fds.count() {
        thread::yield_now();
    }
    alone.end();
}

#[test]
fn what_it_was_made_of_comes_back_in_the_mode_that_it_had() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut near = AsyncFd::new(near).unwrap();
        {
            let mut read = pin!(near.read(Vec::with_capacity(1)));
            assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
        }
        near.get_mut().set_nonblocking(true).unwrap();
        let mut near = near.into_inner();
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        turns_until(|| metrics().operations == 0 && metrics().in_flight == 0).await;
        (&far).write_all(b"x").unwrap();
        assert_eq!(near.read(&mut [0]).unwrap(), 1);
    });
    end_idle(runtime);
    alone.end();
}
