//! The same services on each runtime, and on none: every server is a process of its own with one thread.
//!
//! Each prints its address and its process when it listens, and serves until it is killed. The runtimes' own are written as
//! their documentation shows it; the bare ones are what their system calls allow. `programs` are servers in other languages,
//! which take part where what they need is installed.

mod bare_calls;
mod bare_epoll;
mod bare_ring;
pub(crate) mod blocks;
mod compio;
mod glommio;
mod http;
mod monoio;
mod programs;
mod quoit;
mod quoit_http;
mod tokio;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process;

use nix::sys::socket::{self, Backlog};

pub(crate) use programs::{NotReady, Program};

/// A server: its name, and its main functions.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    mains: &'static [(Service, Main)],
    /// What its main function becomes, if it is not part of this program.
    pub(crate) program: Option<&'static Program>,
}

type Main = fn() -> io::Result<()>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Echoes the bytes of streams.
    Tcp,
    /// Echoes datagrams, by one task.
    Udp,
    /// Answers requests of HTTP/1.1 by their path.
    Http,
    /// Reads blocks of a file, as it is told by its standard input.
    Files,
}

/// All of them. The others are divided by the first that has a mode, and by tokio.
pub(crate) const SERVERS: [Server; 16] = [
    own("bare-ring", &[(Service::Tcp, bare_ring::tcp)]),
    own("bare-epoll", &[(Service::Tcp, bare_epoll::tcp)]),
    own("bare-calls", &[(Service::Udp, bare_calls::udp), (Service::Files, bare_calls::files)]),
    own(
        "quoit",
        &[
            (Service::Tcp, quoit::tcp),
            (Service::Udp, quoit::udp),
            (Service::Http, quoit::http),
            (Service::Files, quoit::files),
        ],
    ),
    own("quoit-spin", &[(Service::Tcp, quoit::tcp_spin)]),
    own(
        "quoit-gather",
        &[(Service::Tcp, quoit::tcp_gather), (Service::Udp, quoit::udp_gather), (Service::Http, quoit::http_gather)],
    ),
    own(
        "quoit-behind",
        &[(Service::Tcp, quoit::tcp_behind), (Service::Udp, quoit::udp_behind), (Service::Http, quoit::http_behind)],
    ),
    own(
        "tokio",
        &[
            (Service::Tcp, tokio::tcp),
            (Service::Udp, tokio::udp),
            (Service::Http, tokio::http),
            (Service::Files, tokio::files),
        ],
    ),
    own("monoio", &[(Service::Tcp, monoio::tcp), (Service::Http, monoio::http), (Service::Files, monoio::files)]),
    own(
        "compio",
        &[
            (Service::Tcp, compio::tcp),
            (Service::Udp, compio::udp),
            (Service::Http, compio::http),
            (Service::Files, compio::files),
        ],
    ),
    own("glommio", &[(Service::Tcp, glommio::tcp), (Service::Files, glommio::files)]),
    guest("asio", &[(Service::Tcp, || programs::ASIO.become_it())], &programs::ASIO),
    guest("libuv", &[(Service::Tcp, || programs::LIBUV.become_it())], &programs::LIBUV),
    guest("libevent", &[(Service::Tcp, || programs::LIBEVENT.become_it())], &programs::LIBEVENT),
    guest("asyncio", &[(Service::Tcp, || programs::ASYNCIO.become_it())], &programs::ASYNCIO),
    guest("uvloop", &[(Service::Tcp, || programs::UVLOOP.become_it())], &programs::UVLOOP),
];

const fn own(name: &'static str, mains: &'static [(Service, Main)]) -> Server {
    Server { name, mains, program: None }
}

const fn guest(name: &'static str, mains: &'static [(Service, Main)], program: &'static Program) -> Server {
    Server { name, mains, program: Some(program) }
}

impl Server {
    /// Its main function for a service that it has.
    pub(crate) fn main(&self, service: Service) -> Option<Main> {
        self.mains.iter().find(|(one, _)| *one == service).map(|(_, main)| *main)
    }

    pub(crate) fn is_interpreted(&self) -> bool {
        self.program.is_some_and(Program::is_interpreted)
    }
}

impl Service {
    pub(crate) const ALL: [Service; 4] = [Service::Tcp, Service::Udp, Service::Http, Service::Files];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Tcp => "tcp",
            Service::Udp => "udp",
            Service::Http => "http",
            Service::Files => "files",
        }
    }
}

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
