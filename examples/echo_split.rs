//! An echo server with halves: `echo_split [ADDRESS]`. For each connection one task reads and another writes, with a channel
//! between them; what was read is written without a copy.
use quoit::net::{TcpListener, TcpStream};
use quoit::sync::mpsc;

#[quoit::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    quoit::net::serve(listener, echo).await
}

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    let (reader, writer) = stream.into_split();
    // Bounded: a client that sends, and doesn't read its echo, is held back.
    let (sender, mut receiver) = mpsc::channel(16);
    let writing = quoit::spawn(async move {
        while let Some(received) = receiver.recv().await {
            writer.write_all(received).await.0?;
        }
        // Dropping the half here tells the client that this is the end.
        std::io::Result::Ok(())
    });
    while let Some(received) = reader.recv().await? {
        if sender.send(received).await.is_err() {
            break;
        }
    }
    drop(sender);
    writing.await?
}
