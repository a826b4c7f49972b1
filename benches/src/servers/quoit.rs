//! quoit.

use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use quoit::Runtime;
use quoit::driver::{ReadAt, SharedFd, submit};
use quoit::net::{TcpListener, UdpSocket};

use crate::servers::quoit_http::HyperStream;
use crate::servers::{announce, blocks, http};

/// A write answers when the bytes are out.
pub(super) fn tcp() -> io::Result<()> {
    quoit::block_on(echo(false))
}

/// Short writes answer at once, and the bytes leave with the next entry into the kernel.
pub(super) fn tcp_behind() -> io::Result<()> {
    quoit::block_on(echo(true))
}

/// As the first, but the thread looks for something to do for a while before it sleeps.
pub(super) fn tcp_spin() -> io::Result<()> {
    Runtime::builder().spin(Duration::from_micros(50)).build()?.block_on(echo(false))
}

/// As the first, but the thread sleeps until many messages are there, or for a tenth of a millisecond.
pub(super) fn tcp_gather() -> io::Result<()> {
    gathering()?.block_on(echo(false))
}

fn gathering() -> io::Result<Runtime> {
    Runtime::builder().gather(64, Duration::from_micros(100)).build()
}

async fn echo(write_behind: bool) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
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
}

pub(super) fn udp() -> io::Result<()> {
    echo_datagrams(&Runtime::new()?, false)
}

/// Short datagrams answer at once, and leave together with the next entry into the kernel.
pub(super) fn udp_behind() -> io::Result<()> {
    echo_datagrams(&Runtime::new()?, true)
}

/// As the first, but the thread sleeps until many datagrams are there, or for a tenth of a millisecond.
pub(super) fn udp_gather() -> io::Result<()> {
    echo_datagrams(&gathering()?, false)
}

fn echo_datagrams(runtime: &Runtime, write_behind: bool) -> io::Result<()> {
    runtime.block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.set_write_behind(write_behind);
        announce(socket.local_addr()?)?;
        let mut datagrams = socket.recv_msgs();
        while let Some(received) = datagrams.next().await {
            let (datagram, from) = received?;
            socket.send_to(datagram, from).await.0?;
        }
        Ok(())
    })
}

/// hyper, whose answers are told to be written when they are out.
pub(super) fn http() -> io::Result<()> {
    serve_http(&Runtime::new()?, false)
}

/// hyper, whose answers leave with the next entry into the kernel.
pub(super) fn http_behind() -> io::Result<()> {
    serve_http(&Runtime::new()?, true)
}

/// hyper, where the thread sleeps until many requests are there, or for a tenth of a millisecond.
pub(super) fn http_gather() -> io::Result<()> {
    serve_http(&gathering()?, false)
}

fn serve_http(runtime: &Runtime, write_behind: bool) -> io::Result<()> {
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_write_behind(write_behind);
            drop(quoit::spawn(http::serve(HyperStream::new(stream))));
        }
    })
}

pub(super) fn files() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let file = SharedFd::new(blocks::open()?.into());
    blocks::serve(|job| {
        runtime.block_on(async {
            let workers = (0..job.depth).map(|worker| {
                let file = file.clone();
                quoit::spawn(async move {
                    let mut buf = Vec::with_capacity(blocks::BYTES);
                    for block in job.blocks(worker) {
                        let (result, read) = submit(ReadAt::new(file.clone(), buf, block.offset())).await;
                        result?;
                        job.check(block, &read)?;
                        buf = read;
                        buf.clear();
                    }
                    io::Result::Ok(())
                })
            });
            for result in try_join_all(workers).await.map_err(io::Error::other)? {
                result?;
            }
            Ok(())
        })
    })
}
