//! glommio.

use std::io;

use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::LocalExecutorBuilder;

use crate::servers::{BUFFER_BYTES, announce};

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
