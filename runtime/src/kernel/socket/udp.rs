//! What UDP sockets do without an SQE.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::kernel::sim::socket::{self as simulated, OptionName, SocketKind};
use crate::sys::option;

/// A new UDP socket for addresses like this one, closed on exec, and blocking, as the ring wants it.
pub(crate) fn udp(address: SocketAddr) -> io::Result<OwnedFd> {
    if let Some(socket) = simulated::new(SocketKind::Udp) {
        return socket;
    }
    let socket = Socket::new_raw(Domain::for_address(address), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    Ok(socket.into())
}

/// An option of a UDP socket, with the value that it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpOption {
    /// `SO_BROADCAST`.
    Broadcast(bool),
    /// `SO_REUSEADDR`.
    ReuseAddress(bool),
    /// `SO_REUSEPORT`.
    ReusePort(bool),
    /// `IPV6_V6ONLY`.
    OnlyV6(bool),
    /// `IP_TOS`.
    TosV4(u32),
    /// `IP_MULTICAST_LOOP`.
    MulticastLoopV4(bool),
    /// `IP_MULTICAST_TTL`.
    MulticastTtlV4(u32),
    /// `IP_MULTICAST_IF`.
    MulticastInterfaceV4(Ipv4Addr),
    /// `IPV6_MULTICAST_LOOP`.
    MulticastLoopV6(bool),
    /// `IPV6_MULTICAST_HOPS`.
    MulticastHopsV6(u32),
    /// `IPV6_MULTICAST_IF`: the index of an interface.
    MulticastInterfaceV6(u32),
    /// `IP_ADD_MEMBERSHIP`: a group, and the address of the interface.
    JoinV4(Ipv4Addr, Ipv4Addr),
    /// `IP_DROP_MEMBERSHIP`.
    LeaveV4(Ipv4Addr, Ipv4Addr),
    /// `IPV6_ADD_MEMBERSHIP`: a group, and the index of the interface.
    JoinV6(Ipv6Addr, u32),
    /// `IPV6_DROP_MEMBERSHIP`.
    LeaveV6(Ipv6Addr, u32),
    /// `UDP_SEGMENT`; 0 for none.
    Segment(u16),
    /// `UDP_GRO`.
    Coalesce(bool),
}

pub(crate) fn set_option(fd: BorrowedFd<'_>, option: UdpOption) -> io::Result<()> {
    if let Some(answer) = set_simulated(fd, option) {
        return answer;
    }
    let socket = SockRef::from(&fd);
    match option {
        UdpOption::Broadcast(on) => socket.set_broadcast(on),
        UdpOption::ReuseAddress(on) => socket.set_reuse_address(on),
        UdpOption::ReusePort(on) => socket.set_reuse_port(on),
        UdpOption::OnlyV6(on) => socket.set_only_v6(on),
        UdpOption::TosV4(tos) => socket.set_tos_v4(tos),
        UdpOption::MulticastLoopV4(on) => socket.set_multicast_loop_v4(on),
        UdpOption::MulticastTtlV4(ttl) => socket.set_multicast_ttl_v4(ttl),
        UdpOption::MulticastInterfaceV4(interface) => socket.set_multicast_if_v4(&interface),
        UdpOption::MulticastLoopV6(on) => socket.set_multicast_loop_v6(on),
        UdpOption::MulticastHopsV6(hops) => socket.set_multicast_hops_v6(hops),
        UdpOption::MulticastInterfaceV6(interface) => socket.set_multicast_if_v6(interface),
        UdpOption::JoinV4(group, interface) => socket.join_multicast_v4(&group, &interface),
        UdpOption::LeaveV4(group, interface) => socket.leave_multicast_v4(&group, &interface),
        UdpOption::JoinV6(group, interface) => socket.join_multicast_v6(&group, interface),
        UdpOption::LeaveV6(group, interface) => socket.leave_multicast_v6(&group, interface),
        UdpOption::Segment(bytes) => option::set_number(fd, libc::SOL_UDP, libc::UDP_SEGMENT, bytes.into()),
        UdpOption::Coalesce(on) => option::set_number(fd, libc::SOL_UDP, libc::UDP_GRO, on.into()),
    }
}

