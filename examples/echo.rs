//! An echo server: `echo [ADDRESS]`.
use futures_util::StreamExt;
use quoit::net::{TcpListener, TcpStream};

#[quoit::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        match stream {
            Ok(stream) => drop(quoit::spawn(echo(stream))),
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    Ok(())
}

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    while let Some(received) = stream.recv().await? {
        stream.write_all(received).await.0?;
    }
    Ok(())
}
