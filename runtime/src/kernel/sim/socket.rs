//! What simulated sockets do without an SQE: see [`kernel::socket`](crate::kernel::socket), which asks here first.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::state::State;
use crate::kernel::sim::tcp::Tcp;
use crate::kernel::sim::udp::Udp;
use crate::kernel::sim::world::{self, World};

/// The options of a socket. The world keeps most of them only to give them back.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// By the name that [`OptionName`] gives.
    values: BTreeMap<OptionName, u64>,
}

/// An option, as the world keeps it. Of times it keeps the nanoseconds and one more, so that 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OptionName {
    NoDelay,
    KeepAlive,
    Linger,
    Ttl,
    RecvBufferSize,
    SendBufferSize,
    ReuseAddress,
    ReusePort,
    OnlyV6,
    Broadcast,
    Tos,
    MulticastLoopV4,
    MulticastTtlV4,
    MulticastInterfaceV4,
    MulticastLoopV6,
    MulticastHopsV6,
    MulticastInterfaceV6,
    Coalesce,
    Segment,
}

impl Options {
    /// Closing resets the connection (`SO_LINGER` with no time).
    pub(super) fn lingers_not_at_all(&self) -> bool {
        self.values.get(&OptionName::Linger) == Some(&1)
    }

    pub(super) fn shares_port(&self) -> bool {
        self.values.get(&OptionName::ReusePort).is_some_and(|value| *value != 0)
    }

    /// The length of the datagrams that a send is cut into (`UDP_SEGMENT`).
    pub(super) fn segment(&self) -> Option<usize> {
        self.values.get(&OptionName::Segment).map(|value| *value as usize).filter(|value| *value > 0)
    }
}

/// What a new socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketKind {
    Tcp,
    Udp,
}

/// A new socket of the machine whose runtime is current. None where that is not simulated.
pub(crate) fn new(kind: SocketKind) -> Option<io::Result<OwnedFd>> {
    let kind = match kind {
        SocketKind::Tcp => Kind::Tcp(Tcp::Fresh { local: None }),
        SocketKind::Udp => Kind::Udp(Udp::default()),
    };
    let seat = world::current()?;
    Some(seat.world.with(|state| state.open(seat.host, kind)).map(|(fd, _)| fd))
}

pub(crate) fn bind(fd: BorrowedFd<'_>, address: SocketAddr) -> Option<io::Result<()>> {
    asked(fd, |state, file| state.bind(file, address))
}

pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Option<io::Result<()>> {
    asked(fd, |state, file| state.listen(file, backlog))
}

pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Option<io::Result<SocketAddr>> {
    asked(fd, |state, file| {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        Ok(match &state.files.get(&file).ok_or(libc::EBADF)?.kind {
            Kind::Tcp(Tcp::Fresh { local }) => local.unwrap_or(unspecified),
            Kind::Tcp(Tcp::Listening { local, .. } | Tcp::Connecting { local, .. }) => *local,
            Kind::Tcp(Tcp::Connected(end)) => state.ends.get(end).map_or(unspecified, |end| end.local),
            Kind::Udp(udp) => udp.local.unwrap_or(unspecified),
            Kind::Disk(_) => return Err(libc::ENOTSOCK),
        })
    })
}

pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> Option<io::Result<SocketAddr>> {
    asked(fd, |state, file| match &state.files.get(&file).ok_or(libc::EBADF)?.kind {
        Kind::Tcp(Tcp::Connected(end)) => {
            let end = state.ends.get(end).filter(|end| !end.is_broken);
            end.map(|end| end.remote).ok_or(libc::ENOTCONN)
        }
        Kind::Udp(udp) => udp.peer.ok_or(libc::ENOTCONN),
        Kind::Tcp(_) => Err(libc::ENOTCONN),
        Kind::Disk(_) => Err(libc::ENOTSOCK),
    })
}

pub(crate) fn shut_down_sending(fd: BorrowedFd<'_>) -> Option<io::Result<()>> {
    asked(fd, |state, file| match state.shut_down(file, libc::SHUT_WR) {
        0 => Ok(()),
        errno => Err(-errno),
    })
}

