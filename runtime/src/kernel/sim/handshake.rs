//! How TCP connections come to be: addresses, listeners, and the handshake, which is tried again and again.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::perform::Verdict;
use crate::kernel::sim::ring::Operation;
use crate::kernel::sim::state::{Event, FIRST_PORT, HostId, LAST_PORT, State};
use crate::kernel::sim::tcp::{EndId, Tcp};

use Verdict::{Done, Wait};

impl State {
    /// Connects a socket: the first try asks, the later ones look for the answer.
    pub(super) fn connect(&mut self, operation: &mut Operation, to: Option<SocketAddr>) -> Verdict {
        let (Some(file), Some(to)) = (operation.file, to) else { return Done(-libc::EAFNOSUPPORT, 0) };
        let host = match self.files.get(&file) {
            Some(file) => file.host,
            None => return Done(-libc::EBADF, 0),
        };
        let before = match self.files.get_mut(&file).map(|file| &mut file.kind) {
            Some(Kind::Udp(udp)) => {
                udp.peer = Some(to);
                return Done(self.bind_anywhere(file, to), 0);
            }
            Some(Kind::Tcp(tcp)) => tcp,
            _ => return Done(-libc::ENOTSOCK, 0),
        };
        let local = match before {
            Tcp::Connecting { answer: None, .. } if operation.has_begun => return Wait,
            Tcp::Connecting { .. } if !operation.has_begun => return Done(-libc::EALREADY, 0),
            Tcp::Connecting { answer: Some(answer), local, .. } => {
                let (answer, local) = (*answer, *local);
                let (state, result) = match answer {
                    Ok(end) => (Tcp::Connected(end), 0),
                    Err(errno) => (Tcp::Fresh { local: Some(local) }, -errno),
                };
                *before = state;
                if let Ok(end) = answer {
                    self.own(end, file);
                }
                return Done(result, 0);
            }
            Tcp::Connected(_) | Tcp::Listening { .. } => return Done(-libc::EISCONN, 0),
            Tcp::Fresh { local } => *local,
            Tcp::Connecting { .. } => return Wait,
        };
        operation.has_begun = true;
        let ip = self.source_ip(host, to.ip());
        let local = match local {
            Some(local) if local.ip().is_unspecified() => SocketAddr::new(ip, local.port()),
            Some(local) => local,
            None => match self.free_port(host, ip) {
                Some(port) => SocketAddr::new(ip, port),
                None => return Done(-libc::EADDRNOTAVAIL, 0),
            },
        };
        if let Some(tcp) = self.tcp_mut(file) {
            *tcp = Tcp::Connecting { local, to, answer: None };
        }
        let delay = match self.host_of(host, to.ip()) {
            Some(target) => self.latency(host, target),
            None => 1_000_000,
        };
        self.after(delay, Event::Knock { file, attempt: 0 });
        Wait
    }

    /// A request for a connection arrives, or does not.
    pub(super) fn knock(&mut self, file: FileId, attempt: u32) {
        let Some((host, local, to)) = self.asking(file) else { return };
        let Some(target) = self.host_of(host, to.ip()) else {
            return self.answer(file, Err(libc::EHOSTUNREACH), 0);
        };
        if !self.reaches(host, target) {
            return self.knock_again(file, attempt);
        }
        let back = self.latency(target, host);
        let (listener, has_room) = match self.listener(target, to) {
            None => {
                let answer = Err(libc::ECONNREFUSED);
                return self.after(back, Event::Answer { file, answer, attempt: 0 });
            }
            Some(found) => found,
        };
        if !has_room {
            return self.knock_again(file, attempt);
        }
        let (near, far) = self.make_ends((host, local), (target, to), listener);
        self.note(target, "knock", 0, i64::from(attempt));
        if let Some(Tcp::Listening { queue, .. }) = self.tcp_mut(listener) {
            queue.push_back(far);
        }
        self.poke(listener);
        self.after(back, Event::Answer { file, answer: Ok(near), attempt: 0 });
    }

    fn knock_again(&mut self, file: FileId, attempt: u32) {
        if attempt >= MOST_KNOCKS {
            return self.answer(file, Err(libc::ETIMEDOUT), 0);
        }
        self.after(1_000_000_000 << attempt, Event::Knock { file, attempt: attempt + 1 });
    }

    /// The answer to a request arrives, or does not.
    pub(super) fn answer(&mut self, file: FileId, answer: Result<EndId, i32>, attempt: u32) {
        let Some((host, _, to)) = self.asking(file) else {
            // The socket has been closed meanwhile: the other side hears of it.
            return answer.map_or((), |end| self.abort_end(end));
        };
        let is_cut = self.host_of(host, to.ip()).is_some_and(|target| !self.reaches(target, host));
        if is_cut && attempt < MOST_KNOCKS && answer.is_ok() {
            return self.after(1_000_000_000 << attempt, Event::Answer { file, answer, attempt: attempt + 1 });
        }
        if let Some(Tcp::Connecting { answer: waiting, .. }) = self.tcp_mut(file) {
            *waiting = Some(answer);
        }
        self.poke(file);
    }

    /// A socket that asks for a connection: its machine, its address, and the one that it asks.
    fn asking(&self, file: FileId) -> Option<(HostId, SocketAddr, SocketAddr)> {
        let file = self.files.get(&file)?;
        match &file.kind {
            Kind::Tcp(Tcp::Connecting { local, to, answer: None }) => Some((file.host, *local, *to)),
            _ => None,
        }
    }

