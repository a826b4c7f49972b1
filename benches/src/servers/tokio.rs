//! tokio, on its current-thread runtime.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::servers::{BUFFER_BYTES, DATAGRAM_BYTES, announce};

pub(super) fn tcp() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut buf = vec![0; BUFFER_BYTES];
                loop {
                    let bytes = stream.read(&mut buf).await?;
                    if bytes == 0 {
                        return io::Result::Ok(());
                    }
                    stream.write_all(&buf[..bytes]).await?;
                }
            });
        }
    })
}

pub(super) fn udp() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
        announce(socket.local_addr()?)?;
        let mut buf = vec![0; DATAGRAM_BYTES];
        loop {
            let (bytes, from) = socket.recv_from(&mut buf).await?;
            socket.send_to(&buf[..bytes], from).await?;
        }
    })
}
