//! One try of an operation: what it does now, if it can.

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::memory::{self, Piece};
use crate::kernel::sim::request::Request;
use crate::kernel::sim::ring::{Operation, RingId};
use crate::kernel::sim::state::State;
use crate::kernel::sim::tcp::{Got, Tcp};

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: what it waits for is not there.
    Wait,
    /// A completion, and the operation goes on.
    More(i32, u32),
    /// The last completion.
    Done(i32, u32),
}

use Verdict::{Done, More, Wait};

impl State {
    /// Tries an operation, which is out of its ring meanwhile.
    pub(super) fn perform(&mut self, ring: RingId, operation: &mut Operation) -> Verdict {
        let file = operation.file;
        match operation.entry.request.clone() {
            Request::Nop => Done(0, 0),
            Request::Accept { address, length } => self.accept(ring, operation, address, length),
            Request::Connect { to } => self.connect(operation, to),
            Request::Send { from, to, flags, .. } => match file.and_then(|file| self.files.get(&file)).map(|f| &f.kind)
            {
                Some(Kind::Udp(_)) => self.send_datagram(operation, &from, to, flags),
                Some(Kind::Tcp(_)) => self.send(operation, &from, flags),
                _ => Done(-libc::ENOTSOCK, 0),
            },
            Request::Recv { into, flags } => self.recv(ring, operation, &into, flags),
            Request::RecvMessage { message, flags } => self.recv_message(ring, operation, &message, flags),
            Request::Shutdown { how } => Done(file.map_or(-libc::EBADF, |file| self.shut_down(file, how)), 0),
            Request::Poll { events } => self.poll(operation, events),
            Request::Read { into, offset } => self.read_file(operation, &into, offset),
            Request::Write { from, offset } => self.write_file(operation, &from, offset),
            Request::Sync => self.sync_file(operation),
            Request::Open { path, flags } => self.open_path(ring, &path, flags),
            Request::Timeout { nanos, is_absolute, counts_as_success } => {
                self.timeout(ring, operation, nanos, is_absolute, counts_as_success)
            }
            Request::Close | Request::Cancel { .. } | Request::Unknown => {
                unreachable!("answered where it was submitted")
            }
        }
    }

    fn accept(&mut self, ring: RingId, operation: &mut Operation, address: u64, length: u64) -> Verdict {
        let Some(listener) = operation.file else { return Done(-libc::EBADF, 0) };
        let end = match self.tcp_mut(listener) {
            Some(Tcp::Listening { queue, .. }) => match queue.pop_front() {
                Some(end) => end,
                None => return Wait,
            },
            Some(_) => return Done(-libc::EINVAL, 0),
            None => return Done(-libc::ENOTSOCK, 0),
        };
        let host = self.rings[ring].host;
        let (fd, file) = match self.open(host, Kind::Tcp(Tcp::Connected(end))) {
            Ok(opened) => opened,
            Err(error) => {
                // The connection goes on waiting.
                if let Some(Tcp::Listening { queue, .. }) = self.tcp_mut(listener) {
                    queue.push_front(end);
                }
                return Done(-error.raw_os_error().unwrap_or(libc::EMFILE), 0);
            }
        };
        let peer = self.own(end, file);
        if address != 0
            && let Some(peer) = peer
        {
            let room = memory::read_length(length);
            memory::write_length(length, memory::write_address(Piece::new(address, room), peer));
        }
        let number = std::os::fd::IntoRawFd::into_raw_fd(fd);
        if operation.entry.is_multishot && !self.ends_early(ring) { More(number, 0) } else { Done(number, 0) }
    }

    /// Whether a multishot operation ends here for no reason that concerns anybody.
    pub(super) fn ends_early(&mut self, ring: RingId) -> bool {
        self.is_full(ring) || self.rng.once_in(16)
    }

    fn send(&mut self, operation: &mut Operation, from: &[Piece], flags: i32) -> Verdict {
        let Some(file) = operation.file else { return Done(-libc::EBADF, 0) };
        let end = match self.tcp_mut(file) {
            Some(Tcp::Connected(end)) => *end,
            _ => return Done(-libc::ENOTCONN, 0),
        };
        if let Some(errno) = self.refuses_to_send(end) {
            return Done(if operation.done > 0 { operation.done as i32 } else { -errno }, 0);
        }
        let left = memory::total(from) - operation.done;
        if left == 0 {
            return Done(operation.done as i32, 0);
        }
        let mut count = self.room(end).min(left);
        if count == 0 {
            return Wait;
        }
        let waits_for_all = flags & libc::MSG_WAITALL != 0;
        let cut = self.cut(count, if waits_for_all { 64 } else { 8 });
        let is_short = cut < count;
        count = cut;
        let bytes = memory::gather(from, operation.done, count);
        self.transmit(end, &bytes);
        operation.done += count;
        let is_over = operation.done == memory::total(from) || !waits_for_all || is_short;
        if is_over { Done(operation.done as i32, 0) } else { Wait }
    }

