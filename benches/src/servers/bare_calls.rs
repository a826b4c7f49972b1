//! No runtime: calls that block, one datagram after the other.

use std::io;
use std::net::UdpSocket;

use crate::servers::{DATAGRAM_BYTES, announce};

pub(super) fn udp() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    announce(socket.local_addr()?)?;
    let mut buf = vec![0; DATAGRAM_BYTES];
    loop {
        let (bytes, from) = socket.recv_from(&mut buf)?;
        socket.send_to(&buf[..bytes], from)?;
    }
}
