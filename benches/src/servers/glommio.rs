//! glommio.

use std::io;
use std::rc::Rc;

use futures_util::future::join_all;
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::LocalExecutorBuilder;
use glommio::io::BufferedFile;

use crate::servers::{BUFFER_BYTES, announce, blocks};

pub(super) fn tcp() -> io::Result<()> {
    let executor = LocalExecutorBuilder::default().make().map_err(|error| io::Error::other(error.to_string()))?;
    executor.run(async {
        let listener = glommio::net::TcpListener::bind("127.0.0.1:0")?;
        announce(listener.local_addr()?)?;
        loop {
            let mut stream = listener.accept().await?;
            glommio::spawn_local(async move {
                let mut buf = vec![0; BUFFER_BYTES];
                loop {
                    let bytes = stream.read(&mut buf).await?;
                    if bytes == 0 {
                        return io::Result::Ok(());
                    }
                    stream.write_all(&buf[..bytes]).await?;
                }
            })
            .detach();
        }
    })
}

pub(super) fn files() -> io::Result<()> {
    let executor = LocalExecutorBuilder::default().make().map_err(|error| io::Error::other(error.to_string()))?;
    let path = blocks::path()?;
    let file = Rc::new(executor.run(BufferedFile::open(path))?);
    blocks::serve(|job| {
        executor.run(async {
            let workers = (0..job.depth).map(|worker| {
                let file = Rc::clone(&file);
                glommio::spawn_local(async move {
                    for block in job.blocks(worker) {
                        let read = file.read_at(block.offset(), blocks::BYTES).await?;
                        job.check(block, &read)?;
                    }
                    io::Result::Ok(())
                })
            });
            join_all(workers).await.into_iter().collect()
        })
    })
}