    pub(super) fn recv(&mut self, ring: RingId, operation: &mut Operation, into: &[Piece], flags: i32) -> Verdict {
        let Some(file) = operation.file else { return Done(-libc::EBADF, 0) };
        let end = match self.files.get_mut(&file).map(|file| &mut file.kind) {
            Some(Kind::Tcp(Tcp::Connected(end))) => *end,
            Some(Kind::Tcp(_)) => return Done(-libc::ENOTCONN, 0),
            Some(Kind::Udp(_)) => return self.recv_datagram(ring, operation, into, flags),
            _ => return Done(-libc::ENOTSOCK, 0),
        };
        let available = match self.readable(end) {
            Got::Bytes(available) => available,
            Got::Nothing => return Wait,
            Got::End if !operation.collected.is_empty() => {
                return Done(self.broken_off(operation), 0);
            }
            Got::End => return Done(0, 0),
            Got::Failed(errno) => return Done(-errno, 0),
        };
        let (pieces, buffer) = match self.buffer_for(ring, operation, into) {
            Ok(target) => target,
            Err(errno) => return Done(-errno, 0),
        };
        let is_peek = flags & libc::MSG_PEEK != 0;
        let waits_for_all = flags & libc::MSG_WAITALL != 0 && buffer.is_none() && !is_peek;
        let count = self.cut(available.min(memory::total(&pieces) - operation.collected.len()), 8);
        let bytes = self.take(end, count, is_peek);
        if waits_for_all {
            operation.collected.extend_from_slice(&bytes);
            if operation.collected.len() < memory::total(&pieces) {
                // Another look, as more may be there.
                return if count < available { self.recv(ring, operation, into, flags) } else { Wait };
            }
            return Done(self.broken_off(operation), 0);
        }
        memory::scatter(&pieces, &bytes);
        let more_waits = if count < available { SOCKET_NOT_EMPTY } else { 0 };
        let flags = buffer.map_or(0, |id| BUFFER | u32::from(id) << 16) | more_waits;
        if operation.entry.is_multishot && !self.ends_early(ring) {
            More(count as i32, flags)
        } else {
            Done(count as i32, flags)
        }
    }

    /// Where an operation receives to: its own memory, or a buffer that is picked now.
    pub(super) fn buffer_for(
        &mut self,
        ring: RingId,
        operation: &Operation,
        into: &[Piece],
    ) -> Result<(Vec<Piece>, Option<u16>), i32> {
        let Some(group) = operation.entry.group else { return Ok((into.to_vec(), None)) };
        // The kernel may find no buffer even where one is on its way.
        if self.rng.once_in(128) {
            return Err(libc::ENOBUFS);
        }
        let group = self.rings[ring].groups.get_mut(&group).ok_or(libc::ENOBUFS)?;
        let (piece, id) = group.pick().ok_or(libc::ENOBUFS)?;
        Ok((vec![piece], Some(id)))
    }

    fn poll(&mut self, operation: &Operation, events: u32) -> Verdict {
        let Some(file) = operation.file else { return Wait };
        let seen = self.events_of(file) & (events | (libc::POLLERR | libc::POLLHUP) as u32);
        match (seen, operation.entry.is_multishot) {
            (0, _) => Wait,
            (seen, _) => Done(seen as i32, 0),
        }
    }

    /// What `poll(2)` would tell of a file.
    fn events_of(&self, file: FileId) -> u32 {
        let events = match self.files.get(&file).map(|file| &file.kind) {
            Some(Kind::Tcp(tcp)) => self.tcp_events(tcp),
            Some(Kind::Udp(udp)) => udp.events(),
            Some(Kind::Disk(_)) => libc::POLLIN | libc::POLLOUT,
            None => libc::POLLNVAL,
        };
        events as u32
    }

    fn timeout(
        &mut self,
        ring: RingId,
        operation: &mut Operation,
        nanos: u64,
        is_absolute: bool,
        counts_as_success: bool,
    ) -> Verdict {
        if operation.has_begun {
            return Done(if counts_as_success { 0 } else { -libc::ETIME }, 0);
        }
        operation.has_begun = true;
        operation.is_planned = true;
        let event = super::state::Event::Attempt { ring, name: operation.name };
        if is_absolute {
            self.at(nanos, event)
        } else {
            self.after(nanos, event)
        }
        Wait
    }
}

/// `IORING_CQE_F_BUFFER`, `IORING_CQE_F_SOCK_NONEMPTY`.
pub(super) const BUFFER: u32 = 1;
const SOCKET_NOT_EMPTY: u32 = 1 << 2;
