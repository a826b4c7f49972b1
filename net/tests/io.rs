//! Streams as anything that can be read and written.

mod common;

use std::io;

use common::{arena, run};
use quoit_net::{TcpListener, TcpStream};
use quoit_runtime::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader, BufWriter, copy_bidirectional};
use quoit_runtime::spawn;

/// A line there, a line back, and the end.
async fn ask<S: AsyncRead + AsyncWrite>(stream: &S, question: &str) -> io::Result<String> {
    let writer = BufWriter::new(stream);
    writer.write_all(question.to_owned()).await.0?;
    writer.write_all("\n").await.0?;
    writer.shutdown().await?;
    let (result, answer) = stream.read_to_string(String::new()).await;
    result.map(|_| answer)
}

/// Answers each line of a client, backwards.
async fn answer<S: AsyncRead + AsyncWrite>(stream: &S) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        stream.write_all(line.chars().rev().collect::<String>()).await.0?;
    }
    stream.shutdown().await
}

#[test]
fn generic_code_talks_through_a_proxy_that_carries_the_ends_over() {
    arena(|runtime| {
        run(runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (target, address) = (listener.local_addr().unwrap(), front.local_addr().unwrap());
            let server = spawn(async move { answer(&listener.accept().await?.0).await });
            let proxy = spawn(async move {
                let (client, _) = front.accept().await?;
                let server = TcpStream::connect(target).await?;
                copy_bidirectional(&client, &server).await
            });
            let client = TcpStream::connect(address).await.unwrap();
            assert_eq!(ask(&client, "stressed").await.unwrap(), "desserts");
            assert_eq!(proxy.await.unwrap().unwrap(), (9, 8));
            server.await.unwrap().unwrap();
        });
    });
}
