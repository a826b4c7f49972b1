//! The listener.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::socket::SocketOption;
use quoit_runtime::task::yield_now;

use crate::addr::{ToSocketAddrs, resolve};
use crate::listening::{Connections, ListenerSocket};
use crate::stream::stream_conversions;
use crate::tcp::stream::TcpStream;

/// A TCP socket that listens for connections.
///
/// Connections are accepted by one multishot operation into a queue of the listener, from the first call of
/// [`accept`](Self::accept) or [`incoming`](Self::incoming) on. Dropping the listener closes it, and with it the connections
/// that nobody has taken. Its port can be bound again by [`bind`](Self::bind) at once, by others after
/// [`close`](Self::close).
///
/// # Examples
///
/// ```no_run
/// use quoit_net::TcpListener;
///
/// # quoit_runtime::block_on(async {
/// // Takes connections by IPv4, too.
/// let listener = TcpListener::bind("[::]:7000").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     println!("{peer}");
///     quoit_runtime::spawn(async move { stream.write_all("hello\n").await.0 });
/// }
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    core: ListenerSocket,
}

impl TcpListener {
    /// Listens on an address: the first one of those given that can be bound. `SO_REUSEADDR` is on, the backlog is 1024.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, nothing is left bound.
    ///
    /// # Errors
    ///
    /// Those of resolving the name, and of [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html) and
    /// [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html) for the last address that was tried.
    ///
    /// # Panics
    ///
    /// Outside a runtime, where a name has to be resolved.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last_error = None;
        for address in resolve(&address).await? {
            match Self::bind_one(address).await {
                Ok(listener) => return Ok(listener),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    async fn bind_one(address: SocketAddr) -> io::Result<Self> {
        // A listener that this thread has just dropped lets go of its port within two turns: one to cancel its accept, one
        // to close it.
        for _turn in 0..TURNS_OF_A_CLOSE {
            match Self::listen(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => yield_now().await,
                listening => return listening,
            }
        }
        Self::listen(address)
    }

    fn listen(address: SocketAddr) -> io::Result<Self> {
        let fd = SharedFd::tcp(address)?;
        fd.set_option(SocketOption::ReuseAddress(true))?;
        if address.is_ipv6() {
            // Whatever the system's default is, `[::]` takes connections by IPv4, too.
            fd.set_option(SocketOption::OnlyV6(false))?;
        }
        fd.bind(address)?;
        fd.listen(BACKLOG)?;
        Ok(Self::from_fd(fd))
    }

    pub(crate) fn from_fd(fd: SharedFd) -> Self {
        Self { core: ListenerSocket::from_fd(fd) }
    }

    pub(crate) fn core(&self) -> &ListenerSocket {
        &self.core
    }

    /// The next connection, and the address of its peer.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: a connection belongs to the listener until a future has returned it.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`, `ENOBUFS` and `ENOMEM` are reported once; called again, it waits until there may be an end to the
    /// shortage, and connections that wait in the backlog are not lost. A connection that was reset before it was accepted
    /// is not reported: the next one is. Other errors are final.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let connection = self.core.accept().await?;
            // Multishot accept does not tell the address. A peer that has hung up already has none.
            if let Ok(peer) = connection.peer_addr() {
                return Ok((TcpStream::from_fd(connection), peer));
            }
        }
    }

    /// The connections, one after another, without the addresses of their peers, which cost a system call each.
    ///
    /// The stream does not end. It gives errors as [`accept`](Self::accept) does.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: what a dropped stream would have had goes to the next caller.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { connections: self.core.connections() }
    }

    /// Stops listening, and waits until the port is free.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the listener is closed all the same.
    ///
    /// # Errors
    ///
    /// Those of [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    pub async fn close(self) -> io::Result<()> {
        self.core.close().await
    }

    /// The most hops that a packet takes (`IP_TTL`, `IPV6_UNICAST_HOPS`); connections inherit it.
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html).
    pub fn ttl(&self) -> io::Result<u32> {
        self.core.fd().ttl()
    }

    /// Sets [`ttl`](Self::ttl).
    ///
    /// # Errors
    ///
    /// Those of [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.core.fd().set_option(SocketOption::Ttl(ttl))
    }

    /// Whether connections by IPv4 are refused (`IPV6_V6ONLY`), for a listener of IPv6.
    ///
    /// # Errors
    ///
    /// As [`ttl`](Self::ttl).
    pub fn only_v6(&self) -> io::Result<bool> {
        self.core.fd().only_v6()
    }

    /// The address that it listens on, with the port that the system has picked for port 0.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.fd().local_addr()
    }
}

stream_conversions!(TcpListener, ListenerSocket, std::net::TcpListener);

/// The connections of a listener as a stream. Made by [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless they are polled"]
pub struct Incoming<'a> {
    connections: Connections<'a>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_next(cx).map_ok(TcpStream::from_fd).map(Some)
    }
}

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;
/// See `bind_one`.
const TURNS_OF_A_CLOSE: u32 = 3;