/// Ends a connection by a reset.
pub(crate) fn abort(fd: BorrowedFd<'_>) -> Option<()> {
    let aborted = asked(fd, |state, file| {
        if let Some(Tcp::Connected(end)) = state.tcp_mut(file) {
            let end = *end;
            state.reset(end);
        }
        Ok(())
    });
    aborted.map(drop)
}

/// Sends a datagram, if that takes no waiting.
pub(crate) fn send_datagram(fd: BorrowedFd<'_>, bytes: &[u8], to: Option<SocketAddr>) -> Option<io::Result<usize>> {
    asked(fd, |state, file| state.send_at_once(file, bytes, to))
}

/// What a datagram of this socket met; told once.
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> Option<io::Result<Option<io::Error>>> {
    asked(fd, |state, file| match state.files.get_mut(&file).map(|file| &mut file.kind) {
        Some(Kind::Udp(udp)) => Ok(udp.take_error().map(io::Error::from_raw_os_error)),
        _ => Ok(None),
    })
}

/// What a world does not have: pipes, Unix sockets, multicast.
///
/// # Errors
///
/// `Unsupported`, where the current runtime is simulated.
pub(crate) fn refuse(what: &str) -> io::Result<()> {
    match world::current() {
        None => Ok(()),
        Some(_) => Err(io::Error::new(io::ErrorKind::Unsupported, format!("a simulated machine has no {what}"))),
    }
}

pub(crate) fn is_torn_down(fd: BorrowedFd<'_>) -> Option<bool> {
    asked(fd, |state, file| Ok(state.is_torn_down(file))).map(|answer| answer.unwrap_or(true))
}

/// As [`set_option`], for times.
pub(crate) fn set_time(fd: BorrowedFd<'_>, name: OptionName, time: Option<Duration>) -> Option<io::Result<()>> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1) + 1;
    set_option(fd, name, time.map_or(0, nanos))
}

/// As [`option`], for times; none where it was never set.
pub(crate) fn time(fd: BorrowedFd<'_>, name: OptionName) -> Option<io::Result<Option<Duration>>> {
    let time = |value: u64| value.checked_sub(1).map(Duration::from_nanos);
    option(fd, name, 0).map(|value| value.map(time))
}

pub(crate) fn set_option(fd: BorrowedFd<'_>, name: OptionName, value: u64) -> Option<io::Result<()>> {
    asked(fd, |state, file| {
        let options = &mut state.files.get_mut(&file).ok_or(libc::EBADF)?.options;
        options.values.insert(name, value);
        Ok(())
    })
}

/// As [`option`], for what is on or off.
pub(crate) fn flag(fd: BorrowedFd<'_>, name: OptionName) -> Option<io::Result<bool>> {
    option(fd, name, 0).map(|value| value.map(|value| value != 0))
}

/// As [`option`], for small numbers.
pub(crate) fn number(fd: BorrowedFd<'_>, name: OptionName, default: u32) -> Option<io::Result<u32>> {
    option(fd, name, u64::from(default)).map(|value| value.map(|value| value as u32))
}

/// The value of an option; that which `default` tells where it was never set.
pub(crate) fn option(fd: BorrowedFd<'_>, name: OptionName, default: u64) -> Option<io::Result<u64>> {
    asked(fd, |state, file| {
        let options = &state.files.get(&file).ok_or(libc::EBADF)?.options;
        Ok(options.values.get(&name).copied().unwrap_or(default))
    })
}

/// Asks the world that a descriptor belongs to. None where it is one of the real machine, which costs one load where there
/// is no world on this thread.
fn asked<T>(fd: BorrowedFd<'_>, ask: impl FnOnce(&mut State, FileId) -> Result<T, i32>) -> Option<io::Result<T>> {
    World::of(fd.as_raw_fd(), |state, file| ask(state, file).map_err(io::Error::from_raw_os_error))
}
