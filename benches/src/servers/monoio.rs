//! monoio, on io_uring.

use std::io;

use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};

use crate::servers::{BUFFER_BYTES, listen};

pub(super) fn tcp() -> io::Result<()> {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(1024).build()?;
    runtime.block_on(async {
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
