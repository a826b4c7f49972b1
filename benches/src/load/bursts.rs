//! Echoes whose requests leave in bursts: the load waits until so many answers are there before it sends the next requests, all
//! of them at once. So it tells what a server makes of several messages that come together, whatever time the load itself needs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::Done;

/// One connection: one message is under way on it.
struct Connection {
    stream: TcpStream,
    number: usize,
    /// Messages that have not been sent.
    left: u64,
    begun: Instant,
    /// How much of the message has come back.
    received: usize,
}

/// Opens so many connections, and sends so many messages of so many bytes on each, `burst` at a time.
pub(super) fn run(
    address: SocketAddr,
    connections: usize,
    messages: u64,
    bytes: usize,
    burst: usize,
) -> io::Result<Done> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let (mut message, mut buf) = (vec![0; bytes], vec![0; bytes + 1]);
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let connection = Connection::new(address, number, messages)?;
        epoll.add(&connection.stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        open.push(connection);
    }
    let mut latencies_ns = Vec::with_capacity(connections * messages as usize);
    let mut events = vec![EpollEvent::empty(); connections];
    let start = Instant::now();
    // Those that send next.
    let mut waiting: Vec<usize> = (0..connections).collect();
    let mut under_way = 0;
    while under_way > 0 || !waiting.is_empty() {
        // Towards the end fewer are under way.
        if waiting.len() >= burst || under_way == 0 {
            for index in waiting.drain(..) {
                open[index].send(&mut message)?;
                under_way += 1;
            }
        }
        let count = match epoll.wait(&mut events, EpollTimeout::from(10_000_u16)) {
            Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "no answer for ten seconds")),
            Ok(count) => count,
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            let index = event.data() as usize;
            let connection = &mut open[index];
            if connection.receive(&mut message, &mut buf)? {
                latencies_ns.push(connection.begun.elapsed().as_nanos() as u64);
                under_way -= 1;
                if connection.left > 0 {
                    waiting.push(index);
                }
            }
        }
    }
    Ok(Done { requests: latencies_ns.len() as u64, elapsed: start.elapsed(), latencies_ns })
}

impl Connection {
    fn new(address: SocketAddr, number: usize, left: u64) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, number, left, begun: Instant::now(), received: 0 })
    }

    /// Sends the next message, which always fits into the buffer of the socket: nothing else is in it.
    fn send(&mut self, message: &mut [u8]) -> io::Result<()> {
        self.begun = Instant::now();
        (self.left, self.received) = (self.left - 1, 0);
        self.fill(message);
        self.stream.write_all(message)
    }

    /// Reads what is there. Whether the message has come back whole; an error if it has come back changed.
    fn receive(&mut self, message: &mut [u8], buf: &mut [u8]) -> io::Result<bool> {
        let count = match self.stream.read(buf) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        self.fill(message);
        if message.get(self.received..self.received + count) != Some(&buf[..count]) {
            let text = format!("connection {}, {} messages before its last: came back changed", self.number, self.left);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        self.received += count;
        Ok(self.received == message.len())
    }

    /// The bytes of the message that is under way: each is unlike its neighbours, and unlike those of other messages.
    fn fill(&self, message: &mut [u8]) {
        let first = (self.number as u64).wrapping_mul(31).wrapping_add(self.left.wrapping_mul(7)) as u8;
        message.iter_mut().enumerate().for_each(|(offset, byte)| *byte = first.wrapping_add(offset as u8));
    }
}
