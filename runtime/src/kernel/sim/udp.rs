//! UDP: datagrams, each on a way of its own, so that they overtake each other; some are lost, some arrive twice.

use std::collections::VecDeque;
use std::net::SocketAddr;

use socket2::SockAddr;

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::handshake::covers;
use crate::kernel::sim::memory::{self, Message, Piece};
use crate::kernel::sim::perform::{BUFFER, Verdict};
use crate::kernel::sim::ring::{Operation, RingId};
use crate::kernel::sim::state::{Event, HostId, State};

use Verdict::{Done, More, Wait};

/// A UDP socket.
#[derive(Debug, Default)]
pub(super) struct Udp {
    pub(super) local: Option<SocketAddr>,
    /// Whom it is connected to.
    pub(super) peer: Option<SocketAddr>,
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    /// What became of a datagram that it had sent; told once.
    error: Option<i32>,
    read_is_shut: bool,
}

/// On its way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    sender: FileId,
    from_host: HostId,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Udp {
    pub(super) fn shut_down(&mut self, how: i32) -> i32 {
        if self.peer.is_none() {
            return -libc::ENOTCONN;
        }
        self.read_is_shut |= how != libc::SHUT_WR;
        0
    }

    pub(super) fn events(&self) -> i16 {
        let readable = if self.queue.is_empty() && self.error.is_none() { 0 } else { libc::POLLIN };
        readable | libc::POLLOUT | if self.error.is_some() { libc::POLLERR } else { 0 }
    }

    pub(super) fn take_error(&mut self) -> Option<i32> {
        self.error.take()
    }
}

impl State {
    fn udp_mut(&mut self, file: Option<FileId>) -> Option<&mut Udp> {
        match self.files.get_mut(&file?).map(|file| &mut file.kind) {
            Some(Kind::Udp(udp)) => Some(udp),
            _ => None,
        }
    }

    /// Binds a socket that talks to somebody, unless it is bound.
    pub(super) fn bind_anywhere(&mut self, file: FileId, to: SocketAddr) -> i32 {
        let Some(host) = self.files.get(&file).map(|file| file.host) else { return -libc::EBADF };
        let ip = self.source_ip(host, to.ip());
        if self.udp_mut(Some(file)).is_none_or(|udp| udp.local.is_some()) {
            return 0;
        }
        let Some(port) = self.free_port(host, ip) else { return -libc::EADDRNOTAVAIL };
        if let Some(udp) = self.udp_mut(Some(file)) {
            udp.local = Some(SocketAddr::new(ip, port));
        }
        0
    }

    pub(super) fn send_datagram(
        &mut self,
        operation: &Operation,
        from: &[Piece],
        to: Option<SocketAddr>,
        flags: i32,
    ) -> Verdict {
        let Some(file) = operation.file else { return Done(-libc::EBADF, 0) };
        if flags & libc::MSG_DONTWAIT != 0 && self.rng.once_in(8) {
            return Done(-libc::EAGAIN, 0);
        }
        let bytes = memory::gather(from, 0, memory::total(from));
        Done(self.send_bytes(file, &bytes, to).map_or_else(|errno| -errno, |count| count as i32), 0)
    }