fn set_simulated(fd: BorrowedFd<'_>, option: UdpOption) -> Option<io::Result<()>> {
    let (name, value) = match option {
        UdpOption::Broadcast(on) => (OptionName::Broadcast, on.into()),
        UdpOption::ReuseAddress(on) => (OptionName::ReuseAddress, on.into()),
        UdpOption::ReusePort(on) => (OptionName::ReusePort, on.into()),
        UdpOption::OnlyV6(on) => (OptionName::OnlyV6, on.into()),
        UdpOption::TosV4(tos) => (OptionName::Tos, tos),
        UdpOption::MulticastLoopV4(on) => (OptionName::MulticastLoopV4, on.into()),
        UdpOption::MulticastTtlV4(ttl) => (OptionName::MulticastTtlV4, ttl),
        UdpOption::MulticastInterfaceV4(interface) => (OptionName::MulticastInterfaceV4, interface.into()),
        UdpOption::MulticastLoopV6(on) => (OptionName::MulticastLoopV6, on.into()),
        UdpOption::MulticastHopsV6(hops) => (OptionName::MulticastHopsV6, hops),
        UdpOption::MulticastInterfaceV6(interface) => (OptionName::MulticastInterfaceV6, interface),
        UdpOption::Segment(bytes) => (OptionName::Segment, bytes.into()),
        UdpOption::Coalesce(on) => (OptionName::Coalesce, on.into()),
        UdpOption::JoinV4(..) | UdpOption::LeaveV4(..) | UdpOption::JoinV6(..) | UdpOption::LeaveV6(..) => {
            return simulated::refuse("multicast").err().map(Err);
        }
    };
    simulated::set_option(fd, name, value.into())
}

pub(crate) fn broadcast(fd: BorrowedFd<'_>) -> io::Result<bool> {
    simulated::flag(fd, OptionName::Broadcast).unwrap_or_else(|| SockRef::from(&fd).broadcast())
}

pub(crate) fn tos_v4(fd: BorrowedFd<'_>) -> io::Result<u32> {
    simulated::number(fd, OptionName::Tos, 0).unwrap_or_else(|| SockRef::from(&fd).tos_v4())
}

pub(crate) fn multicast_loop_v4(fd: BorrowedFd<'_>) -> io::Result<bool> {
    simulated::flag(fd, OptionName::MulticastLoopV4).unwrap_or_else(|| SockRef::from(&fd).multicast_loop_v4())
}

pub(crate) fn multicast_ttl_v4(fd: BorrowedFd<'_>) -> io::Result<u32> {
    simulated::number(fd, OptionName::MulticastTtlV4, 1).unwrap_or_else(|| SockRef::from(&fd).multicast_ttl_v4())
}

pub(crate) fn multicast_interface_v4(fd: BorrowedFd<'_>) -> io::Result<Ipv4Addr> {
    let simulated = simulated::number(fd, OptionName::MulticastInterfaceV4, 0);
    simulated.map(|bits| bits.map(Ipv4Addr::from)).unwrap_or_else(|| SockRef::from(&fd).multicast_if_v4())
}

pub(crate) fn multicast_loop_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    simulated::flag(fd, OptionName::MulticastLoopV6).unwrap_or_else(|| SockRef::from(&fd).multicast_loop_v6())
}

pub(crate) fn multicast_hops_v6(fd: BorrowedFd<'_>) -> io::Result<u32> {
    simulated::number(fd, OptionName::MulticastHopsV6, 1).unwrap_or_else(|| SockRef::from(&fd).multicast_hops_v6())
}

pub(crate) fn multicast_interface_v6(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let simulated = simulated::number(fd, OptionName::MulticastInterfaceV6, 0);
    simulated.unwrap_or_else(|| SockRef::from(&fd).multicast_if_v6())
}

pub(crate) fn segment(fd: BorrowedFd<'_>) -> io::Result<u16> {
    let simulated = simulated::number(fd, OptionName::Segment, 0).map(|bytes| bytes.map(|bytes| bytes as u16));
    simulated.unwrap_or_else(|| option::number(fd, libc::SOL_UDP, libc::UDP_SEGMENT).map(|bytes| bytes as u16))
}

pub(crate) fn coalesces(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let simulated = simulated::flag(fd, OptionName::Coalesce);
    simulated.unwrap_or_else(|| option::number(fd, libc::SOL_UDP, libc::UDP_GRO).map(|on| on != 0))
}

/// `SO_ERROR`: the error that the socket has to tell, which is taken by asking.
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    simulated::take_error(fd).unwrap_or_else(|| SockRef::from(&fd).take_error())
}
