//! No runtime: calls that block, one after the other.

use std::io;
use std::net::UdpSocket;
use std::os::unix::fs::FileExt as _;

use crate::servers::{DATAGRAM_BYTES, announce, blocks};

pub(super) fn udp() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    announce(socket.local_addr()?)?;
    let mut buf = vec![0; DATAGRAM_BYTES];
    loop {
        let (bytes, from) = socket.recv_from(&mut buf)?;
        socket.send_to(&buf[..bytes], from)?;
    }
}

/// As many at a time as there may be: one.
pub(super) fn files() -> io::Result<()> {
    let file = blocks::open()?;
    blocks::serve(|job| {
        let mut buf = vec![0; blocks::BYTES];
        for worker in 0..job.depth {
            for block in job.blocks(worker) {
                file.read_exact_at(&mut buf, block.offset())?;
                job.check(block, &buf)?;
            }
        }
        Ok(())
    })
}
