//! quoit.

use std::io;

use futures_util::StreamExt as _;

use crate::servers::announce;

/// A write answers when the bytes are out.
pub(super) fn tcp() -> io::Result<()> {
    echo(false)
}

/// Short writes answer at once, and the bytes leave with the next entry into the kernel.
pub(super) fn tcp_behind() -> io::Result<()> {
    echo(true)
}

fn echo(write_behind: bool) -> io::Result<()> {
    quoit::block_on(async {
        let listener = quoit::net::TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_write_behind(write_behind);
            drop(quoit::spawn(async move {
                while let Some(received) = stream.recv().await? {
                    stream.write_all(received).await.0?;
                }
                io::Result::Ok(())
            }));
        }
    })
}

pub(super) fn udp() -> io::Result<()> {
    quoit::block_on(async {
        let socket = quoit::net::UdpSocket::bind("127.0.0.1:0").await?;
        announce(socket.local_addr()?)?;
        let mut datagrams = socket.recv_msgs();
        while let Some(received) = datagrams.next().await {
            let (datagram, from) = received?;
            socket.send_to(datagram, from).await.0?;
        }
        Ok(())
    })
}
