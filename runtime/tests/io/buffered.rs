use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::task::Poll;

use quoit_runtime::io::{AsyncReadExt as _, BufReader, BufWriter, pipe};
use quoit_runtime::{metrics, spawn, task};

use crate::support::{alone, end_idle, runtime, turns_until};

#[test]
fn a_line_that_comes_in_pieces_survives_dropped_reads() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let reader = BufReader::with_capacity(4, reader);
        let mut line = String::from("> ");
        for piece in ["a long ", "line in", " pieces\r\nand a ", "last one"] {
            {
                let mut read = pin!(reader.read_line(&mut line));
                assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
                writer.write_all(piece).await.0.unwrap();
                task::yield_now().await;
                if piece.contains('\n') {
                    assert_eq!(read.await.unwrap(), 23);
                } else {
                    // Some of it is in the buffer by now.
                    let _ = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await;
                }
            }
        }
        assert_eq!(line, "> a long line in pieces\r\n");
        drop(writer);
        let mut lines = reader.lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("and a last one"));
        assert_eq!(lines.next_line().await.unwrap(), None);
        drop(lines);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn small_and_large_and_exact_reads_may_be_mixed() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let sent: Vec<u8> = (0..20_000_u32).map(|index| (index % 241) as u8).collect();
        writer.write_all(sent.clone()).await.0.unwrap();
        drop(writer);
        let mut reader = BufReader::with_capacity(64, reader);
        let mut received = Vec::new();
        received.extend_from_slice(&*reader.read_exact(Box::new([0; 3])).await.1);
        received.extend_from_slice(&reader.read(Vec::with_capacity(10)).await.1);
        let front = reader.fill_buf().await.unwrap()[..7].to_vec();
        reader.consume(7);
        received.extend_from_slice(&front);
        received.extend_from_slice(&reader.read_exact(Vec::with_capacity(1000)).await.1);
        let before = received.len();
        let found = reader.read_until(240, &mut received).await.unwrap();
        assert_eq!((before, found), (1020, 5 * 241 - 1020));
        // Larger than the buffer: goes by it.
        received.extend_from_slice(&reader.read(Vec::with_capacity(500)).await.1);
        let (result, all) = reader.read_to_end(received).await;
        assert!(result.unwrap() > 10_000);
        assert!(all == sent);
        drop(reader);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_line_that_is_not_utf8_is_told_and_skipped() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        writer.write_all(&b"good\nb\xffd\nagain\n"[..]).await.0.unwrap();
        drop(writer);
        let mut lines = BufReader::new(reader).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("good"));
        assert_eq!(lines.next_line().await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("again"));
        drop(lines);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn small_writes_go_out_together_and_large_ones_behind_them() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let writer = BufWriter::with_capacity(10, writer);
        writer.write_all("12345").await.0.unwrap();
        writer.write_all("67890").await.0.unwrap();
        assert_eq!((writer.buffered(), metrics().operations), (10, 0));
        // One more than fits.
        assert_eq!(writer.write("a").await.0.unwrap(), 1);
        assert_eq!(writer.buffered(), 1);
        writer.write_all("larger than the buffer").await.0.unwrap();
        assert_eq!(writer.buffered(), 0);
        writer.write_all("end").await.0.unwrap();
        writer.shutdown().await.unwrap();
        let (_, text) = reader.read_to_string(String::new()).await;
        assert_eq!(text, "1234567890alarger than the bufferend");
        writer.write_all("late").await.0.unwrap();
        assert_eq!(writer.flush().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(writer.buffered(), 0);
        drop((reader, writer));
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn dropped_flushes_neither_lose_nor_double_a_byte() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let writer = BufWriter::with_capacity(200_000, writer);
        let mut sent = Vec::new();
        for round in 0..20_u8 {
            // The first flush fills the pipe and waits in the kernel; the next ones wait behind it, and are dropped there.
            let part = vec![round; if round == 0 { 150_000 } else { 777 }];
            sent.extend_from_slice(&part);
            writer.write_all(part).await.0.unwrap();
            let mut flush = pin!(writer.flush());
            assert!(poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending())).await);
            task::yield_now().await;
        }
        assert_eq!(writer.buffered(), 19 * 777);
        let reading = spawn(async move { reader.read_to_end(Vec::new()).await });
        writer.shutdown().await.unwrap();
        let (result, received) = reading.await.unwrap();
        assert_eq!(result.unwrap(), sent.len());
        assert!(received == sent);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_dropped_buf_writer_loses_what_was_not_flushed() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let writer = BufWriter::new(writer);
        writer.write_all("flushed").await.0.unwrap();
        writer.flush().await.unwrap();
        writer.write_all("not flushed").await.0.unwrap();
        drop(writer);
        assert_eq!(reader.read_to_string(String::new()).await.1, "flushed");
        drop(reader);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}
