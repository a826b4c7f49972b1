//! An echo server with owned buffers: `echo_owned [ADDRESS]`. One `Vec` a connection goes back and forth.
use quoit::net::{TcpListener, TcpStream};

#[quoit::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    quoit::net::serve(listener, echo).await
}

async fn echo(stream: TcpStream) -> std::io::Result<()> {
    let mut buf = Vec::with_capacity(64 << 10);
    loop {
        buf.clear();
        let (count, filled) = stream.read(buf).await;
        if count? == 0 {
            return Ok(());
        }
        let (written, back) = stream.write_all(filled).await;
        written?;
        buf = back;
    }
}
