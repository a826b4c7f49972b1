//! What Unix sockets do without an operation.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::SocketAddr;

use crate::fd::SharedFd;
use crate::kernel::socket::unix;
use crate::sys::address::RawAddress;

pub use crate::kernel::socket::unix::UnixKind;

impl SharedFd {
    /// A new Unix socket.
    ///
    /// # Errors
    ///
    /// Those of [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
    pub fn unix(kind: UnixKind) -> io::Result<Self> {
        unix::unix(kind).map(Self::of_socket)
    }

    /// Two Unix sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// Those of [`socketpair(2)`](https://man7.org/linux/man-pages/man2/socketpair.2.html).
    pub fn unix_pair(kind: UnixKind) -> io::Result<(Self, Self)> {
        unix::pair(kind).map(|(one, other)| (Self::of_socket(one), Self::of_socket(other)))
    }

    /// Binds a Unix socket.
    ///
    /// # Errors
    ///
    /// Those of [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub fn bind_unix(&self, address: &RawAddress) -> io::Result<()> {
        unix::bind(self.as_fd(), address)
    }

    /// The address at this end of a Unix socket.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_unix_addr(&self) -> io::Result<SocketAddr> {
        unix::local_address(self.as_fd())?.unix()
    }

    /// The address at the other end of a Unix socket.
    ///
    /// # Errors
    ///
    /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
    pub fn peer_unix_addr(&self) -> io::Result<SocketAddr> {
        unix::peer_address(self.as_fd())?.unix()
    }

    /// Who the peer of a Unix socket was when it connected: process, user and group.
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html).
    pub fn peer_credentials(&self) -> io::Result<(i32, u32, u32)> {
        unix::peer_credentials(self.as_fd())
    }
}
