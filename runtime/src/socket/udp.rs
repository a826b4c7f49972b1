//! What UDP sockets do without an operation.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use crate::fd::SharedFd;
use crate::kernel::socket::udp;

pub use crate::kernel::socket::udp::UdpOption;

impl SharedFd {
    /// A new UDP socket for addresses of this family.
    ///
    /// # Errors
    ///
    /// Those of [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
    pub fn udp(family_of: SocketAddr) -> io::Result<Self> {
        udp::udp(family_of).map(Self::of_socket)
    }

    /// Sets an option of a UDP socket.
    ///
    /// # Errors
    ///
    /// Those of [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html).
    pub fn set_udp_option(&self, option: UdpOption) -> io::Result<()> {
        udp::set_option(self.as_fd(), option)
    }

    /// `SO_BROADCAST`.
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html).
    pub fn broadcast(&self) -> io::Result<bool> {
        udp::broadcast(self.as_fd())
    }

    /// `IP_TOS`.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn tos_v4(&self) -> io::Result<u32> {
        udp::tos_v4(self.as_fd())
    }

    /// `IP_MULTICAST_LOOP`.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        udp::multicast_loop_v4(self.as_fd())
    }

    /// `IP_MULTICAST_TTL`.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        udp::multicast_ttl_v4(self.as_fd())
    }

    /// `IP_MULTICAST_IF`.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_interface_v4(&self) -> io::Result<Ipv4Addr> {
        udp::multicast_interface_v4(self.as_fd())
    }

    /// `IPV6_MULTICAST_LOOP`.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        udp::multicast_loop_v6(self.as_fd())
    }

    /// `IPV6_MULTICAST_HOPS`.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_hops_v6(&self) -> io::Result<u32> {
        udp::multicast_hops_v6(self.as_fd())
    }

    /// `IPV6_MULTICAST_IF`: the index of an interface.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_interface_v6(&self) -> io::Result<u32> {
        udp::multicast_interface_v6(self.as_fd())
    }

    /// `UDP_SEGMENT`; 0 for none.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn segment(&self) -> io::Result<u16> {
        udp::segment(self.as_fd())
    }

    /// `UDP_GRO`.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn coalesces(&self) -> io::Result<bool> {
        udp::coalesces(self.as_fd())
    }

    /// `SO_ERROR`: the error that the socket has to tell, which is taken by asking.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        udp::take_error(self.as_fd())
    }
}
