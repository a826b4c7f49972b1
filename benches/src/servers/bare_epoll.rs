//! No runtime: epoll, level-triggered, and non-blocking reads and writes.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::servers::{BUFFER_BYTES, listen};

struct Connection {
    stream: TcpStream,
    /// What the peer has not taken yet; nothing is read meanwhile.
    rest: Vec<u8>,
}

pub(super) fn tcp() -> io::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut events = vec![EpollEvent::empty(); 1024];
    let mut buf = vec![0; BUFFER_BYTES];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            // A tool that looks at the process ends the wait.
            Err(nix::Error::EINTR) => continue,
            result => result?,
        };
        for event in &events[..count] {
            if event.data() == LISTENER {
                accept_all(&listener, &epoll, &mut connections)?;
                continue;
            }
            let Some(connection) = connections.get_mut(&event.data()) else { continue };
            // An error of one connection is its end; closing it takes it out of the epoll as well.
            if !serve(connection, event.data(), &epoll, &mut buf).unwrap_or(false) {
                connections.remove(&event.data());
            }
        }
    }
}

fn accept_all(listener: &TcpListener, epoll: &Epoll, connections: &mut HashMap<u64, Connection>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                let key = stream.as_raw_fd() as u64;
                epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, key))?;
                connections.insert(key, Connection { stream, rest: Vec::new() });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// One read and its answer, or the rest of an earlier one. Whether the connection goes on.
fn serve(connection: &mut Connection, key: u64, epoll: &Epoll, buf: &mut [u8]) -> io::Result<bool> {
    if connection.rest.is_empty() {
        let bytes = match connection.stream.read(buf) {
            Ok(0) => return Ok(false),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let written = write_some(&mut connection.stream, &buf[..bytes])?;
        if written < bytes {
            connection.rest.extend_from_slice(&buf[written..bytes]);
            epoll.modify(&connection.stream, &mut EpollEvent::new(EpollFlags::EPOLLOUT, key))?;
        }
    } else {
        let written = write_some(&mut connection.stream, &connection.rest)?;
        connection.rest.drain(..written);
        if connection.rest.is_empty() {
            epoll.modify(&connection.stream, &mut EpollEvent::new(EpollFlags::EPOLLIN, key))?;
        }
    }
    Ok(true)
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

const LISTENER: u64 = u64::MAX;
