//! monoio, on io_uring.

use std::io;
use std::rc::Rc;

use futures_util::future::join_all;
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _, IntoPollIo as _};
use monoio_compat::hyper::MonoioIo;

use crate::servers::{BUFFER_BYTES, blocks, http, listen};

pub(super) fn tcp() -> io::Result<()> {
    runtime()?.block_on(async {
        let listener = monoio::net::TcpListener::from_std(listen()?)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            monoio::spawn(async move {
                let mut buf = Vec::with_capacity(BUFFER_BYTES);
                loop {
                    let (result, read) = stream.read(buf).await;
                    if result? == 0 {
                        return io::Result::Ok(());
                    }
                    let (result, written) = stream.write_all(read).await;
                    result?;
                    buf = written;
                }
            });
        }
    })
}

/// By its adapter for hyper, for which the stream is polled like one on epoll.
pub(super) fn http() -> io::Result<()> {
    runtime()?.block_on(async {
        let listener = monoio::net::TcpListener::from_std(listen()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            monoio::spawn(http::serve(MonoioIo::new(stream.into_poll_io()?)));
        }
    })
}

pub(super) fn files() -> io::Result<()> {
    let mut runtime = runtime()?;
    let file = Rc::new(runtime.block_on(monoio::fs::File::open(blocks::path()?))?);
    blocks::serve(|job| {
        runtime.block_on(async {
            let workers = (0..job.depth).map(|worker| {
                let file = Rc::clone(&file);
                monoio::spawn(async move {
                    let mut buf = Vec::with_capacity(blocks::BYTES);
                    for block in job.blocks(worker) {
                        let (result, read) = file.read_at(buf, block.offset()).await;
                        result?;
                        job.check(block, &read)?;
                        buf = read;
                        buf.clear();
                    }
                    io::Result::Ok(())
                })
            });
            join_all(workers).await.into_iter().collect()
        })
    })
}

fn runtime() -> io::Result<monoio::Runtime<monoio::IoUringDriver>> {
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(1024).build()
}
