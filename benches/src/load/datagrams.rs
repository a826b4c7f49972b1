//! Datagrams of one socket, several under way. Each carries its number; the loopback loses none as long as they fit into the
//! buffers of the sockets.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::Done;

/// Sends so many datagrams and awaits their echoes, in order.
pub(super) fn run(address: SocketAddr, count: u64, under_way: u64, sizes: RangeInclusive<usize>) -> io::Result<Done> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut expected, mut actual) = (vec![0; *sizes.end()], vec![0; *sizes.end() + 1]);
    let mut begun: VecDeque<Instant> = VecDeque::new();
    let mut latencies_ns = Vec::with_capacity(count as usize);
    let start = Instant::now();
    let mut sent = 0;
    for number in 0..count {
        while sent < count.min(number + under_way) {
            begun.push_back(Instant::now());
            socket.send(datagram(sent, &sizes, &mut expected))?;
            sent += 1;
        }
        let bytes = socket.recv(&mut actual)?;
        if actual[..bytes] != *datagram(number, &sizes, &mut expected) {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("datagram {number} came back changed")));
        }
        latencies_ns.extend(begun.pop_front().map(|begun| begun.elapsed().as_nanos() as u64));
    }
    Ok(Done { requests: count, elapsed: start.elapsed(), latencies_ns })
}

/// The datagram of this number: its size and its bytes follow from it.
fn datagram<'a>(number: u64, sizes: &RangeInclusive<usize>, buf: &'a mut [u8]) -> &'a [u8] {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bytes = sizes.start() + (mixed >> 32) as usize % (sizes.end() - sizes.start() + 1);
    let buf = &mut buf[..bytes];
    buf.fill(mixed as u8);
    buf[..8].copy_from_slice(&number.to_le_bytes());
    buf
}
