//! What Unix sockets do without an SQE.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use socket2::{Domain, SockRef, Socket, Type};

use crate::kernel::sim::socket as simulated;
use crate::sys::address::{Address, RawAddress};
use crate::sys::option;

/// The two kinds of Unix sockets that there are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixKind {
    /// Bytes, in order.
    Stream,
    /// Datagrams, which are neither lost nor reordered.
    Datagram,
}

impl UnixKind {
    fn kind(self) -> Type {
        let kind = match self {
            Self::Stream => Type::STREAM,
            Self::Datagram => Type::DGRAM,
        };
        kind.cloexec()
    }
}

/// A new socket, closed on exec, and blocking, as the ring wants it.
pub(crate) fn unix(kind: UnixKind) -> io::Result<OwnedFd> {
    simulated::refuse("Unix sockets")?;
    Socket::new_raw(Domain::UNIX, kind.kind(), None).map(OwnedFd::from)
}

/// Two sockets that are connected to each other.
pub(crate) fn pair(kind: UnixKind) -> io::Result<(OwnedFd, OwnedFd)> {
    simulated::refuse("Unix sockets")?;
    Socket::pair_raw(Domain::UNIX, kind.kind(), None).map(|(one, other)| (one.into(), other.into()))
}

pub(crate) fn bind(fd: BorrowedFd<'_>, address: &RawAddress) -> io::Result<()> {
    SockRef::from(&fd).bind(address.as_socket2())
}

pub(crate) fn local_address(fd: BorrowedFd<'_>) -> io::Result<Address> {
    SockRef::from(&fd).local_addr().map(|address| Address::of_socket2(&address))
}

pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> io::Result<Address> {
    SockRef::from(&fd).peer_addr().map(|address| Address::of_socket2(&address))
}

/// Who the peer was when it connected: process, user and group.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    option::peer_credentials(fd).map(|credentials| (credentials.pid, credentials.uid, credentials.gid))
}
