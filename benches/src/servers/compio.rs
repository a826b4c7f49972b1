//! compio, on io_uring.

use std::io;

use compio::io::{AsyncRead as _, AsyncWriteExt as _};
use compio::{BufResult, buf::IntoInner as _, buf::IoBuf as _};

use crate::servers::{BUFFER_BYTES, DATAGRAM_BYTES, announce, listen};

pub(super) fn tcp() -> io::Result<()> {
    compio::runtime::Runtime::new()?.block_on(async {
        // Its own would have a backlog of 128: the others have 1024.
        let listener = compio::net::TcpListener::from_std(listen()?)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            compio::runtime::spawn(async move {
                let mut buf = Vec::with_capacity(BUFFER_BYTES);
                loop {
                    let BufResult(result, read) = stream.read(buf).await;
                    let bytes = result?;
                    if bytes == 0 {
                        return io::Result::Ok(());
                    }
                    let BufResult(result, written) = stream.write_all(read.slice(..bytes)).await;
                    result?;
                    buf = written.into_inner();
                    buf.clear();
                }
            })
            .detach();
        }
    })
}

pub(super) fn udp() -> io::Result<()> {
    compio::runtime::Runtime::new()?.block_on(async {
        let socket = compio::net::UdpSocket::bind("127.0.0.1:0").await?;
        announce(socket.local_addr()?)?;
        let mut buf = Vec::with_capacity(DATAGRAM_BYTES);
        loop {
            let BufResult(result, received) = socket.recv_from(buf).await;
            let (bytes, from) = result?;
            let BufResult(result, sent) = socket.send_to(received.slice(..bytes), from).await;
            result?;
            buf = sent.into_inner();
            buf.clear();
        }
    })
}
