//! What sockets do without an operation: making, binding, listening, options and addresses.
//!
//! These work outside a runtime, too.

mod udp;
mod unix;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::fd::SharedFd;
use crate::kernel::socket;

pub use crate::kernel::socket::SocketOption;
pub use crate::socket::udp::UdpOption;
pub use crate::socket::unix::UnixKind;
pub use crate::sys::address::{Address, RawAddress};

impl SharedFd {
    /// A new TCP socket for addresses of this family.
    ///
    /// # Errors
    ///
    /// Those of [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
    pub fn tcp(family_of: SocketAddr) -> io::Result<Self> {
        socket::tcp(family_of).map(Self::of_socket)
    }

    /// Takes a socket from outside, whose operations are to wait in the kernel, also if it was non-blocking.
    pub fn adopt(fd: OwnedFd) -> Self {
        // Where the mode can't be changed it is no socket, and the first operation will say so.
        let _ = socket::set_blocking(fd.as_fd());
        let lingers = socket::linger(fd.as_fd()).is_ok_and(waits);
        let socket = Self::of_socket(fd);
        socket.note_linger(lingers);
        socket
    }

    /// Binds the socket to an address.
    ///
    /// # Errors
    ///
    /// Those of [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        socket::bind(self.as_fd(), address)
    }

    /// Makes the socket listen.
    ///
    /// # Errors
    ///
    /// Those of [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html).
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        socket::listen(self.as_fd(), backlog)
    }

    /// Ends a TCP connection at once, by a reset: what was not sent is dropped, and the kernel gives its memory back.
    pub fn abort(&self) {
        socket::abort(self.as_fd());
    }

    /// Shuts down the sending side at once, where no operation can. An error tells that there is nothing to shut down.
    pub fn shut_down_sending(&self) {
        if socket::shut_down_sending(self.as_fd()).is_ok() {
            self.latch_send_shut();
        }
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::local_address(self.as_fd())
    }

    /// The address at the other end.
    ///
    /// # Errors
    ///
    /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html): `ENOTCONN` also for a
    /// connection that was reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::peer_address(self.as_fd())
    }

    /// Whether a TCP socket has no connection any more, not even the rest of one: after a reset, or after both ends have
    /// shut down.
    pub fn is_torn_down(&self) -> bool {
        socket::is_torn_down(self.as_fd())
    }

    /// Sets an option.
    ///
    /// # Errors
    ///
    /// Those of [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html).
    pub fn set_option(&self, option: SocketOption) -> io::Result<()> {
        socket::set_option(self.as_fd(), option)?;
        if let SocketOption::Linger(time) = option {
            self.note_linger(waits(time));
        }
        Ok(())
    }

    /// `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html).
    pub fn no_delay(&self) -> io::Result<bool> {
        socket::no_delay(self.as_fd())
    }

    /// The time before the first keep-alive probe, where `SO_KEEPALIVE` is on.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn keep_alive(&self) -> io::Result<Option<Duration>> {
        socket::keep_alive(self.as_fd())
    }

    /// `SO_REUSEADDR`.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn reuse_address(&self) -> io::Result<bool> {
        socket::reuse_address(self.as_fd())
    }

    /// `SO_REUSEPORT`.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn reuse_port(&self) -> io::Result<bool> {
        socket::reuse_port(self.as_fd())
    }

    /// `IPV6_V6ONLY`.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn only_v6(&self) -> io::Result<bool> {
        socket::only_v6(self.as_fd())
    }

    /// `SO_LINGER`.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        socket::linger(self.as_fd())
    }

    /// `IP_TTL`, or `IPV6_UNICAST_HOPS`.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn ttl(&self) -> io::Result<u32> {
        socket::ttl(self.as_fd())
    }

    /// `SO_RCVBUF`, as the kernel counts it.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        socket::recv_buffer_size(self.as_fd())
    }

    /// `SO_SNDBUF`, as the kernel counts it.
    ///
    /// # Errors
    ///
    /// As [`no_delay`](Self::no_delay).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        socket::send_buffer_size(self.as_fd())
    }
}

/// Whether a socket that lingers for so long makes who closes it wait. The kernel counts whole seconds; without any, the
/// connection is reset at once.
fn waits(linger: Option<Duration>) -> bool {
    linger.is_some_and(|time| time.as_secs() > 0)
}
