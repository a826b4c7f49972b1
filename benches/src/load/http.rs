//! Requests of HTTP/1.1 over connections that stay. Each asks for a path of its own and must get that path back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::str;
use std::time::Instant;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::Done;

/// One connection: one request is under way on it.
struct Connection {
    stream: TcpStream,
    number: usize,
    left: u64,
    /// What the answer's body must be.
    path: String,
    begun: Instant,
    answer: Vec<u8>,
}

/// Opens so many connections, and sends so many requests on each.
pub(super) fn run(address: SocketAddr, connections: usize, requests: u64) -> io::Result<Done> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let start = Instant::now();
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let mut connection = Connection::new(address, number, requests)?;
        epoll.add(&connection.stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        connection.ask()?;
        open.push(connection);
    }
    let mut latencies_ns = Vec::with_capacity(connections * requests as usize);
    let mut events = vec![EpollEvent::empty(); connections];
    let mut busy = connections;
    while busy > 0 {
        let count = match epoll.wait(&mut events, EpollTimeout::from(10_000_u16)) {
            Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "no answer for ten seconds")),
            Ok(count) => count,
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            let connection = &mut open[event.data() as usize];
            if !connection.read()? {
                continue;
            }
            latencies_ns.push(connection.begun.elapsed().as_nanos() as u64);
            connection.left -= 1;
            if connection.left == 0 {
                epoll.delete(&connection.stream)?;
                busy -= 1;
            } else {
                connection.ask()?;
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
        Ok(Connection { stream, number, left, path: String::new(), begun: Instant::now(), answer: Vec::new() })
    }

    /// Sends the next request, which always fits into the buffer of the socket.
    fn ask(&mut self) -> io::Result<()> {
        self.path = format!("/{}/{}", self.number, self.left);
        self.begun = Instant::now();
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n", self.path);
        self.stream.write_all(request.as_bytes())
    }

    /// Reads what is there. Whether the answer is whole; an error if it is not what it must be.
    fn read(&mut self) -> io::Result<bool> {
        let mut buf = [0; 4096];
        match self.stream.read(&mut buf) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => self.answer.extend_from_slice(&buf[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        let Some((bytes, body)) = parse(&self.answer)? else { return Ok(false) };
        // One request is under way: nothing follows its answer.
        if body != self.path.as_bytes() || bytes != self.answer.len() {
            let text = String::from_utf8_lossy(&self.answer);
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{} was answered by {text:?}", self.path)));
        }
        self.answer.clear();
        Ok(true)
    }
}

/// The length of a whole answer, and its body.
fn parse(answer: &[u8]) -> io::Result<Option<(usize, &[u8])>> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = str::from_utf8(&answer[..head]).map_err(io::Error::other)?;
    let mut lines = text.split("\r\n");
    if lines.next() != Some("HTTP/1.1 200 OK") {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("not answered by 200: {text:?}")));
    }
    let mut headers = lines.filter_map(|line| line.split_once(": "));
    let length = headers.find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok()).flatten()
    });
    let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "an answer without content-length"))?;
    let end = head + 4 + length;
    Ok((answer.len() >= end).then(|| (end, &answer[head + 4..end])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_when_their_body_is() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\ndate: today\r\n\r\n/1/2";
        for bytes in 0..answer.len() {
            assert_eq!(parse(&answer[..bytes]).expect("no error"), None);
        }
        assert_eq!(parse(answer).expect("no error"), Some((answer.len(), &b"/1/2"[..])));
    }

    #[test]
    fn answers_of_another_status_or_without_a_length_are_errors() {
        assert!(parse(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ndate: today\r\n\r\n").is_err());
    }
}
