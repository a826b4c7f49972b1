//! Entries that have begun and not ended.

use std::collections::BTreeSet;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use crate::kernel::epoll::workers::Job;
use crate::sys::sqe::RawSqe;

/// Names a request: a place in the table and the generation of its use, so that an id which is late finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    index: u32,
    generation: u32,
}

/// One entry under way.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) sqe: RawSqe,
    /// The descriptor whose readiness it waits for.
    pub(super) fd: RawFd,
    /// That descriptor, where it was made for the request.
    pub(super) owned: Option<OwnedFd>,
    /// How many bytes of it are done.
    pub(super) done: usize,
    /// How often it was tried.
    pub(super) tries: u32,
    pub(super) place: Place,
    /// Its place among those that wait for the same descriptor: they are served in the order in which they began.
    pub(super) order: u64,
    /// Its socket is a stream of bytes; none until it had to be known.
    pub(super) is_stream: Option<bool>,
    /// Its socket is one of TCP; none until it had to be known.
    pub(super) is_tcp: Option<bool>,
    /// Its listener may have other users, who could take a connection away between the look and the call.
    pub(super) is_shared: bool,
    /// It was to be cancelled when it could not be: no more of it is to begin.
    pub(super) stopping: bool,
    /// Its connect goes on in the system.
    pub(super) is_connecting: bool,
    /// When its time is up.
    pub(super) deadline: Option<Instant>,
    /// The timeout that watches over it.
    pub(super) guard: Option<Id>,
    /// What this timeout watches over.
    pub(super) guarded: Option<Id>,
    /// How many completions are left until this timeout ends.
    pub(super) counts: u64,
    /// The entries that wait for it, in order.
    pub(super) linked: Vec<RawSqe>,
}

/// Where a request is.
#[derive(Debug)]
pub(super) enum Place {
    /// With us, this very moment.
    Running,
    /// In one of its descriptor's queues.
    Waiting,
    /// In its descriptor's list of polls.
    Polling,
    /// Among those that the clock wakes.
    Timed,
    /// With a thread.
    Working(Arc<Job>),
    /// Nowhere: its descriptor was closed under it, and only a cancel ends it.
    Orphaned,
}

/// Which readiness of a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Request {
    /// The `order` is unlike that of any other request.
    pub(super) fn new(sqe: RawSqe, order: u64) -> Self {
        Self {
            sqe,
            fd: sqe.fd,
            owned: None,
            done: 0,
            tries: 0,
            place: Place::Running,
            order,
            is_stream: None,
            is_tcp: None,
            is_shared: false,
            stopping: false,
            is_connecting: false,
            deadline: None,
            guard: None,
            guarded: None,
            counts: 0,
            linked: Vec::new(),
        }
    }

    pub(super) fn has_flag(&self, flag: u8) -> bool {
        self.sqe.flags & flag != 0
    }
}

/// The table of requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    entries: Vec<Entry>,
    /// Vacant places.
    vacant: Vec<u32>,
    /// Every request by its `user_data`, which need not be unlike the others'.
    by_user_data: BTreeSet<(u64, Id)>,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    /// None while the place is vacant, and while the request is taken out to run.
    request: Option<Request>,
}

impl Requests {
    pub(super) fn insert(&mut self, request: Request) -> Id {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, request: None });
            // So that no end of a request allocates.
            self.vacant.reserve(self.entries.len());
            self.entries.len() as u32 - 1
        });
        let entry = &mut self.entries[index as usize];
        let id = Id { index, generation: entry.generation };
        self.by_user_data.insert((request.sqe.user_data, id));
        entry.request = Some(request);
        id
    }

    /// Takes a request out to run it; [`put_back`](Self::put_back) or [`release`](Self::release) follows.
    pub(super) fn take(&mut self, id: Id) -> Option<Request> {
        let entry = self.entries.get_mut(id.index as usize).filter(|entry| entry.generation == id.generation)?;
        let mut request = entry.request.take()?;
        request.place = Place::Running;
        Some(request)
    }

    pub(super) fn put_back(&mut self, id: Id, request: Request) {
        self.entries[id.index as usize].request = Some(request);
    }

    pub(super) fn get(&self, id: Id) -> Option<&Request> {
        self.entries.get(id.index as usize).filter(|entry| entry.generation == id.generation)?.request.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Request> {
        let entry = self.entries.get_mut(id.index as usize).filter(|entry| entry.generation == id.generation)?;
        entry.request.as_mut()
    }

    /// Forgets a request that was taken out.
    pub(super) fn release(&mut self, id: Id, user_data: u64) {
        self.by_user_data.remove(&(user_data, id));
        let entry = &mut self.entries[id.index as usize];
        debug_assert!(entry.request.is_none(), "a request is taken out before it is released");
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(id.index);
    }

    /// Those with this `user_data`.
    pub(super) fn with_user_data(&self, user_data: u64) -> Vec<Id> {
        let (least, most) = (Id { index: 0, generation: 0 }, Id { index: u32::MAX, generation: u32::MAX });
        self.by_user_data.range((user_data, least)..=(user_data, most)).map(|(_, id)| *id).collect()
    }

    /// Those that `matches`, in the order of their places.
    pub(super) fn all(&self, matches: impl Fn(&Request) -> bool) -> Vec<Id> {
        let ids = self.by_user_data.iter().map(|(_, id)| *id);
        ids.filter(|id| self.get(*id).is_some_and(&matches)).collect()
    }
}

#[cfg(test)]
mod tests {
    use io_uring::opcode;

    use super::*;

    fn request(user_data: u64) -> Request {
        Request::new(RawSqe::from(&opcode::Nop::new().build().user_data(user_data)), user_data)
    }

    #[test]
    fn a_late_id_finds_nothing() {
        let mut requests = Requests::default();
        let first = requests.insert(request(7));
        assert!(requests.take(first).is_some());
        assert!(requests.take(first).is_none(), "it is running");
        requests.release(first, 7);
        let second = requests.insert(request(8));
        assert!(requests.get(first).is_none() && requests.get(second).is_some());
        assert_eq!(requests.all(|_| true), [second]);
    }

    #[test]
    fn requests_of_the_same_user_data_are_all_found() {
        let mut requests = Requests::default();
        let ids = [requests.insert(request(7)), requests.insert(request(8)), requests.insert(request(7))];
        assert_eq!(requests.with_user_data(7), [ids[0], ids[2]]);
        assert_eq!(requests.with_user_data(9), []);
        assert_eq!(requests.all(|request| request.sqe.user_data == 8), [ids[1]]);
    }
}
