//! Connections that stay open and do nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Connections on each of which one message was echoed. They are closed when this is dropped.
pub(crate) struct IdleConnections {
    address: SocketAddr,
    message: Vec<u8>,
    open: Vec<TcpStream>,
}

impl IdleConnections {
    pub(crate) fn new(address: SocketAddr, bytes: usize) -> IdleConnections {
        IdleConnections { address, message: (0..bytes).map(|index| index as u8).collect(), open: Vec::new() }
    }

    /// Opens so many more, one after the other.
    pub(crate) fn open(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            let mut stream = TcpStream::connect(self.address)?;
            echo(&mut stream, &self.message)?;
            self.open.push(stream);
        }
        Ok(())
    }

    /// Sends so many messages on each that is open.
    pub(crate) fn talk(&mut self, messages: usize) -> io::Result<()> {
        for _ in 0..messages {
            self.open.iter_mut().try_for_each(|stream| echo(stream, &self.message))?;
        }
        Ok(())
    }
}

fn echo(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let mut echo = vec![0; message.len()];
    stream.write_all(message)?;
    stream.read_exact(&mut echo)?;
    if echo == message { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidData, "a message came back changed")) }
}
