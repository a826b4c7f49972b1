//! An echo server on a Unix socket: `cargo run --example unix_echo -- /tmp/echo.sock`, then `nc -U /tmp/echo.sock`.
//!
//! It tells who connects. Descriptors that come with the bytes go back with them.

use std::io;
use std::path::PathBuf;

use futures_util::StreamExt;
use quoit::net::{UnixListener, UnixStream};

#[quoit::main]
async fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("quoit-echo.sock"), PathBuf::from);
    // The path of an earlier run is still there: sockets do not remove theirs.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    println!("listening on {}", path.display());

    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        match stream {
            Ok(stream) => drop(quoit::spawn(echo(stream))),
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    Ok(())
}

async fn echo(stream: UnixStream) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    println!("process {:?} of user {} is here", peer.pid(), peer.uid());
    let mut buf = Vec::with_capacity(16 << 10);
    loop {
        let (received, mut bytes) = stream.recv_fds(buf).await;
        let (count, descriptors) = received?;
        if count == 0 {
            return Ok(());
        }
        if descriptors.is_empty() {
            let (written, back) = stream.write_all(bytes).await;
            written?;
            bytes = back;
        } else {
            println!("{} descriptors", descriptors.len());
            let (written, back) = stream.send_fds(bytes, descriptors).await;
            written?;
            bytes = back;
        }
        bytes.clear();
        buf = bytes;
    }
}
