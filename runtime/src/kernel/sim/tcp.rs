//! TCP: connections of two ends, each with a window of received bytes, and segments on their way between them.
//!
//! An end outlives its descriptor: what it has sent goes on arriving, and then its FIN. Segments of an end arrive in order,
//! each after its latency. Where the way is cut, they are sent again, at longer and longer intervals, until the connection
//! times out. A reset goes its own way and may be lost.

mod ending;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::state::{Event, HostId, SMALL, State};

/// Names one end of a connection. None is used twice.
pub(crate) type EndId = u64;

/// What a TCP socket is.
#[derive(Debug)]
pub(super) enum Tcp {
    /// Not yet anything; perhaps it has an address.
    Fresh {
        local: Option<SocketAddr>,
    },
    Listening {
        local: SocketAddr,
        backlog: usize,
        queue: VecDeque<EndId>,
    },
    /// A connection is asked for; `answer` once that has ended.
    Connecting {
        local: SocketAddr,
        to: SocketAddr,
        answer: Option<Result<EndId, i32>>,
    },
    Connected(EndId),
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: HostId,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    remote_host: HostId,
    /// The other end, which may be gone.
    peer: EndId,
    /// The socket, unless it waits to be accepted, or is closed.
    file: Option<FileId>,
    /// The listener that it waits in.
    listener: Option<FileId>,
    /// Its socket is closed.
    is_orphan: bool,
    /// What has arrived and not been read.
    received: VecDeque<u8>,
    /// How much of that there may be.
    window: usize,
    has_end: bool,
    /// What ended the connection, until somebody was told.
    error: Option<i32>,
    pub(super) is_broken: bool,
    read_is_shut: bool,
    /// On its way to the other end.
    out: VecDeque<Segment>,
    out_bytes: usize,
    last_arrival: u64,
    /// The arrival of the first segment is an event.
    is_travelling: bool,
    /// How often the first segment has been sent in vain.
    failures: u32,
    fin_is_sent: bool,
}

#[derive(Debug)]
struct Segment {
    arrival: u64,
    /// None is a FIN.
    bytes: Option<Vec<u8>>,
}

/// What there is to read.
pub(super) enum Got {
    Nothing,
    /// So many bytes.
    Bytes(usize),
    End,
    Failed(i32),
}

impl State {
    pub(super) fn tcp_mut(&mut self, file: FileId) -> Option<&mut Tcp> {
        match self.files.get_mut(&file).map(|file| &mut file.kind) {
            Some(Kind::Tcp(tcp)) => Some(tcp),
            _ => None,
        }
    }

    /// Makes the two ends of a connection; the server's is the answer.
    pub(super) fn make_ends(
        &mut self,
        (client, client_address): (HostId, SocketAddr),
        (server, server_address): (HostId, SocketAddr),
        listener: FileId,
    ) -> (EndId, EndId) {
        let (near, far) = (self.name(), self.name());
        let window = if self.rng.once_in(4) { SMALL + self.rng.index(512) } else { 1024 + self.rng.index(64 << 10) };
        let end = |host, local, remote, remote_host, peer, listener| End {
            host,
            local,
            remote,
            remote_host,
            peer,
            file: None,
            listener,
            is_orphan: false,
            received: VecDeque::new(),
            window,
            has_end: false,
            error: None,
            is_broken: false,
            read_is_shut: false,
            out: VecDeque::new(),
            out_bytes: 0,
            last_arrival: 0,
            is_travelling: false,
            failures: 0,
            fin_is_sent: false,
        };
        self.ends.insert(near, end(client, client_address, server_address, server, far, None));
        self.ends.insert(far, end(server, server_address, client_address, client, near, Some(listener)));
        (near, far)
    }

    /// A socket has an end of a connection from now on; the answer is the address of its peer.
    pub(super) fn own(&mut self, end: EndId, file: FileId) -> Option<SocketAddr> {
        let end = self.ends.get_mut(&end)?;
        end.file = Some(file);
        end.listener = None;
        (!end.is_broken).then_some(end.remote)
    }

    /// How many bytes a send may put on their way.
    pub(super) fn room(&self, end: EndId) -> usize {
        let Some(end) = self.ends.get(&end) else { return 0 };
        let waiting = self.ends.get(&end.peer).map_or(0, |peer| peer.received.len());
        end.window.saturating_sub(waiting + end.out_bytes)
    }

    /// Why nothing can be sent any more.
    pub(super) fn refuses_to_send(&mut self, id: EndId) -> Option<i32> {
        let reset = self.faults.reset;
        let end = self.ends.get_mut(&id)?;
        if let Some(errno) = end.error.take() {
            return Some(errno);
        }
        if end.is_broken || end.fin_is_sent {
            return Some(libc::EPIPE);
        }
        if self.rng.with_probability(reset) {
            self.reset(id);
            return self.ends.get_mut(&id)?.error.take();
        }
        None
    }

