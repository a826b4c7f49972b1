//! A socket before it is connected or listens, for its options.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use quoit_runtime::cancel_scope::check;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::socket::SocketOption;

use crate::tcp::options::tcp_options;
use crate::tcp::{TcpListener, TcpStream};

/// A TCP socket that is neither connected nor listening yet: options and an address first, then
/// [`connect`](Self::connect) or [`listen`](Self::listen).
///
/// # Examples
///
/// ```
/// use quoit_net::TcpSocket;
///
/// # quoit_runtime::block_on(async {
/// // A listener that shares its port with those of other threads.
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseport(true)?;
/// socket.bind("127.0.0.1:0".parse().expect("an address"))?;
/// let listener = socket.listen(1024)?;
///
/// let socket = TcpSocket::new_v4()?;
/// socket.set_nodelay(true)?;
/// let stream = socket.connect(listener.local_addr()?).await?;
/// assert!(stream.nodelay()?);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    fd: SharedFd,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// Those of [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
    pub fn new_v4() -> io::Result<Self> {
        SharedFd::tcp((Ipv4Addr::UNSPECIFIED, 0).into()).map(|fd| Self { fd })
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    ///
    /// As [`new_v4`](Self::new_v4).
    pub fn new_v6() -> io::Result<Self> {
        SharedFd::tcp((Ipv6Addr::UNSPECIFIED, 0).into()).map(|fd| Self { fd })
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        &self.fd
    }

    tcp_options!();

    /// Whether an address may be bound while connections of an earlier listener linger (`SO_REUSEADDR`). Off at first.
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.fd.reuse_address()
    }

    /// Sets [`reuseaddr`](Self::reuseaddr).
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_reuseaddr(&self, on: bool) -> io::Result<()> {
        self.fd.set_option(SocketOption::ReuseAddress(on))
    }

    /// Whether several sockets may listen on the same address, and share its connections (`SO_REUSEPORT`). Off at first.
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn reuseport(&self) -> io::Result<bool> {
        self.fd.reuse_port()
    }

    /// Sets [`reuseport`](Self::reuseport).
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_reuseport(&self, on: bool) -> io::Result<()> {
        self.fd.set_option(SocketOption::ReusePort(on))
    }

    /// Whether an IPv6 socket does without IPv4 (`IPV6_V6ONLY`). As the system has it at first, mostly off.
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn only_v6(&self) -> io::Result<bool> {
        self.fd.only_v6()
    }

    /// Sets [`only_v6`](Self::only_v6).
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_only_v6(&self, on: bool) -> io::Result<()> {
        self.fd.set_option(SocketOption::OnlyV6(on))
    }

    /// Binds it to an address.
    ///
    /// # Errors
    ///
    /// Those of [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.fd.bind(address)
    }

    /// Listens. The kernel keeps `backlog` connections until they are accepted, or as many as it allows.
    ///
    /// # Errors
    ///
    /// Those of [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html).
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.fd.listen(backlog.try_into().unwrap_or(i32::MAX))?;
        Ok(TcpListener::from_fd(self.fd))
    }

    /// Connects.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the connection is given up and the socket is closed.
    ///
    /// # Errors
    ///
    /// Those of [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        check()?;
        TcpStream::connect_socket(self.fd, address).await
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd.local_addr()
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<OwnedFd> for TcpSocket {
    /// Takes over a socket that is neither connected nor listening.
    fn from(fd: OwnedFd) -> Self {
        Self { fd: SharedFd::adopt(fd) }
    }
}

impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> Self {
        socket.fd.try_unwrap().unwrap_or_else(|fd| unreachable!("{fd:?} has had no operation"))
    }
}
