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
        let mut echo = vec![0; self.message.len()];
        for _ in 0..count {
            let mut stream = TcpStream::connect(self.address)?;
            stream.write_all(&self.message)?;
            stream.read_exact(&mut echo)?;
            if echo != self.message {
                return Err(io::Error::new(ErrorKind::InvalidData, "a message came back changed"));
            }
            self.open.push(stream);
        }
        Ok(())
    }
}
