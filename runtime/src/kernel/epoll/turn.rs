//! What an entry into this kernel does: begins what was staged, goes on with what was put off, looks at epoll, and lets
//! those run whose descriptor, clock or thread has something for them.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use io_uring::opcode;

use crate::kernel::epoll::abi;
use crate::kernel::epoll::attempt::{Ended, Progress};
use crate::kernel::epoll::requests::{Direction, Id, Place, Request};
use crate::kernel::epoll::workers::Job;
use crate::kernel::epoll::{BELL, Epoll, calls};
use crate::sys::epoll::Event;
use crate::sys::sqe::RawSqe;

impl Epoll {
    /// Begins every staged entry, in order; links together with those that wait for them.
    pub(super) fn begin_staged(&mut self) {
        while let Some(sqe) = self.staged.pop_front() {
            let mut linked = Vec::new();
            let mut last = sqe.flags;
            while last & (abi::sqe::IO_LINK | abi::sqe::IO_HARDLINK) != 0 {
                let Some(next) = self.staged.pop_front() else { break };
                last = next.flags;
                linked.push(next);
            }
            self.begin(sqe, linked);
        }
        self.begin_followers();
    }

    /// Begins the links whose turn has come.
    fn begin_followers(&mut self) {
        while let Some((sqe, linked)) = self.followers.pop_front() {
            self.begin(sqe, linked);
        }
    }

    fn begin(&mut self, sqe: RawSqe, linked: Vec<RawSqe>) {
        let mut request = Request::new(sqe, self.next_order());
        request.linked = linked;
        let progress = self.attempt_first(&mut request);
        self.settle(None, request, progress);
    }

    /// Goes on with what had its share of the turn before.
    pub(super) fn go_on(&mut self) {
        for (fd, direction) in std::mem::take(&mut self.again) {
            if self.files.take_up(fd, direction) {
                self.serve(fd, direction);
            }
        }
        self.begin_followers();
    }

