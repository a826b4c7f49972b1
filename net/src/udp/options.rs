//! The options of a UDP socket. Those of the kernel cost a system call each, and work outside a runtime, too.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use quoit_runtime::socket::{SocketOption, UdpOption};

use crate::udp::UdpSocket;

impl UdpSocket {
    /// Lets short datagrams (up to 4 KiB) answer before they are out: they are copied, and leave together at the end of the turn,
    /// in the entry into the kernel that waits for what comes next. Off by default; costs no system call.
    ///
    /// For a server that answers many datagrams in one turn. What a task has sent is held back as long as it, or another task of
    /// this thread, computes without awaiting anything. An error is told once, by the next send, whose own datagram is then not
    /// sent. Datagrams leave in the order in which they were sent, but for one that finds no room: it is sent again behind those of its
    /// turn. Dropping or closing the socket lets all of them out.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_net::UdpSocket;
    ///
    /// # quoit_runtime::block_on(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_write_behind(true);
    /// socket.send_to("soon", socket.local_addr()?).await.0?;
    /// assert_eq!(socket.recv(Vec::with_capacity(10)).await.0?, 4);
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_write_behind(&self, on: bool) {
        self.core().set_write_behind(on);
    }

    /// Whether short datagrams answer before they are out.
    pub fn write_behind(&self) -> bool {
        self.core().write_behind()
    }

    /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html), as all options.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.fd().broadcast()
    }

    /// Sets [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    ///
    /// Those of [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html), as all options.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::Broadcast(on))
    }

    /// Whether what it sends to an IPv4 group comes back to this host's members (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.fd().multicast_loop_v4()
    }

    /// Sets [`multicast_loop_v4`](Self::multicast_loop_v4).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::MulticastLoopV4(on))
    }

    /// The most hops that an IPv4 multicast packet takes (`IP_MULTICAST_TTL`): 1 unless set.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.fd().multicast_ttl_v4()
    }

    /// Sets [`multicast_ttl_v4`](Self::multicast_ttl_v4).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_multicast_ttl_v4(&self, value: u32) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::MulticastTtlV4(value))
    }

    /// The interface that IPv4 multicast packets go out by, by its address (`IP_MULTICAST_IF`).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_interface_v4(&self) -> io::Result<Ipv4Addr> {
        self.fd().multicast_interface_v4()
    }

    /// Sets [`multicast_interface_v4`](Self::multicast_interface_v4).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_multicast_interface_v4(&self, address: Ipv4Addr) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::MulticastInterfaceV4(address))
    }

    /// Whether what it sends to an IPv6 group comes back to this host's members (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.fd().multicast_loop_v6()
    }

    /// Sets [`multicast_loop_v6`](Self::multicast_loop_v6).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::MulticastLoopV6(on))
    }

    /// The most hops that an IPv6 multicast packet takes (`IPV6_MULTICAST_HOPS`): 1 unless set.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_hops_v6(&self) -> io::Result<u32> {
        self.fd().multicast_hops_v6()
    }

    /// Sets [`multicast_hops_v6`](Self::multicast_hops_v6).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_multicast_hops_v6(&self, value: u32) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::MulticastHopsV6(value))
    }

    /// The interface that IPv6 multicast packets go out by, by its index (`IPV6_MULTICAST_IF`).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn multicast_interface_v6(&self) -> io::Result<u32> {
        self.fd().multicast_interface_v6()
    }

    /// Sets [`multicast_interface_v6`](Self::multicast_interface_v6).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_multicast_interface_v6(&self, value: u32) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::MulticastInterfaceV6(value))
    }

    /// The type of service of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.fd().tos_v4()
    }

    /// Sets [`tos_v4`](Self::tos_v4).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_tos_v4(&self, value: u32) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::TosV4(value))
    }

    /// Joins an IPv4 group, on the interface that has the address `interface` (unspecified: on one that the system picks).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast); `EADDRINUSE` for a group that it is in already.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::JoinV4(group, interface))
    }

    /// Leaves an IPv4 group.
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::LeaveV4(group, interface))
    }

    /// Joins an IPv6 group, on the interface with this index (0: on one that the system picks).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast); `EADDRINUSE` for a group that it is in already.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::JoinV6(*group, interface))
    }

    /// Leaves an IPv6 group.
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::LeaveV6(*group, interface))
    }

    /// Whether other sockets may be bound to the same address (`SO_REUSEADDR`); to be set on all of them before
    /// [`bind_to`](Self::bind_to).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_reuseaddr(&self, on: bool) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::ReuseAddress(on))
    }

    /// Whether other sockets may be bound to the same address and share what arrives (`SO_REUSEPORT`); to be set on all of
    /// them before [`bind_to`](Self::bind_to).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_reuseport(&self, on: bool) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::ReusePort(on))
    }

    /// Whether an IPv6 socket is for IPv6 only (`IPV6_V6ONLY`); to be set before [`bind_to`](Self::bind_to).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_only_v6(&self, on: bool) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::OnlyV6(on))
    }

    /// The size of the datagrams that a longer buffer is sent as (`UDP_SEGMENT`); `None`: a buffer is one datagram.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn gso(&self) -> io::Result<Option<u16>> {
        self.fd().segment().map(|bytes| Some(bytes).filter(|bytes| *bytes > 0))
    }

    /// Sets [`gso`](Self::gso): a send of a longer buffer becomes datagrams of this size, the last one perhaps shorter, which
    /// the kernel (or the network card) cuts. 64 of them or 64 KiB at most.
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast); `InvalidInput` for a size of 0.
    ///
    /// # Kernel
    ///
    /// Linux 4.18.
    pub fn set_gso(&self, segment_bytes: Option<u16>) -> io::Result<()> {
        if segment_bytes == Some(0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "segments of 0 bytes"));
        }
        self.fd().set_udp_option(UdpOption::Segment(segment_bytes.unwrap_or(0)))
    }

    /// Whether the kernel may put datagrams of one sender together (`UDP_GRO`), which spares it work.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn gro(&self) -> io::Result<bool> {
        self.fd().coalesces()
    }

    /// Sets [`gro`](Self::gro). [`recv_msg`](Self::recv_msg) gives them together, and tells their size; all other receives take
    /// them apart again.
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    ///
    /// # Kernel
    ///
    /// Linux 5.0.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        self.fd().set_udp_option(UdpOption::Coalesce(on))?;
        self.core().set_coalesces(on);
        Ok(())
    }

    /// The most hops that a packet takes (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn ttl(&self) -> io::Result<u32> {
        self.fd().ttl()
    }

    /// Sets [`ttl`](Self::ttl).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.fd().set_option(SocketOption::Ttl(ttl))
    }

    /// The kernel's receive buffer in bytes (`SO_RCVBUF`), as it counts them: twice of what was set.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.fd().recv_buffer_size()
    }

    /// Sets [`recv_buffer_size`](Self::recv_buffer_size).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.fd().set_option(SocketOption::RecvBufferSize(bytes))
    }

    /// The kernel's send buffer in bytes (`SO_SNDBUF`), as it counts them: twice of what was set.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.fd().send_buffer_size()
    }

    /// Sets [`send_buffer_size`](Self::send_buffer_size).
    ///
    /// # Errors
    ///
    /// As [`set_broadcast`](Self::set_broadcast).
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.fd().set_option(SocketOption::SendBufferSize(bytes))
    }

    /// The error that the socket has to tell, if there is one, which is taken by asking (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.fd().take_error()
    }
}