    /// The listener for an address, and whether it has room. Several that share a port take turns by chance.
    fn listener(&mut self, host: HostId, to: SocketAddr) -> Option<(FileId, bool)> {
        let listens = |file: &super::files::File| match &file.kind {
            Kind::Tcp(Tcp::Listening { local, backlog, queue }) if file.host == host && covers(*local, to) => {
                Some(queue.len() < *backlog)
            }
            _ => None,
        };
        let found: Vec<(FileId, bool)> =
            self.files.iter().filter_map(|(id, file)| Some((*id, listens(file)?))).collect();
        if found.is_empty() { None } else { Some(found[self.rng.index(found.len())]) }
    }

    pub(super) fn listen(&mut self, file: FileId, backlog: i32) -> Result<(), i32> {
        let host = self.files.get(&file).ok_or(libc::EBADF)?.host;
        let local = match self.tcp_mut(file).ok_or(libc::EOPNOTSUPP)? {
            Tcp::Fresh { local } => *local,
            Tcp::Listening { .. } => return Ok(()),
            _ => return Err(libc::EINVAL),
        };
        let local = match local {
            Some(local) => local,
            None => {
                let ip = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                SocketAddr::new(ip, self.free_port(host, ip).ok_or(libc::EADDRINUSE)?)
            }
        };
        let backlog = usize::try_from(backlog).unwrap_or(1).max(1);
        if let Some(tcp) = self.tcp_mut(file) {
            *tcp = Tcp::Listening { local, backlog, queue: VecDeque::new() };
        }
        Ok(())
    }

    /// Gives a socket an address; port 0 is any free one.
    pub(super) fn bind(&mut self, id: FileId, address: SocketAddr) -> Result<(), i32> {
        let file = self.files.get(&id).ok_or(libc::EBADF)?;
        let (host, is_tcp, shares) = (file.host, matches!(file.kind, Kind::Tcp(_)), file.options.shares_port());
        let ip = address.ip().to_canonical();
        let is_own = ip.is_unspecified() || ip.is_loopback() || ip == self.hosts[host].ip || ip.is_multicast();
        if !is_own {
            return Err(libc::EADDRNOTAVAIL);
        }
        let address = match address.port() {
            0 => SocketAddr::new(address.ip(), self.free_port(host, address.ip()).ok_or(libc::EADDRINUSE)?),
            _ => address,
        };
        let is_taken = self.files.values().any(|other| {
            other.host == host
                && matches!(other.kind, Kind::Tcp(_)) == is_tcp
                && bound_to(&other.kind).is_some_and(|bound| overlap(bound, address))
                && !(shares && other.options.shares_port())
        });
        if is_taken {
            return Err(libc::EADDRINUSE);
        }
        match self.files.get_mut(&id).map(|file| &mut file.kind) {
            Some(Kind::Tcp(Tcp::Fresh { local })) if local.is_none() => *local = Some(address),
            Some(Kind::Udp(udp)) if udp.local.is_none() => udp.local = Some(address),
            _ => return Err(libc::EINVAL),
        }
        Ok(())
    }

    /// A port of a machine that nothing is bound to.
    pub(super) fn free_port(&mut self, host: HostId, ip: IpAddr) -> Option<u16> {
        for _ in FIRST_PORT..=LAST_PORT {
            let port = self.hosts[host].next_port;
            self.hosts[host].next_port = if port == LAST_PORT { FIRST_PORT } else { port + 1 };
            let address = SocketAddr::new(ip, port);
            let is_taken = |file: &super::files::File| {
                file.host == host && bound_to(&file.kind).is_some_and(|bound| overlap(bound, address))
            };
            if !self.files.values().any(is_taken) {
                return Some(port);
            }
        }
        None
    }

    /// The address that a machine talks from to another.
    pub(super) fn source_ip(&self, host: HostId, to: IpAddr) -> IpAddr {
        match to {
            _ if !to.to_canonical().is_loopback() && !to.is_unspecified() => match (self.hosts[host].ip, to) {
                (IpAddr::V4(ip), IpAddr::V6(_)) => IpAddr::V6(ip.to_ipv6_mapped()),
                (ip, _) => ip,
            },
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => to,
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        }
    }
}

/// The address that something takes for itself.
fn bound_to(kind: &Kind) -> Option<SocketAddr> {
    match kind {
        Kind::Tcp(Tcp::Fresh { local }) => *local,
        Kind::Tcp(Tcp::Listening { local, .. } | Tcp::Connecting { local, .. }) => Some(*local),
        Kind::Udp(udp) => udp.local,
        Kind::Tcp(Tcp::Connected(_)) | Kind::Disk(_) => None,
    }
}

/// Whether what is sent to `to` comes to a socket that is bound to `local`.
pub(super) fn covers(local: SocketAddr, to: SocketAddr) -> bool {
    let takes_all = match local.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && to.ip().to_canonical().is_ipv4(),
        // Takes IPv4, too, as it is the default.
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    local.port() == to.port()
        && (takes_all || to.ip().is_unspecified() || local.ip().to_canonical() == to.ip().to_canonical())
}

/// Whether two sockets would take from each other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    covers(one, other) || covers(other, one)
}

/// After these, which take some two minutes, a connection is given up.
const MOST_KNOCKS: u32 = 6;