    /// Looks at epoll, which may sleep that long, and at the clock and the mailbox.
    pub(super) fn look(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.events);
        let waited = self.poller.wait(timeout, &mut events);
        for event in events.drain(..).filter(|event| event.token != BELL) {
            self.told(event);
        }
        self.events = events;
        for (id, answer) in self.mailbox.open() {
            self.worked(id, answer);
        }
        self.fire();
        self.begin_followers();
        waited
    }

    /// A descriptor is ready for something.
    fn told(&mut self, event: Event) {
        let Some(fd) = self.files.told(event.token, event.events) else { return };
        if event.events & READS != 0 && !self.files.is_put_off(fd, Direction::Read) {
            self.serve(fd, Direction::Read);
        }
        if event.events & WRITES != 0 && !self.files.is_put_off(fd, Direction::Write) {
            self.serve(fd, Direction::Write);
        }
        for id in self.files.polls(fd) {
            let Some(request) = self.requests.get(id) else { continue };
            let (sqe, found) = (request.sqe, event.events & (request.sqe.op_flags | ALWAYS_TOLD));
            if found == 0 {
                continue;
            }
            if sqe.len & abi::POLL_MULTI != 0 {
                self.post(sqe.user_data, found as i32, abi::cqe::MORE);
            } else if let Some(request) = self.requests.take(id) {
                self.files.leave(&request);
                self.settle(Some(id), request, Progress::Done(Ended::with(found as i32)));
            }
        }
    }

    /// Lets those try again that wait for the descriptor, first come first served.
    fn serve(&mut self, fd: RawFd, direction: Direction) {
        while let Some(id) = self.files.first(fd, direction) {
            let Some(mut request) = self.requests.take(id) else { unreachable!("who waits is in the table") };
            let progress = self.attempt(&mut request);
            // Not now for the first is not now for the others.
            let stays = matches!(progress, Progress::Wait(_) | Progress::Ready(_) | Progress::Again(_));
            if !stays {
                self.files.leave(&request);
            }
            self.settle(Some(id), request, progress);
            if stays {
                break;
            }
        }
        self.files.rest(fd);
    }

    /// A thread has made its call.
    fn worked(&mut self, id: Id, answer: i32) {
        let Some(mut request) = self.requests.take(id) else { return };
        let goes_on = request.sqe.opcode == opcode::Accept::CODE
            && request.sqe.ioprio & abi::ACCEPT_MULTISHOT != 0
            && answer >= 0
            && !request.stopping;
        let progress = if goes_on {
            self.post(request.sqe.user_data, answer, abi::cqe::MORE);
            self.attempt(&mut request)
        } else {
            Progress::Done(Ended::with(answer))
        };
        self.settle(Some(id), request, progress);
    }

    /// What is due by now.
    fn fire(&mut self) {
        if self.timers.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((deadline, id)) = self.timers.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.timers.remove(&(deadline, id));
            let Some(mut request) = self.requests.take(id) else { continue };
            let progress = self.attempt(&mut request);
            self.settle(Some(id), request, progress);
        }
    }

    /// Puts a request where its progress says; `id` is its place in the table, if it has one.
    pub(super) fn settle(&mut self, id: Option<Id>, mut request: Request, progress: Progress) {
        match progress {
            Progress::Done(ended) => {
                if let Some(id) = id {
                    self.requests.release(id, request.sqe.user_data);
                }
                self.finish(request, ended);
            }
            Progress::Wait(direction) => self.wait(id, request, direction, false),
            Progress::Ready(direction) => self.wait(id, request, direction, true),
            Progress::Again(direction) => {
                if self.files.put_off(request.fd, direction) {
                    self.again.push((request.fd, direction));
                }
                self.enqueue(id, request, direction);
            }
            Progress::At(deadline) => {
                request.place = Place::Timed;
                request.deadline = Some(deadline);
                let counts = request.counts > 0;
                let id = self.keep(id, request);
                if counts {
                    self.counting.push(id);
                }
                self.timers.insert((deadline, id));
            }
            Progress::Work { ends_by_itself } => self.hand_over(id, request, ends_by_itself),
            Progress::Poll => self.poll(id, request),
        }
    }

    fn keep(&mut self, id: Option<Id>, request: Request) -> Id {
        match id {
            Some(id) => {
                self.requests.put_back(id, request);
                id
            }
            None => {
                let id = self.requests.insert(request);
                self.guard(id);
                id
            }
        }
    }

    /// Has it wait for its descriptor; `afresh` where it doesn't know that it isn't ready now.
    fn wait(&mut self, id: Option<Id>, request: Request, direction: Direction, afresh: bool) {
        let events = match direction {
            Direction::Read => libc::EPOLLIN | libc::EPOLLPRI,
            Direction::Write => libc::EPOLLOUT,
        };
        match self.files.arm(&self.poller, request.fd, events as u32, afresh) {
            Ok(()) => self.enqueue(id, request, direction),
            Err(errno) => {
                self.files.leave(&request);
                // A file that has no readiness: its calls wait for a disk, or an odd device.
                if errno == libc::EPERM && is_read_or_write(&request) {
                    self.hand_over(id, request, false);
                } else {
                    self.settle(id, request, Progress::Done(Ended::error(errno)));
                }
            }
        }
    }

    fn enqueue(&mut self, id: Option<Id>, mut request: Request, direction: Direction) {
        request.place = Place::Waiting;
        let id = self.keep(id, request);
        if let Some(request) = self.requests.get(id) {
            self.files.enqueue(direction, id, request);
        }
    }

    fn hand_over(&mut self, id: Option<Id>, request: Request, ends_by_itself: bool) {
        let sqe = request.sqe;
        let id = self.keep(id, request);
        let started = Job::start(id, sqe, &self.mailbox, ends_by_itself);
        match (started, self.requests.take(id)) {
            (Ok(job), Some(mut request)) => {
                request.place = Place::Working(job);
                self.requests.put_back(id, request);
            }
            (Err(errno), Some(request)) => self.settle(Some(id), request, Progress::Done(Ended::error(errno))),
            (_, None) => unreachable!("it was kept in the line before"),
        }
    }

    fn poll(&mut self, id: Option<Id>, mut request: Request) {
        let (fd, wanted) = (request.fd, request.sqe.op_flags & POLLABLE);
        // Again, so that epoll tells also what has been the case for long.
        match self.files.arm(&self.poller, fd, wanted, true) {
            Ok(()) => {
                request.place = Place::Polling;
                let id = self.keep(id, request);
                if let Some(request) = self.requests.get(id) {
                    self.files.watch(id, request);
                }
            }
            // A file that has no readiness is ready now, or never will be what is asked for.
            Err(libc::EPERM) => match calls::poll(fd, wanted as i16) {
                Ok(found) if found != 0 && request.sqe.len & abi::POLL_MULTI == 0 => {
                    self.settle(id, request, Progress::Done(Ended::with(i32::from(found))));
                }
                Ok(found) => {
                    if found != 0 {
                        self.post(request.sqe.user_data, i32::from(found), abi::cqe::MORE);
                    }
                    request.place = Place::Orphaned;
                    self.keep(id, request);
                }
                Err(errno) => self.settle(id, request, Progress::Done(Ended::error(errno))),
            },
            Err(errno) => self.settle(id, request, Progress::Done(Ended::error(errno))),
        }
    }
}

fn is_read_or_write(request: &Request) -> bool {
    use opcode::{Read, Readv, Write, Writev};
    matches!(request.sqe.opcode, Read::CODE | Readv::CODE | Write::CODE | Writev::CODE)
}

/// Events that let a reader try again.
const READS: u32 = (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
/// Events that let a writer try again.
const WRITES: u32 = (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32;
/// Events that a poll is told unasked.
const ALWAYS_TOLD: u32 = (libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP) as u32;
/// Events that a poll may ask for.
const POLLABLE: u32 = 0x3fff;
