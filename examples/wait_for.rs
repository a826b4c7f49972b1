//! Waiting, but not for ever: what asyncio calls `wait_for`. Giving up loses nothing.
//!
//!     cargo run --example wait_for

use std::io;
use std::time::Duration;

use quoit::FutureExt as _;
use quoit::net::{TcpListener, TcpStream};
use quoit::time::{sleep, timeout};

#[quoit::main]
async fn main() -> io::Result<()> {
    match timeout(Duration::from_millis(10), sleep(Duration::from_secs(3600))).await {
        Ok(()) => println!("an hour has passed"),
        Err(elapsed) => println!("an hour: {elapsed}"),
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;

    // Nothing comes, so the receive is given up. As a method, and the error is an `io::Error` like any other.
    let nothing: io::Result<_> = async { server.recv().timeout(Duration::from_millis(10)).await? }.await;
    println!("nothing: {:?}", nothing.map(|_| ()).map_err(|error| error.kind()));

    // The connection does not mind: what comes later goes to the next call.
    client.write_all("late, but here").await.0?;
    let received = server.recv().timeout(Duration::from_secs(10)).await??;
    println!("something: {:?}", received.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    Ok(())
}
