//! Who waits for which descriptor, and what epoll knows of it.
//!
//! Events are edges, and only ever hints: whoever waits tries its call again, and learns from its answer whether it goes
//! on. So an event too many costs a call, and what must not happen is an event too few. A registration is believed only
//! while somebody waits for the descriptor without a break, since the driver keeps it open so long (I3); when the first
//! one comes to wait, the descriptor is registered (again), and epoll tells what holds already. So a descriptor may be
//! closed behind our back, and its number be another file's: the next wait is for the file that it names by then. Events
//! of a registration that was left behind (its file lives on by a duplicate) carry an old generation, and are dropped.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use crate::kernel::epoll::requests::{Direction, Id, Request};
use crate::sys::epoll::Poller;

/// The descriptors, by number.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: Vec<File>,
    /// How many requests wait.
    waiting: usize,
}

#[derive(Debug, Default)]
struct File {
    /// Of the registration; part of the token.
    generation: u32,
    /// It was registered at some time.
    known: bool,
    /// Somebody has been waiting ever since it was registered: epoll knows this very file.
    live: bool,
    /// An event of this registration has told the end of the stream, an error, or urgent bytes.
    ended: bool,
    /// What it is registered for.
    interest: u32,
    readers: Queue,
    writers: Queue,
    polls: Queue,
    /// Directions whose first has had its share of this turn, and goes on in the next.
    put_off: [bool; 2],
}

/// Requests by their [`Request::order`]: first come, first served, and taken out of the middle as easily.
type Queue = BTreeMap<u64, Id>;

impl File {
    fn queue(&mut self, direction: Direction) -> &mut Queue {
        match direction {
            Direction::Read => &mut self.readers,
            Direction::Write => &mut self.writers,
        }
    }

    fn is_idle(&self) -> bool {
        self.readers.is_empty() && self.writers.is_empty() && self.polls.is_empty()
    }
}

impl Files {
    /// Whether anybody waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    fn at(&mut self, fd: RawFd) -> Option<&mut File> {
        let index = usize::try_from(fd).ok()?;
        if index >= self.files.len() {
            self.files.resize_with(index + 1, File::default);
        }
        Some(&mut self.files[index])
    }

    /// Has a request wait for the descriptor, behind those that did before. One that waits already keeps its place.
    pub(super) fn enqueue(&mut self, direction: Direction, id: Id, request: &Request) {
        let Some(file) = self.at(request.fd) else { return };
        let is_new = file.queue(direction).insert(request.order, id).is_none();
        self.waiting += usize::from(is_new);
    }

    /// The first that waits.
    pub(super) fn first(&mut self, fd: RawFd, direction: Direction) -> Option<Id> {
        self.at(fd)?.queue(direction).first_key_value().map(|(_, id)| *id)
    }

    /// Puts a queue off to the next turn; false where it is already.
    pub(super) fn put_off(&mut self, fd: RawFd, direction: Direction) -> bool {
        self.at(fd).is_some_and(|file| !std::mem::replace(&mut file.put_off[direction as usize], true))
    }

    /// Whether a queue was put off, which it is no more.
    pub(super) fn take_up(&mut self, fd: RawFd, direction: Direction) -> bool {
        self.at(fd).is_some_and(|file| std::mem::take(&mut file.put_off[direction as usize]))
    }

    /// Whether a queue has had its share of this turn.
    pub(super) fn is_put_off(&mut self, fd: RawFd, direction: Direction) -> bool {
        self.at(fd).is_some_and(|file| file.put_off[direction as usize])
    }

    pub(super) fn watch(&mut self, id: Id, request: &Request) {
        let Some(file) = self.at(request.fd) else { return };
        let is_new = file.polls.insert(request.order, id).is_none();
        self.waiting += usize::from(is_new);
    }

    /// The polls of a descriptor.
    pub(super) fn polls(&mut self, fd: RawFd) -> Vec<Id> {
        self.at(fd).map_or_else(Vec::new, |file| file.polls.values().copied().collect())
    }

    /// A request waits no more, if it did. [`rest`](Self::rest) is to follow.
    pub(super) fn leave(&mut self, request: &Request) {
        let Some(file) = self.at(request.fd) else { return };
        let queues = [&mut file.readers, &mut file.writers, &mut file.polls];
        self.waiting -= queues.into_iter().filter_map(|queue| queue.remove(&request.order)).count();
    }

    /// If nobody waits for the descriptor any more, its registration is not to be believed from now on.
    pub(super) fn rest(&mut self, fd: RawFd) {
        if let Some(file) = self.at(fd)
            && file.is_idle()
        {
            file.live = false;
        }
    }

    /// Has epoll tell of `events` on the descriptor, also of those that hold already if nobody waited until now, or `again`
    /// asks for it. The error is the errno: `EPERM` for files that are always ready.
    pub(super) fn arm(&mut self, poller: &Poller, fd: RawFd, events: u32, again: bool) -> Result<(), i32> {
        let file = self.at(fd).ok_or(libc::EBADF)?;
        if file.live && !again && file.interest & events == events {
            return Ok(());
        }
        if !file.live {
            file.generation = file.generation.wrapping_add(1);
            file.ended = false;
            file.interest = 0;
        }
        let (interest, token) = (file.interest | events | ALWAYS, token(fd, file.generation));
        // What we believe to know may be another file's by now: then the other call is the right one.
        let armed = if file.known {
            match poller.modify(fd, interest, token) {
                Err(libc::ENOENT) => poller.add(fd, interest, token),
                done => done,
            }
        } else {
            match poller.add(fd, interest, token) {
                Err(libc::EEXIST) => poller.modify(fd, interest, token),
                done => done,
            }
        };
        if armed.is_ok() {
            file.known = true;
            file.live = true;
            file.interest = interest;
        }
        armed
    }

    /// The descriptor that an event is about, if that is still what it was; takes note of an end.
    pub(super) fn told(&mut self, token: u64, events: u32) -> Option<RawFd> {
        let fd = token as u32 as RawFd;
        let file = self.at(fd)?;
        if !file.live || file.generation != (token >> 32) as u32 {
            return None;
        }
        if events & ENDS != 0 {
            file.ended = true;
        }
        Some(fd)
    }

    /// No event has told the end of the stream, nor an error: when it comes, it will be told.
    pub(super) fn end_will_be_told(&mut self, fd: RawFd) -> bool {
        self.at(fd).is_some_and(|file| !file.live || !file.ended)
    }

    /// The descriptor is about to be closed. Answers those that waited for it: they hear no more of it.
    pub(super) fn forget(&mut self, poller: &Poller, fd: RawFd) -> Vec<Id> {
        let Ok(index) = usize::try_from(fd) else { return Vec::new() };
        let Some(file) = self.files.get_mut(index) else { return Vec::new() };
        if std::mem::take(&mut file.known) {
            // By hand, because the file may live on under another number, and would be told for ever.
            let _ = poller.remove(fd);
        }
        file.live = false;
        file.generation = file.generation.wrapping_add(1);
        let queues = [&mut file.readers, &mut file.writers, &mut file.polls];
        let ids: Vec<Id> = queues.into_iter().flat_map(std::mem::take).map(|(_, id)| id).collect();
        self.waiting -= ids.len();
        ids
    }
}

fn token(fd: RawFd, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(fd as u32)
}

/// What every descriptor is watched for: by edges, and for its end.
const ALWAYS: u32 = (libc::EPOLLET | libc::EPOLLRDHUP) as u32;
/// Events behind which a short receive may hide more: the end, or bytes behind an urgent one, where a call ends, too.
const ENDS: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLPRI) as u32;
