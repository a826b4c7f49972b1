//! compio, on io_uring.

use std::io;

use compio::io::{AsyncRead as _, AsyncReadAt as _, AsyncWriteExt as _};
use compio::{BufResult, buf::IntoInner as _, buf::IoBuf as _};
use cyper_core::HyperStream;
use futures_util::future::join_all;

use crate::servers::{BUFFER_BYTES, DATAGRAM_BYTES, announce, blocks, http, listen};

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

/// By cyper's adapter for hyper.
pub(super) fn http() -> io::Result<()> {
    compio::runtime::Runtime::new()?.block_on(async {
        let listener = compio::net::TcpListener::from_std(listen()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            compio::runtime::spawn(http::serve(HyperStream::new_plain(stream))).detach();
        }
    })
}

pub(super) fn files() -> io::Result<()> {
    let runtime = compio::runtime::Runtime::new()?;
    let file = runtime.block_on(compio::fs::File::open(blocks::path()?))?;
    blocks::serve(|job| {
        runtime.block_on(async {
            let workers = (0..job.depth).map(|worker| {
                let file = file.clone();
                compio::runtime::spawn(async move {
                    let mut buf = Vec::with_capacity(blocks::BYTES);
                    for block in job.blocks(worker) {
                        let BufResult(result, read) = file.read_at(buf, block.offset()).await;
                        result?;
                        job.check(block, &read)?;
                        buf = read;
                        buf.clear();
                    }
                    io::Result::Ok(())
                })
            });
            for result in join_all(workers).await {
                result.map_err(|_| io::Error::other("a worker panicked"))??;
            }
            Ok(())
        })
    })
}
