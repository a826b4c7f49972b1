//! What sockets do without an SQE: making, binding, listening, options and addresses.
//!
//! On the real kernel these are plain system calls, made by `socket2`. Simulated sockets ask their world instead, which costs
//! the others one load.

pub(crate) mod udp;
pub(crate) mod unix;

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::kernel::sim::socket::{self as simulated, OptionName, SocketKind};

/// A new TCP socket for addresses like this one, closed on exec.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    if let Some(socket) = simulated::new(SocketKind::Tcp) {
        return socket;
    }
    // Blocking, as the ring wants it: an operation waits in the kernel, not in a retry loop of ours.
    let socket = Socket::new_raw(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    Ok(socket.into())
}

pub(crate) fn bind(fd: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    simulated::bind(fd, address).unwrap_or_else(|| SockRef::from(&fd).bind(&address.into()))
}

pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    simulated::listen(fd, backlog).unwrap_or_else(|| SockRef::from(&fd).listen(backlog))
}

pub(crate) fn shut_down_sending(fd: BorrowedFd<'_>) -> io::Result<()> {
    simulated::shut_down_sending(fd).unwrap_or_else(|| SockRef::from(&fd).shutdown(Shutdown::Write))
}

pub(crate) fn local_address(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    simulated::local_address(fd).unwrap_or_else(|| internet(SockRef::from(&fd).local_addr()?))
}

pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    simulated::peer_address(fd).unwrap_or_else(|| internet(SockRef::from(&fd).peer_addr()?))
}

fn internet(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an internet socket"))
}

/// Sends a datagram to an address, or to the one that the socket is connected to. Never waits: `EAGAIN` where there is no room.
pub(crate) fn send_datagram(fd: BorrowedFd<'_>, bytes: &[u8], to: Option<&SockAddr>) -> io::Result<usize> {
    let simulated = || simulated::send_datagram(fd, bytes, to.and_then(SockAddr::as_socket));
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    simulated().unwrap_or_else(|| match to {
        Some(to) => SockRef::from(&fd).send_to_with_flags(bytes, to, flags),
        None => SockRef::from(&fd).send_with_flags(bytes, flags),
    })
}

/// Whether a TCP socket has no connection any more, not even the rest of one.
pub(crate) fn is_torn_down(fd: BorrowedFd<'_>) -> bool {
    simulated::is_torn_down(fd).unwrap_or_else(|| crate::sys::tcp::is_closed(fd))
}

/// Ends a TCP connection by a reset, with the descriptor still open.
pub(crate) fn abort(fd: BorrowedFd<'_>) {
    simulated::abort(fd).unwrap_or_else(|| crate::sys::tcp::disconnect(fd));
}

/// Descriptors from outside may be non-blocking; ours are not, see [`tcp`].
pub(crate) fn set_blocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    SockRef::from(&fd).set_nonblocking(false)
}

/// An option of a socket, with the value that it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketOption {
    /// `TCP_NODELAY`.
    NoDelay(bool),
    /// `SO_KEEPALIVE`, and with a time also `TCP_KEEPIDLE`.
    KeepAlive(Option<Duration>),
    /// `SO_LINGER`.
    Linger(Option<Duration>),
    /// `IP_TTL`, or `IPV6_UNICAST_HOPS` for an IPv6 socket.
    Ttl(u32),
    /// `SO_RCVBUF`.
    RecvBufferSize(usize),
    /// `SO_SNDBUF`.
    SendBufferSize(usize),
    /// `SO_REUSEADDR`.
    ReuseAddress(bool),
    /// `SO_REUSEPORT`.
    ReusePort(bool),
    /// `IPV6_V6ONLY`.
    OnlyV6(bool),
}

