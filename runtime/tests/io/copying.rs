use std::cell::RefCell;
use std::future::pending;
use std::io::{self, ErrorKind};

use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut};
use quoit_runtime::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, PipeReader, PipeWriter, copy, copy_bidirectional, pipe,
};
use quoit_runtime::{metrics, spawn, task};

use crate::support::{alone, end_idle, runtime, turns_until};

/// Both ways through two pipes.
struct Duplex {
    reader: PipeReader,
    writer: PipeWriter,
}

fn duplex() -> (Duplex, Duplex) {
    let ((reader, far_writer), (far_reader, writer)) = (pipe().unwrap(), pipe().unwrap());
    (Duplex { reader, writer }, Duplex { reader: far_reader, writer: far_writer })
}

impl AsyncRead for Duplex {
    async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        self.reader.read(buf).await
    }
}

impl AsyncWrite for Duplex {
    async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.writer.write(buf).await
    }

    async fn shutdown(&self) -> io::Result<()> {
        self.writer.shutdown().await
    }
}

#[test]
fn copy_brings_everything_and_leaves_the_writer_open() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let ((from, feed), (out, to)) = (pipe().unwrap(), pipe().unwrap());
        let sent: Vec<u8> = (0..700_000_u32).map(|index| (index % 253) as u8).collect();
        let feeding = spawn({
            let sent = sent.clone();
            async move { feed.write_all(sent).await.0 }
        });
        let copying = spawn(async move {
            let copied = copy(&from, &to).await.unwrap();
            to.write_all("!").await.0.unwrap();
            copied
        });
        let (result, received) = out.read_to_end(Vec::new()).await;
        assert_eq!((result.unwrap(), copying.await.unwrap()), (700_001, 700_000));
        assert!(received[..700_000] == sent && received[700_000] == b'!');
        feeding.await.unwrap().unwrap();
        drop(out);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_proxy_carries_the_half_close_over_and_goes_on_the_other_way() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let ((client, client_side), (server_side, server)) = (duplex(), duplex());
        let proxy = spawn(async move { copy_bidirectional(&client_side, &server_side).await });
        client.writer.write_all("question").await.0.unwrap();
        client.writer.shutdown().await.unwrap();
        // The server sees the end of the question, and only then begins to answer.
        assert_eq!(server.reader.read_to_string(String::new()).await.1, "question");
        assert!(!proxy.is_finished());
        server.writer.write_all("a longer answer").await.0.unwrap();
        server.writer.shutdown().await.unwrap();
        assert_eq!(client.reader.read_to_string(String::new()).await.1, "a longer answer");
        assert_eq!(proxy.await.unwrap().unwrap(), (8, 15));
        drop((client, server));
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}

/// Never reads anything, and refuses to be written to.
#[derive(Default)]
struct Broken(RefCell<u32>);

impl AsyncRead for Broken {
    async fn read<B: IoBufMut>(&self, _buf: B) -> BufResult<usize, B> {
        pending().await
    }
}

impl AsyncWrite for Broken {
    async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        *self.0.borrow_mut() += 1;
        (Err(ErrorKind::BrokenPipe.into()), buf)
    }

    async fn shutdown(&self) -> io::Result<()> {
        unreachable!("nothing came to an end")
    }
}

#[test]
fn an_error_of_one_way_ends_both() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let (client, client_side) = duplex();
        let proxy = spawn(async move { copy_bidirectional(&client_side, &Broken::default()).await });
        task::yield_now().await;
        client.writer.write_all("question").await.0.unwrap();
        assert_eq!(proxy.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
        // The proxy has let go of the client.
        assert_eq!(client.reader.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        drop(client);
        turns_until(|| metrics().operations == 0).await;
    });
    end_idle(runtime);
    alone.end();
}
