//! The options of a stream. They cost a system call each, and work outside a runtime, too.

use std::io;
use std::time::Duration;

use quoit_runtime::socket::SocketOption;

use crate::tcp::stream::TcpStream;

impl TcpStream {
    /// Whether small writes are sent at once (`TCP_NODELAY`), instead of being held back for more (Nagle's algorithm).
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html), as all options.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.fd().no_delay()
    }

    /// Sets [`nodelay`](Self::nodelay).
    ///
    /// # Errors
    ///
    /// Those of [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html), as all options.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.fd().set_option(SocketOption::NoDelay(nodelay))
    }

    /// The time without traffic after which the peer is probed (`SO_KEEPALIVE`, `TCP_KEEPIDLE`); `None`: it isn't.
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn keepalive(&self) -> io::Result<Option<Duration>> {
        self.fd().keep_alive()
    }

    /// Sets [`keepalive`](Self::keepalive), in whole seconds.
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_keepalive(&self, time: Option<Duration>) -> io::Result<()> {
        self.fd().set_option(SocketOption::KeepAlive(time))
    }

    /// How long closing waits for unsent bytes (`SO_LINGER`); `None`: they are sent in the background.
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.fd().linger()
    }

    /// Sets [`linger`](Self::linger), in whole seconds. Zero makes closing a reset. Beware of longer ones: they make the
    /// *kernel* wait in the close.
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_linger(&self, time: Option<Duration>) -> io::Result<()> {
        self.fd().set_option(SocketOption::Linger(time))
    }

    /// The most hops that a packet takes (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn ttl(&self) -> io::Result<u32> {
        self.fd().ttl()
    }

    /// Sets [`ttl`](Self::ttl).
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.fd().set_option(SocketOption::Ttl(ttl))
    }

    /// The kernel's receive buffer in bytes (`SO_RCVBUF`), as it counts them: twice of what was set.
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.fd().recv_buffer_size()
    }

    /// Sets [`recv_buffer_size`](Self::recv_buffer_size).
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.fd().set_option(SocketOption::RecvBufferSize(bytes))
    }

    /// The kernel's send buffer in bytes (`SO_SNDBUF`), as it counts them: twice of what was set.
    ///
    /// # Errors
    ///
    /// As [`nodelay`](Self::nodelay).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.fd().send_buffer_size()
    }

    /// Sets [`send_buffer_size`](Self::send_buffer_size).
    ///
    /// # Errors
    ///
    /// As [`set_nodelay`](Self::set_nodelay).
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.fd().set_option(SocketOption::SendBufferSize(bytes))
    }
}