pub(crate) fn set_option(fd: BorrowedFd<'_>, option: SocketOption) -> io::Result<()> {
    if let Some(answer) = set_simulated(fd, option) {
        return answer;
    }
    let socket = SockRef::from(&fd);
    match option {
        SocketOption::NoDelay(on) => socket.set_tcp_nodelay(on),
        SocketOption::KeepAlive(None) => socket.set_keepalive(false),
        SocketOption::KeepAlive(Some(time)) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time)),
        SocketOption::Linger(time) => socket.set_linger(time),
        SocketOption::Ttl(hops) if is_v6(&socket)? => socket.set_unicast_hops_v6(hops),
        SocketOption::Ttl(hops) => socket.set_ttl_v4(hops),
        SocketOption::RecvBufferSize(bytes) => socket.set_recv_buffer_size(bytes),
        SocketOption::SendBufferSize(bytes) => socket.set_send_buffer_size(bytes),
        SocketOption::ReuseAddress(on) => socket.set_reuse_address(on),
        SocketOption::ReusePort(on) => socket.set_reuse_port(on),
        SocketOption::OnlyV6(on) => socket.set_only_v6(on),
    }
}

fn set_simulated(fd: BorrowedFd<'_>, option: SocketOption) -> Option<io::Result<()>> {
    match option {
        SocketOption::NoDelay(on) => simulated::set_option(fd, OptionName::NoDelay, u64::from(on)),
        SocketOption::KeepAlive(time) => simulated::set_time(fd, OptionName::KeepAlive, time),
        SocketOption::Linger(time) => simulated::set_time(fd, OptionName::Linger, time),
        SocketOption::Ttl(hops) => simulated::set_option(fd, OptionName::Ttl, u64::from(hops)),
        SocketOption::RecvBufferSize(bytes) => simulated::set_option(fd, OptionName::RecvBufferSize, bytes as u64),
        SocketOption::SendBufferSize(bytes) => simulated::set_option(fd, OptionName::SendBufferSize, bytes as u64),
        SocketOption::ReuseAddress(on) => simulated::set_option(fd, OptionName::ReuseAddress, u64::from(on)),
        SocketOption::ReusePort(on) => simulated::set_option(fd, OptionName::ReusePort, u64::from(on)),
        SocketOption::OnlyV6(on) => simulated::set_option(fd, OptionName::OnlyV6, u64::from(on)),
    }
}

fn is_v6(socket: &SockRef<'_>) -> io::Result<bool> {
    Ok(socket.domain()? == Domain::IPV6)
}

pub(crate) fn no_delay(fd: BorrowedFd<'_>) -> io::Result<bool> {
    simulated::flag(fd, OptionName::NoDelay).unwrap_or_else(|| SockRef::from(&fd).tcp_nodelay())
}

pub(crate) fn keep_alive(fd: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    if let Some(time) = simulated::time(fd, OptionName::KeepAlive) {
        return time;
    }
    let socket = SockRef::from(&fd);
    if socket.keepalive()? { socket.tcp_keepalive_time().map(Some) } else { Ok(None) }
}

pub(crate) fn reuse_address(fd: BorrowedFd<'_>) -> io::Result<bool> {
    simulated::flag(fd, OptionName::ReuseAddress).unwrap_or_else(|| SockRef::from(&fd).reuse_address())
}

pub(crate) fn reuse_port(fd: BorrowedFd<'_>) -> io::Result<bool> {
    simulated::flag(fd, OptionName::ReusePort).unwrap_or_else(|| SockRef::from(&fd).reuse_port())
}

pub(crate) fn only_v6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    simulated::flag(fd, OptionName::OnlyV6).unwrap_or_else(|| SockRef::from(&fd).only_v6())
}

pub(crate) fn linger(fd: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    simulated::time(fd, OptionName::Linger).unwrap_or_else(|| SockRef::from(&fd).linger())
}

pub(crate) fn ttl(fd: BorrowedFd<'_>) -> io::Result<u32> {
    if let Some(hops) = simulated::number(fd, OptionName::Ttl, 64) {
        return hops;
    }
    let socket = SockRef::from(&fd);
    if is_v6(&socket)? { socket.unicast_hops_v6() } else { socket.ttl_v4() }
}

pub(crate) fn recv_buffer_size(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let simulated = simulated::number(fd, OptionName::RecvBufferSize, 64 << 10);
    simulated
        .map(|bytes| bytes.map(|bytes: u32| bytes as usize))
        .unwrap_or_else(|| SockRef::from(&fd).recv_buffer_size())
}

pub(crate) fn send_buffer_size(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let simulated = simulated::number(fd, OptionName::SendBufferSize, 64 << 10);
    simulated
        .map(|bytes| bytes.map(|bytes: u32| bytes as usize))
        .unwrap_or_else(|| SockRef::from(&fd).send_buffer_size())
}
