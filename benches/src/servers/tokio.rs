//! tokio, on its current-thread runtime.

use std::io::{self, SeekFrom};

use futures_util::future::try_join_all;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::servers::{BUFFER_BYTES, DATAGRAM_BYTES, announce, blocks, http};

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

pub(super) fn http() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(http::serve(TokioIo::new(stream)));
        }
    })
}

/// Each worker has a file of its own, because the place to read at belongs to the file.
pub(super) fn files() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    blocks::serve(|job| {
        runtime.block_on(async {
            let workers = (0..job.depth).map(|worker| {
                tokio::spawn(async move {
                    let mut file = tokio::fs::File::open(blocks::path()?).await?;
                    let mut buf = vec![0; blocks::BYTES];
                    for block in job.blocks(worker) {
                        file.seek(SeekFrom::Start(block.offset())).await?;
                        file.read_exact(&mut buf).await?;
                        job.check(block, &buf)?;
                    }
                    io::Result::Ok(())
                })
            });
            for result in try_join_all(workers).await? {
                result?;
            }
            Ok(())
        })
    })
}
