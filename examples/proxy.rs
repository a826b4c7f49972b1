//! A TCP proxy: `proxy LISTEN CONNECT`, such as `proxy 127.0.0.1:7001 127.0.0.1:7000`. Ctrl-C lets it end in order.
use std::io;
use std::time::Duration;

use quoit::FutureExt as _;
use quoit::io::copy_bidirectional;
use quoit::net::{TcpListener, TcpStream, serve};

#[quoit::main]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: proxy LISTEN CONNECT"));
    };
    let listener = TcpListener::bind(from).await?;
    println!("listening on {}", listener.local_addr()?);
    let handler = move |client| {
        let to = to.clone();
        async move {
            match relay(client, &to).await {
                Ok((up, down)) => println!("{up} bytes up, {down} bytes down"),
                Err(error) => eprintln!("{error}"),
            }
        }
    };
    serve(listener, handler).with_cancel(&quoit::signal::shutdown()).await
}

/// Both directions until both have ended; an end in one direction is passed on while the other goes on.
async fn relay(client: TcpStream, to: &str) -> io::Result<(u64, u64)> {
    let server = TcpStream::connect_timeout(to, Duration::from_secs(5)).await?;
    copy_bidirectional(&client, &server).await
}
