//! The same echo on each runtime, and on none: every server is a process of its own with one thread.
//!
//! Each prints its address and its process when it listens, and serves until it is killed. The runtimes' own are written as
//! their documentation shows an echo; the bare ones are what their system calls allow.

mod bare_calls;
mod bare_epoll;
mod bare_ring;
mod compio;
mod glommio;
mod monoio;
mod quoit;
mod tokio;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process;

use nix::sys::socket::{self, Backlog};

/// A server: its name, and its main functions.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Echoes the bytes of streams.
    pub(crate) tcp: Option<fn() -> io::Result<()>>,
    /// Echoes datagrams, by one task.
    pub(crate) udp: Option<fn() -> io::Result<()>>,
}

/// All of them. The others are divided by the first that has a mode, and by tokio.
pub(crate) const SERVERS: [Server; 9] = [
    Server { name: "bare-ring", tcp: Some(bare_ring::tcp), udp: None },
    Server { name: "bare-epoll", tcp: Some(bare_epoll::tcp), udp: None },
    Server { name: "bare-calls", tcp: None, udp: Some(bare_calls::udp) },
    Server { name: "quoit", tcp: Some(quoit::tcp), udp: Some(quoit::udp) },
    Server { name: "quoit-behind", tcp: Some(quoit::tcp_behind), udp: None },
    Server { name: "tokio", tcp: Some(tokio::tcp), udp: Some(tokio::udp) },
    Server { name: "monoio", tcp: Some(monoio::tcp), udp: None },
    Server { name: "compio", tcp: Some(compio::tcp), udp: Some(compio::udp) },
    Server { name: "glommio", tcp: Some(glommio::tcp), udp: None },
];

/// The bytes that a server reads at once, where it brings the buffer.
const BUFFER_BYTES: usize = 8 << 10;

/// The longest datagram that a server takes, where it brings the buffer.
const DATAGRAM_BYTES: usize = 2 << 10;

/// A listener on a port that was free, for servers that take one of std's. Its backlog is that of the others.
fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    socket::listen(&listener, Backlog::new(1024)?)?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

fn announce(address: SocketAddr) -> io::Result<()> {
    println!("{address} {}", process::id());
    io::stdout().flush()
}
