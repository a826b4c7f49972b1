//! A client that never waits for ever, with a server of its own: timeouts, cancels that bring the answer and the buffer
//! back, and a token for all that is under way.
use std::io;
use std::time::Duration;

use quoit::FutureExt as _;
use quoit::net::{TcpListener, TcpStream, serve};
use quoit::sync::CancellationToken;

#[quoit::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let server = quoit::spawn(async move { serve(listener, echo).with_cancel(&stopped).await });

    let stream = TcpStream::connect_timeout(address, Duration::from_secs(5)).await?;

    // A timeout gives up and drops the future; what would have come is there for the next.
    let early = stream.recv().timeout(Duration::from_millis(10)).await;
    println!("nothing asked, nothing told: {}", early.is_err());

    // A cancel asks the operation to stop, and its buffer comes back.
    let (result, buf) = stream.read(Vec::with_capacity(100)).cancel_after(Duration::from_millis(10)).await;
    println!("{:?}, and a buffer for {} bytes is back", result.map_err(|error| error.kind()), buf.capacity());

    // The same stream goes on.
    stream.write_all("hello").await.0?;
    let (result, hello) = stream.read_exact(Box::new([0; 5])).await;
    println!("{} bytes: {}", result?, String::from_utf8_lossy(&*hello));

    // A write that nobody takes is stopped midway: how much is out?
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let stuck = TcpStream::connect(silent.local_addr()?).await?;
    let (result, buf) = stuck.write_all(vec![0; 64 << 20]).cancel_after(Duration::from_millis(50)).await;
    let sent = result.as_ref().err().and_then(quoit::transferred);
    println!("stopped midway: {}", sent.is_some_and(|sent| sent > 0 && sent < buf.len()));

    // A token ends everything at once; the server lets its handlers come to an end.
    stop.cancel();
    let cancelled = stream.read(Vec::with_capacity(100)).with_cancel(&stop).await.0.unwrap_err();
    println!("cancelled: {}", quoit::is_cancelled(&cancelled));
    server.await??;
    println!("the server has ended");
    Ok(())
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    while let Some(received) = stream.recv().await? {
        stream.write_all(received).await.0?;
    }
    Ok(())
}
