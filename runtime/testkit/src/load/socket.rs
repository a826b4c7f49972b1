//! The system calls of the load that std does not have: a connect that does not block, epoll, and the limit of open
//! files.
//!
//! # Safety
//!
//! Each call gets pointers to values on the stack that live until it returns, with their true sizes; descriptors are
//! owned.
#![allow(unsafe_code, reason = "system calls without a counterpart in std")]

use std::io;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// One epoll instance: level-triggered readiness of sockets, each under a number.
pub(super) struct Epoll {
    fd: OwnedFd,
}

/// What to wait for on a socket. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// Begins to connect. The socket is writable once it is decided; then `TcpStream::take_error` tells how.
pub(super) fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: the descriptor is new, so it is nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let connected = match address {
        SocketAddr::V4(address) => connect(
            &fd,
            &libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            },
        ),
        SocketAddr::V6(address) => connect(
            &fd,
            &libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            },
        ),
    };
    match connected {
        Ok(()) => Ok(TcpStream::from(fd)),
        // An interrupted connect goes on in the background, as a non-blocking one does.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => Ok(TcpStream::from(fd)),
        Err(error) => Err(error),
    }
}

/// Raises the soft limit of open files to the hard one, which needs no privilege.
pub(super) fn raise_open_files_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a value on the stack, of the type that the call writes.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is a value on the stack, of the type that the call reads.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    }
    Ok(())
}

impl Epoll {
    /// The most events that one `wait` reports.
    const EVENTS: usize = 256;

    pub(super) fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is new, so it is nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd })
    }

    /// Reports the socket under `number` from now on, until it is closed.
    pub(super) fn add(&self, socket: RawFd, number: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, number, interest)
    }

    /// Changes what is waited for.
    pub(super) fn modify(&self, socket: RawFd, number: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, number, interest)
    }

    /// Waits for events or the end of `timeout`, and replaces `ready` with the numbers of the sockets.
    pub(super) fn wait(&self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; Self::EVENTS];
        let timeout_ms = timeout.as_millis().min(i32::MAX as u128) as i32;
        // SAFETY: the kernel writes at most `EVENTS` events into an array of that length.
        let count =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), Self::EVENTS as i32, timeout_ms) };
        ready.clear();
        match check(count) {
            Ok(count) => ready.extend(events[..count as usize].iter().map(|event| event.u64 as usize)),
            // A signal ends the wait early; there is nothing to report.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn control(&self, operation: libc::c_int, socket: RawFd, number: usize, interest: Interest) -> io::Result<()> {
        let readable = if interest.readable { libc::EPOLLIN as u32 } else { 0 };
        let writable = if interest.writable { libc::EPOLLOUT as u32 } else { 0 };
        let mut event = libc::epoll_event { events: readable | writable, u64: number as u64 };
        // SAFETY: `event` is a value on the stack that the kernel copies.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, socket, &raw mut event) })?;
        Ok(())
    }
}

/// Connects to an address of the kernel's format, which begins with its family.
fn connect<A>(fd: &OwnedFd, address: &A) -> io::Result<()> {
    let address = ptr::from_ref(address);
    // SAFETY: the address is a value on the stack of the caller, as long as its type, and the kernel copies it.
    check(unsafe { libc::connect(fd.as_raw_fd(), address.cast(), mem::size_of::<A>() as libc::socklen_t) })?;
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