    /// Puts bytes on their way, in segments of any size.
    pub(super) fn transmit(&mut self, id: EndId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let most = bytes.len().min(LARGEST_SEGMENT);
            let count = self.cut(most, 2);
            let (segment, rest) = bytes.split_at(count);
            bytes = rest;
            self.send_segment(id, Some(segment.to_vec()));
        }
    }

    fn send_segment(&mut self, id: EndId, bytes: Option<Vec<u8>>) {
        let Some((from, to)) = self.ends.get(&id).map(|end| (end.host, end.remote_host)) else { return };
        let arrival = self.now + self.latency(from, to);
        let Some(end) = self.ends.get_mut(&id) else { return };
        let arrival = arrival.max(end.last_arrival);
        end.last_arrival = arrival;
        end.out_bytes += bytes.as_ref().map_or(0, Vec::len);
        end.out.push_back(Segment { arrival, bytes });
        self.travel(id);
    }

    /// Plans the arrival of the first segment.
    fn travel(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        if let (false, Some(first)) = (end.is_travelling, end.out.front()) {
            let arrival = first.arrival;
            end.is_travelling = true;
            self.at(arrival, Event::Arrive { end: id });
        }
    }

    /// The first segment of an end arrives, unless the way is cut.
    pub(super) fn arrive(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.is_travelling = false;
        let (host, to, peer) = (end.host, end.remote_host, end.peer);
        if !self.reaches(host, to) {
            return self.send_again(id);
        }
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.failures = 0;
        let Some(segment) = end.out.pop_front() else { return };
        end.out_bytes -= segment.bytes.as_ref().map_or(0, Vec::len);
        let count = segment.bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
        self.note(to, "arrival", 0, count);
        let is_welcome = self.ends.get(&peer).is_some_and(|peer| !peer.is_orphan && !peer.is_broken);
        match (segment.bytes, self.ends.get_mut(&peer)) {
            (Some(bytes), Some(peer)) if is_welcome => {
                if !peer.read_is_shut {
                    peer.received.extend(bytes);
                }
            }
            (None, Some(peer)) => peer.has_end = true,
            // Bytes for nobody: a reset comes back.
            (Some(_), _) => self.reset_by_nobody(id),
            (None, None) => {}
        }
        if let Some(file) = self.ends.get(&peer).and_then(|peer| peer.file) {
            self.poke(file);
        }
        self.travel(id);
        self.forget_if_over(id);
        self.forget_if_over(peer);
    }

    fn send_again(&mut self, id: EndId) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        end.failures += 1;
        if end.failures > MOST_RETRANSMISSIONS {
            let file = end.file;
            self.break_end(id, libc::ETIMEDOUT);
            return if file.is_none() {
                self.forget_if_over(id)
            };
        }
        let pause = (200_000_000_u64 << end.failures.min(20)).min(LONGEST_PAUSE);
        end.is_travelling = true;
        self.after(pause, Event::Arrive { end: id });
    }

    /// What there is to read. An error is told once.
    pub(super) fn readable(&mut self, id: EndId) -> Got {
        let Some(end) = self.ends.get_mut(&id) else { return Got::End };
        if !end.received.is_empty() {
            return Got::Bytes(end.received.len());
        }
        match end.error.take() {
            // A connection that had ended in order before it broke has nothing to tell to readers.
            Some(errno) if !(end.has_end && errno == libc::EPIPE) => return Got::Failed(errno),
            _ => {}
        }
        if end.has_end || end.is_broken || end.read_is_shut { Got::End } else { Got::Nothing }
    }

    /// Takes bytes that have arrived.
    pub(super) fn take(&mut self, id: EndId, count: usize, is_peek: bool) -> Vec<u8> {
        let Some(end) = self.ends.get_mut(&id) else { return Vec::new() };
        if is_peek {
            return end.received.iter().take(count).copied().collect();
        }
        let bytes = end.received.drain(..count).collect();
        // There is room again for the other side.
        if let Some(file) = self.ends.get(&id).and_then(|end| self.ends.get(&end.peer)).and_then(|peer| peer.file) {
            self.poke(file);
        }
        bytes
    }

    /// What `poll(2)` would tell of a TCP socket.
    pub(super) fn tcp_events(&self, tcp: &Tcp) -> i16 {
        let end = match tcp {
            Tcp::Listening { queue, .. } => return if queue.is_empty() { 0 } else { libc::POLLIN },
            Tcp::Fresh { .. } => return libc::POLLOUT | libc::POLLHUP,
            Tcp::Connecting { answer: None, .. } => return 0,
            Tcp::Connecting { .. } => return libc::POLLOUT,
            Tcp::Connected(id) => match self.ends.get(id) {
                Some(end) => (end, *id),
                None => return libc::POLLHUP,
            },
        };
        let (end, id) = end;
        let mut events = 0;
        if !end.received.is_empty() || end.has_end || end.is_broken || end.read_is_shut {
            events |= libc::POLLIN;
        }
        if end.has_end || end.is_broken {
            events |= libc::POLLRDHUP;
        }
        if end.is_broken || end.fin_is_sent || self.room(id) > 0 {
            events |= libc::POLLOUT;
        }
        if end.error.is_some() {
            events |= libc::POLLERR;
        }
        if end.is_broken || (end.has_end && end.fin_is_sent) { events | libc::POLLHUP } else { events }
    }
}

/// No segment holds more.
const LARGEST_SEGMENT: usize = 16 << 10;
/// After these, which take some 15 minutes, a connection times out.
const MOST_RETRANSMISSIONS: u32 = 15;
const LONGEST_PAUSE: u64 = 120_000_000_000;
