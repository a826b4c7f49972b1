//! A UDP echo server: `cargo run --example udp_echo -- 127.0.0.1:7000`, then `nc -u 127.0.0.1 7000`.
//!
//! The datagrams come in buffers of the ring and go back out of them: nothing is copied, nothing is allocated.

use std::io;

use futures_util::StreamExt;
use quoit::net::UdpSocket;

#[quoit::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let socket = UdpSocket::bind(&address).await?;
    println!("listening on {}", socket.local_addr()?);

    let mut datagrams = socket.recv_msgs();
    while let Some(received) = datagrams.next().await {
        match received {
            Ok((datagram, from)) if datagram.is_truncated() => eprintln!("{from}: longer than a buffer of the ring"),
            // Also an empty one.
            Ok((datagram, from)) => {
                if let (Err(error), _) = socket.send_to(datagram, from).await {
                    eprintln!("{from}: {error}");
                }
            }
            // Such as that a client is gone: it says nothing about the others.
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}
