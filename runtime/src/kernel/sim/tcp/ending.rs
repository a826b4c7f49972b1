//! How connections end: resets, half-closes, and sockets that are closed.

use std::net::IpAddr;

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::socket::Options;
use crate::kernel::sim::state::{Event, State};
use crate::kernel::sim::tcp::{EndId, Tcp};

impl State {
    /// Breaks a connection from one of its ends.
    pub(in crate::kernel::sim) fn reset(&mut self, id: EndId) {
        self.reset_peer(id);
        self.break_end(id, libc::ECONNRESET);
    }

    /// What arrives for an end that is gone is answered with a reset.
    pub(super) fn reset_by_nobody(&mut self, id: EndId) {
        let Some(end) = self.ends.get(&id) else { return };
        let (host, to) = (end.remote_host, end.host);
        let delay = self.latency(host, to);
        let from = self.hosts[host].ip;
        self.after(delay, Event::Reset { end: id, from });
    }

    /// Tells the other end that the connection is broken, in the order of what was sent before.
    pub(super) fn reset_peer(&mut self, id: EndId) {
        let Some(end) = self.ends.get(&id) else { return };
        let (host, to, peer, last) = (end.host, end.remote_host, end.peer, end.last_arrival);
        let arrival = (self.now + self.latency(host, to)).max(last);
        let from = self.hosts[host].ip;
        self.at(arrival, Event::Reset { end: peer, from });
    }

    pub(in crate::kernel::sim) fn be_reset(&mut self, id: EndId, from: IpAddr) {
        let Some(end) = self.ends.get(&id) else { return };
        let to = end.host;
        let ip = self.hosts[to].ip;
        // A reset is not sent again.
        if self.hosts[to].is_down || self.partitions.contains(&(from.min(ip), from.max(ip))) {
            return;
        }
        let errno = if end.has_end { libc::EPIPE } else { libc::ECONNRESET };
        self.note(to, "reset", 0, i64::from(errno));
        self.break_end(id, errno);
        self.forget_if_over(id);
    }

    pub(super) fn break_end(&mut self, id: EndId, errno: i32) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        if end.is_broken {
            return;
        }
        end.is_broken = true;
        end.error = Some(errno);
        end.out.clear();
        end.out_bytes = 0;
        if let Some(file) = end.file {
            self.poke(file);
        }
    }

    pub(in crate::kernel::sim) fn shut_down(&mut self, file: FileId, how: i32) -> i32 {
        let id = match self.files.get_mut(&file).map(|file| &mut file.kind) {
            Some(Kind::Tcp(Tcp::Connected(end))) => *end,
            Some(Kind::Tcp(Tcp::Listening { .. })) if how != libc::SHUT_WR => {
                self.stop_listening(file);
                return 0;
            }
            Some(Kind::Udp(udp)) => return udp.shut_down(how),
            Some(Kind::Tcp(_)) => return -libc::ENOTCONN,
            _ => return -libc::ENOTSOCK,
        };
        let Some(end) = self.ends.get_mut(&id) else { return -libc::ENOTCONN };
        if end.is_broken {
            return -libc::ENOTCONN;
        }
        if how != libc::SHUT_WR {
            end.read_is_shut = true;
        }
        if how != libc::SHUT_RD && !std::mem::replace(&mut end.fin_is_sent, true) {
            self.send_segment(id, None);
        }
        self.poke(file);
        0
    }

    /// A listening socket is shut down: those that wait in it are reset.
    fn stop_listening(&mut self, file: FileId) {
        let Some(tcp) = self.tcp_mut(file) else { return };
        let stopped = match tcp {
            Tcp::Listening { local, queue, .. } => (*local, std::mem::take(queue)),
            _ => return,
        };
        *tcp = Tcp::Fresh { local: Some(stopped.0) };
        for end in stopped.1 {
            self.abort_end(end);
        }
        self.poke(file);
    }

    /// A socket is closed.
    pub(in crate::kernel::sim) fn close_tcp(&mut self, tcp: Tcp, options: &Options) {
        match tcp {
            Tcp::Fresh { .. } | Tcp::Connecting { answer: None | Some(Err(_)), .. } => {}
            Tcp::Listening { queue, .. } => queue.into_iter().for_each(|end| self.abort_end(end)),
            Tcp::Connecting { answer: Some(Ok(end)), .. } => self.abort_end(end),
            Tcp::Connected(id) => {
                let Some(end) = self.ends.get_mut(&id) else { return };
                end.file = None;
                end.is_orphan = true;
                // Bytes that nobody has read: the other side must not believe that they were.
                if !end.received.is_empty() || options.lingers_not_at_all() {
                    return self.abort_end(id);
                }
                if !end.is_broken && !std::mem::replace(&mut end.fin_is_sent, true) {
                    self.send_segment(id, None);
                }
                self.forget_if_over(id);
            }
        }
    }

    /// Resets a connection from this end, which is gone at once.
    pub(in crate::kernel::sim) fn abort_end(&mut self, id: EndId) {
        if self.ends.get(&id).is_some_and(|end| !end.is_broken) {
            self.reset_peer(id);
        }
        self.ends.remove(&id);
    }

    /// Nobody holds it, and nothing of it is on its way.
    pub(super) fn forget_if_over(&mut self, id: EndId) {
        if self.ends.get(&id).is_some_and(|end| end.is_orphan && end.out.is_empty()) {
            self.ends.remove(&id);
        }
    }

    /// Whether a connection is over on both sides.
    pub(in crate::kernel::sim) fn is_torn_down(&self, file: FileId) -> bool {
        match self.files.get(&file).map(|file| &file.kind) {
            Some(Kind::Tcp(Tcp::Connected(end))) => self
                .ends
                .get(end)
                .is_none_or(|end| end.is_broken || (end.has_end && end.fin_is_sent && end.out.is_empty())),
            Some(Kind::Tcp(Tcp::Fresh { .. })) => true,
            _ => false,
        }
    }
}
