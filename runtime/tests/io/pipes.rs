use std::future::poll_fn;
use std::io::{ErrorKind, Read as _, Write as _};
use std::mem;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use quoit_runtime::io::{AsyncReadExt as _, AsyncWrite as _, PipeReader, PipeWriter, pipe};
use quoit_runtime::{Runtime, metrics, spawn, task};
use socket2::SockRef;

use crate::support::{alone, assert_idle, end, end_idle, runtime, turns_until};

/// Polls a future a few times while the kernel is looked at, and gives up if it does not end.
async fn poll_for_some_turns<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..4 {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        task::yield_now().await;
    }
    None
}

/// A pattern that shows what is missing, doubled or out of order.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

#[test]
fn bytes_go_through_a_pipe_and_the_end_is_told() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let sent = pattern(1 << 20);
        let writing = spawn({
            let sent = sent.clone();
            async move {
                let (result, buf) = writer.write_all(sent).await;
                result.unwrap();
                writer.shutdown().await.unwrap();
                assert_eq!(writer.write("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
                buf.len()
            }
        });
        let (result, received) = reader.read_to_end(Vec::new()).await;
        assert_eq!(result.unwrap(), sent.len());
        assert!(received == sent);
        assert_eq!(writing.await.unwrap(), sent.len());
        // Told as often as it is asked for.
        assert_eq!(reader.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        assert_eq!(reader.read_exact(Vec::with_capacity(1)).await.0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(reader.read(Vec::new()).await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(reader.read_exact(Vec::new()).await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        drop(reader);
        turns_until(|| metrics().operations == 0 && metrics().tasks == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn dropped_and_forgotten_reads_leave_every_byte_to_the_next() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let mut received = Vec::new();
        for round in 0..50_u8 {
            // In flight before the bytes come; of three kinds.
            assert!(poll_for_some_turns(reader.read(Vec::with_capacity(2))).await.is_none());
            assert!(poll_for_some_turns(reader.read_exact(Vec::with_capacity(100))).await.is_none());
            let mut forgotten = Box::pin(reader.read(Vec::with_capacity(3)));
            assert!(poll_fn(|cx| Poll::Ready(forgotten.as_mut().poll(cx).is_pending())).await);
            mem::forget(forgotten);
            writer.write_all(vec![round, 100 + round, 200]).await.0.unwrap();
            let (result, bytes) = reader.read_exact(Box::new([0; 3])).await;
            assert_eq!(result.unwrap(), 3);
            received.extend_from_slice(&*bytes);
        }
        let expected: Vec<_> = (0..50).flat_map(|round| [round, 100 + round, 200]).collect();
        assert_eq!(received, expected);
        drop((reader, writer));
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_dropped_read_exact_keeps_its_part_for_whoever_wants_fewer() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        writer.write_all("abcde").await.0.unwrap();
        assert!(poll_for_some_turns(reader.read_exact(Vec::with_capacity(10))).await.is_none());
        let (result, bytes) = reader.read(Vec::with_capacity(2)).await;
        assert_eq!((result.unwrap(), &bytes[..]), (2, &b"ab"[..]));
        drop(writer);
        assert_eq!(reader.read_exact(Box::new([0; 4])).await.0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(reader.read_to_string(String::new()).await.1, "cde");
        drop(reader);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_read_asks_for_no_more_than_its_buffer_takes() {
    let alone = alone();
    let runtime = runtime();
    let (std_reader, mut std_writer) = std::io::pipe().unwrap();
    std_writer.write_all(b"headbody").unwrap();
    drop(std_writer);
    let reader = PipeReader::from(std_reader.try_clone().unwrap());
    runtime.block_on(async {
        assert_eq!(*reader.read_exact(Box::new([0; 4])).await.1, *b"head");
    });
    let mut rest = String::new();
    (&std_reader).read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "body");
    drop((reader, std_reader));
    end_idle(runtime);
    alone.end();
}

#[test]
fn dropped_and_forgotten_writes_are_finished_whole_if_they_have_begun_and_leave_no_trace_if_dropped_before() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        // Larger than the pipe: it waits in the kernel.
        let sent = pattern(300_000);
        {
            let (mut begun, mut waiting) = (pin!(writer.write_all(sent.clone())), pin!(writer.write_all("never")));
            assert!(poll_fn(|cx| Poll::Ready(begun.as_mut().poll(cx).is_pending())).await);
            assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
        }
        let mut forgotten = Box::pin(writer.write_all("forgotten"));
        assert!(poll_fn(|cx| Poll::Ready(forgotten.as_mut().poll(cx).is_pending())).await);
        mem::forget(forgotten);
        drop(writer);
        let (result, received) = reader.read_to_end(Vec::new()).await;
        assert_eq!(result.unwrap(), sent.len() + 9);
        assert!(received[..sent.len()] == sent);
        assert_eq!(&received[sent.len()..], b"forgotten");
        drop(reader);
        // The answer of the forgotten one waits for ever.
        turns_until(|| metrics().operations == 1 && metrics().tasks == 0).await;
    });
    end(runtime);
    alone.end();
}

#[test]
fn writes_of_several_tasks_follow_one_another_whole() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let writer = Rc::new(writer);
        let tasks: Vec<_> = (0..8_u8)
            .map(|number| {
                let writer = Rc::clone(&writer);
                spawn(async move { writer.write_all(vec![number; 100_000]).await.0 })
            })
            .collect();
        drop(writer);
        for number in 0..8 {
            let (result, part) = reader.read_exact(Vec::with_capacity(100_000)).await;
            assert_eq!(result.unwrap(), 100_000);
            assert!(part.iter().all(|byte| *byte == number), "the writes of task {number} are mixed with others");
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        drop(reader);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_pipe_without_a_reader_is_an_error_that_stays_and_one_without_a_taker_is_given_up() {
    let alone = alone();
    let runtime = Runtime::builder().close_deadline(std::time::Duration::from_millis(1)).build().unwrap();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        for _ in 0..3 {
            let (result, buf) = writer.write_all("lost").await;
            assert_eq!((result.unwrap_err().kind(), buf), (ErrorKind::BrokenPipe, "lost"));
        }
        assert_eq!(writer.shutdown().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // Nobody takes what was written, and nobody waits for it.
        let (reader, writer) = pipe().unwrap();
        assert!(poll_for_some_turns(writer.write_all(vec![0; 300_000])).await.is_none());
        drop(writer);
        turns_until(|| metrics().operations == 0 && metrics().tasks == 0).await;
        let (result, some) = reader.read_to_end(Vec::new()).await;
        assert!(result.unwrap() < 300_000 && some.iter().all(|byte| *byte == 0));
        let (_reader, writer) = pipe().unwrap();
        assert!(poll_for_some_turns(writer.write_all(vec![0; 300_000])).await.is_none());
        assert_eq!(writer.shutdown().await.unwrap_err().kind(), ErrorKind::TimedOut);
    });
    runtime.block_on(turns_until(|| metrics().operations == 0));
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_dropped_reader_ends_its_read_and_closes() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        assert!(poll_for_some_turns(reader.read(Vec::with_capacity(1))).await.is_none());
        drop(reader);
        turns_until(|| metrics().operations == 0).await;
        // The close is under way.
        loop {
            match writer.write("x").await.0 {
                Ok(_) => task::yield_now().await,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::BrokenPipe),
            }
        }
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_non_blocking_pipe_is_waited_for_and_stays_non_blocking() {
    let alone = alone();
    let runtime = runtime();
    let (std_reader, std_writer) = std::io::pipe().unwrap();
    let modes = [OwnedFd::from(std_reader.try_clone().unwrap()), OwnedFd::from(std_writer.try_clone().unwrap())];
    for fd in &modes {
        SockRef::from(fd).set_nonblocking(true).unwrap();
    }
    let (reader, writer) = (PipeReader::from(std_reader), PipeWriter::from(std_writer));
    runtime.block_on(async {
        let sent = pattern(500_000);
        let writing = spawn({
            let sent = sent.clone();
            async move { writer.write_all(sent).await.0 }
        });
        let (result, received) = reader.read_exact(Vec::with_capacity(sent.len())).await;
        assert_eq!(result.unwrap(), sent.len());
        assert!(received == sent);
        writing.await.unwrap().unwrap();
        assert!(modes.iter().all(|fd| SockRef::from(fd).nonblocking().unwrap()));
        drop((reader, modes));
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn pipes_outlive_their_runtime_and_then_answer_that_it_is_gone() {
    let alone = alone();
    let first = runtime();
    let (reader, writer) = pipe().unwrap();
    first.block_on(async {
        assert!(poll_for_some_turns(reader.read(Vec::with_capacity(1))).await.is_none());
        writer.write_all("x").await.0.unwrap();
        turns_until(|| metrics().operations == 0).await;
    });
    end(first);
    let second = runtime();
    second.block_on(async {
        // What had arrived is there.
        assert_eq!(reader.read(Vec::with_capacity(1)).await.1, b"x");
        assert_eq!(reader.read(Vec::with_capacity(1)).await.0.unwrap_err().raw_os_error(), Some(libc::ESHUTDOWN));
        assert_eq!(writer.write_all("y").await.0.unwrap_err().raw_os_error(), Some(libc::ESHUTDOWN));
    });
    drop((reader, writer));
    assert_idle(&second);
    end_idle(second);
    alone.end();
}

#[test]
fn the_ends_of_a_pipe_become_descriptors() {
    let alone = alone();
    let runtime = runtime();
    let (reader, writer) = pipe().unwrap();
    runtime.block_on(async {
        writer.write_all("through").await.0.unwrap();
    });
    let mut writer = std::fs::File::from(OwnedFd::try_from(writer).unwrap());
    writer.write_all(b" and by").unwrap();
    drop(writer);
    let mut text = String::new();
    std::fs::File::from(OwnedFd::try_from(reader).unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through and by");
    end_idle(runtime);
    alone.end();
}