    /// Sends by a call that doesn't wait. Now and then there is no room, as in a real kernel whose devices are busy.
    pub(super) fn send_at_once(&mut self, file: FileId, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize, i32> {
        if self.rng.once_in(4) { Err(libc::EAGAIN) } else { self.send_bytes(file, bytes, to) }
    }

    fn send_bytes(&mut self, file: FileId, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize, i32> {
        let udp = self.udp_mut(Some(file)).ok_or(libc::ENOTSOCK)?;
        if let Some(errno) = udp.take_error() {
            return Err(errno);
        }
        let to = to.or(udp.peer).ok_or(libc::EDESTADDRREQ)?;
        if bytes.len() > LARGEST_DATAGRAM {
            return Err(libc::EMSGSIZE);
        }
        match self.bind_anywhere(file, to) {
            0 => {}
            errno => return Err(-errno),
        }
        let from_host = self.files.get(&file).map(|file| file.host).ok_or(libc::EBADF)?;
        let local = self.udp_mut(Some(file)).and_then(|udp| udp.local).ok_or(libc::EBADF)?;
        let ip = if local.ip().is_unspecified() { self.source_ip(from_host, to.ip()) } else { local.ip() };
        let from = SocketAddr::new(ip, local.port());
        let segment = self.files.get(&file).and_then(|file| file.options.segment()).unwrap_or(bytes.len()).max(1);
        if bytes.is_empty() {
            self.route(Datagram { sender: file, from_host, from, to, bytes: Vec::new() });
        }
        for bytes in bytes.chunks(segment) {
            self.route(Datagram { sender: file, from_host, from, to, bytes: bytes.to_vec() });
        }
        Ok(bytes.len())
    }

    /// Sends a datagram on its way: or not, or twice.
    fn route(&mut self, datagram: Datagram) {
        let loss = self.faults.datagram_loss;
        let Some(target) = self.host_of(datagram.from_host, datagram.to.ip()) else { return };
        if self.rng.with_probability(loss) {
            return self.note(target, "datagram lost", 0, datagram.bytes.len() as i64);
        }
        if self.rng.with_probability(loss / 2.0) {
            let delay = self.latency(datagram.from_host, target);
            self.after(delay, Event::Datagram(datagram.clone()));
        }
        let delay = self.latency(datagram.from_host, target);
        self.after(delay, Event::Datagram(datagram));
    }

    pub(super) fn datagram_arrives(&mut self, datagram: Datagram) {
        let Datagram { sender, from_host, from, to, bytes } = datagram;
        let Some(target) = self.host_of(from_host, to.ip()) else { return };
        if !self.reaches(from_host, target) {
            return;
        }
        self.note(target, "datagram", 0, bytes.len() as i64);
        let takes = |file: &super::files::File| match &file.kind {
            Kind::Udp(udp) => {
                let is_for_it = udp.local.is_some_and(|local| covers(local, to));
                file.host == target && is_for_it && udp.peer.is_none_or(|peer| covers(peer, from))
            }
            _ => false,
        };
        // One that is connected to the sender comes before one that takes anything.
        let found: Vec<FileId> = self.files.iter().filter(|(_, file)| takes(file)).map(|(id, _)| *id).collect();
        let is_connected = |id: &&FileId| matches!(self.files.get(id).map(|file| &file.kind), Some(Kind::Udp(udp)) if udp.peer.is_some());
        let Some(id) = found.iter().find(is_connected).or(found.first()).copied() else {
            let delay = self.latency(target, from_host);
            return self.after(delay, Event::Unreachable { file: sender });
        };
        if let Some(udp) = self.udp_mut(Some(id))
            && udp.queue.len() < MOST_QUEUED
            && !udp.read_is_shut
        {
            udp.queue.push_back((from, bytes));
        }
        self.poke(id);
    }

    /// Only who is connected hears that nobody is there.
    pub(super) fn datagram_refused(&mut self, file: FileId) {
        if let Some(udp) = self.udp_mut(Some(file)).filter(|udp| udp.peer.is_some()) {
            udp.error = Some(libc::ECONNREFUSED);
            self.poke(file);
        }
    }

    /// The next datagram, or the answer that there is none.
    fn next_datagram(&mut self, file: Option<FileId>, flags: i32) -> Result<(SocketAddr, Vec<u8>), Verdict> {
        let udp = self.udp_mut(file).ok_or(Done(-libc::ENOTSOCK, 0))?;
        if let Some(errno) = udp.take_error() {
            return Err(Done(-errno, 0));
        }
        if udp.read_is_shut && udp.queue.is_empty() {
            return Err(Done(0, 0));
        }
        let is_peek = flags & libc::MSG_PEEK != 0;
        let next = if is_peek { udp.queue.front().cloned() } else { udp.queue.pop_front() };
        next.ok_or(Wait)
    }

    fn put_back(&mut self, file: Option<FileId>, flags: i32, datagram: (SocketAddr, Vec<u8>)) {
        if let Some(udp) = self.udp_mut(file)
            && flags & libc::MSG_PEEK == 0
        {
            udp.queue.push_front(datagram);
        }
    }

    pub(super) fn recv_datagram(&mut self, ring: RingId, operation: &Operation, into: &[Piece], flags: i32) -> Verdict {
        let (from, bytes) = match self.next_datagram(operation.file, flags) {
            Ok(datagram) => datagram,
            Err(verdict) => return verdict,
        };
        let is_multishot = operation.entry.is_multishot;
        if bytes.is_empty() && is_multishot {
            // It ends a multishot receive, and takes no buffer.
            return Done(0, 0);
        }
        let (pieces, buffer) = match self.buffer_for(ring, operation, into) {
            Ok(target) => target,
            Err(errno) => {
                self.put_back(operation.file, flags, (from, bytes));
                return Done(-errno, 0);
            }
        };
        let count = memory::scatter(&pieces, &bytes);
        let count = if flags & libc::MSG_TRUNC != 0 { bytes.len() } else { count };
        self.datagram_taken(ring, is_multishot, count, buffer)
    }

    fn datagram_taken(&mut self, ring: RingId, is_multishot: bool, count: usize, buffer: Option<u16>) -> Verdict {
        let flags = buffer.map_or(0, |id| BUFFER | u32::from(id) << 16);
        if is_multishot && !self.ends_early(ring) { More(count as i32, flags) } else { Done(count as i32, flags) }
    }

    pub(super) fn recv_message(
        &mut self,
        ring: RingId,
        operation: &mut Operation,
        message: &Message,
        flags: i32,
    ) -> Verdict {
        let is_stream =
            matches!(operation.file.and_then(|file| self.files.get(&file)).map(|file| &file.kind), Some(Kind::Tcp(_)));
        if is_stream {
            let verdict = self.recv(ring, operation, &message.parts, flags);
            if verdict != Wait {
                message.answer(None, 0);
            }
            return verdict;
        }
        let (from, bytes) = match self.next_datagram(operation.file, flags) {
            Ok(datagram) => datagram,
            Err(verdict) => return verdict,
        };
        if operation.entry.group.is_none() {
            let count = memory::scatter(&message.parts, &bytes);
            message.answer(Some(from), if count < bytes.len() { libc::MSG_TRUNC } else { 0 });
            let told = if flags & libc::MSG_TRUNC != 0 { bytes.len() } else { count };
            return Done(told as i32, 0);
        }
        let (pieces, buffer) = match self.buffer_for(ring, operation, &[]) {
            Ok(target) => target,
            Err(errno) => {
                self.put_back(operation.file, flags, (from, bytes));
                return Done(-errno, 0);
            }
        };
        let head = message_head(message, from, &bytes, memory::total(&pieces));
        let Some((head, cut)) = head else {
            self.put_back(operation.file, flags, (from, bytes));
            return Done(-libc::EFAULT, 0);
        };
        let count = memory::scatter(&pieces, &[head, bytes[..cut].to_vec()].concat());
        self.datagram_taken(ring, operation.entry.is_multishot, count, buffer)
    }
}

/// What stands before the bytes in a buffer of a multishot `recvmsg` (`struct io_uring_recvmsg_out`, the name and control
/// areas), and how many bytes there is room for. None where not even the head fits.
fn message_head(message: &Message, from: SocketAddr, bytes: &[u8], room: usize) -> Option<(Vec<u8>, usize)> {
    let name = memory::address_bytes(&SockAddr::from(from));
    let head_bytes = 16 + message.name.bytes + message.control.bytes;
    let cut = room.checked_sub(head_bytes)?.min(bytes.len());
    let flags = if cut < bytes.len() { libc::MSG_TRUNC } else { 0 };
    let mut head = Vec::with_capacity(head_bytes);
    for word in [name.len() as u32, 0, bytes.len() as u32, flags as u32] {
        head.extend_from_slice(&word.to_ne_bytes());
    }
    head.extend_from_slice(&name[..name.len().min(message.name.bytes)]);
    head.resize(head_bytes, 0);
    Some((head, cut))
}

/// What UDP over IPv4 can carry.
const LARGEST_DATAGRAM: usize = 65_507;
/// More datagrams than this do not fit into a socket.
const MOST_QUEUED: usize = 256;
