//! A simulated kernel: it decodes entries and answers them in a made-up world, in which a seed decides everything.
//!
//! ```text
//!   driver --- SQE ---> ring -----> perform ----> tcp, udp, disk     state: files, connections, events, one clock
//!          <-- CQE ----      <-----          <---                    world: the state, and who is current on the thread
//! ```
//!
//! What any kernel may do, this one does: completions of several operations come in any order and late, reads and writes fall
//! short, multishot operations end, a cancel races with its target, buffers seem to be out, entries are refused for the
//! moment, queues are tiny, a zero-copy send keeps its buffer. What a network and a machine may do on top of that is for
//! [`Faults`] to say.
//!
//! Nothing here looks at a real clock, at an address or at a descriptor's number to decide something; and what is walked is
//! ordered. So the same seed and the same program make the same trace.
//!
//! Who drives several runtimes in one world is up in `crate::sim`.

mod cancel;
mod crash;
mod disk;
mod faults;
mod files;
mod handshake;
mod memory;
mod perform;
mod request;
mod ring;
mod rng;
pub(crate) mod socket;
mod state;
mod tcp;
mod trace;
mod udp;
pub(crate) mod world;

use std::io;
use std::rc::Rc;

use crate::buf::BufferPool;
use crate::kernel::sim::memory::Group;
use crate::kernel::sim::state::State;
use crate::kernel::{Cqe, Sqe, Wait};

pub(crate) use crate::kernel::sim::ring::RingId;
pub(crate) use crate::kernel::sim::state::HostId;
pub use faults::Faults;
pub(crate) use world::{Seat, World};

/// The kernel of one runtime.
#[derive(Debug)]
pub(crate) struct Sim {
    seat: Rc<Seat>,
}

impl Sim {
    pub(crate) fn new(seat: Seat) -> Self {
        Self { seat: Rc::new(seat) }
    }

    pub(crate) fn seat(&self) -> &Rc<Seat> {
        &self.seat
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.seat.world.with(act)
    }

    pub(crate) fn push(&mut self, sqe: &Sqe) -> bool {
        self.with(|state| state.push(self.seat.ring, &sqe.0))
    }

    pub(crate) fn staged(&mut self) -> usize {
        self.with(|state| state.rings[self.seat.ring].staged.len())
    }

    pub(crate) fn wants_entry(&mut self) -> bool {
        self.with(|state| {
            let ring = &state.rings[self.seat.ring];
            !ring.staged.is_empty() || !ring.completions.is_empty() || !ring.overflow.is_empty()
        })
    }

    /// Where runtimes take turns, a wait is only noted: the scheduler lets the others run, and time go by.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        let ring = self.seat.ring;
        let sleeps_until = self.with(|state| {
            let is_doomed = state.rings[ring].is_doomed;
            if !is_doomed && let Some(refusal) = state.refuses_entry(ring) {
                return refusal.map(|()| None);
            }
            state.reap();
            state.scribble(ring);
            state.submit(ring);
            state.flush_overflow(ring);
            let is_idle = state.rings[ring].completions.is_empty() && state.rings[ring].staged.is_empty() && !is_doomed;
            Ok(match wait {
                Wait::No => None,
                Wait::For(time) => Some(state.now.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))),
                Wait::Forever => Some(u64::MAX),
            }
            .filter(|_| is_idle))
        })?;
        let Some(until) = sleeps_until else { return Ok(()) };
        if self.seat.world.is_scheduled() {
            self.with(|state| state.rings[ring].sleeps_until = Some(until));
        } else {
            self.with(|state| state.wait(ring, until));
        }
        Ok(())
    }

    pub(crate) fn take_completions(&mut self, into: &mut Vec<Cqe>) {
        self.with(|state| into.extend(state.rings[self.seat.ring].completions.drain(..)));
    }

    pub(crate) fn has_overflowed(&mut self) -> bool {
        self.with(|state| !state.rings[self.seat.ring].overflow.is_empty())
    }

    pub(crate) fn register_buffers(&mut self, pool: &BufferPool) -> io::Result<()> {
        let group = Group::new(pool.ring_address(), pool.ring_entries());
        self.with(|state| state.rings[self.seat.ring].groups.insert(pool.group(), group));
        Ok(())
    }

    pub(crate) fn unregister_buffers(&mut self, group: u16) {
        self.with(|state| state.rings[self.seat.ring].groups.remove(&group));
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // The ring is closed: whatever it still has in flight, nothing writes to a program's memory any more.
        self.with(|state| state.close_ring(self.seat.ring));
    }
}

impl State {
    /// Whether an entry into the kernel achieves nothing this time: a signal comes, memory is short, or the queue is to be
    /// read first.
    fn refuses_entry(&mut self, ring: usize) -> Option<io::Result<()>> {
        if self.rings[ring].staged.is_empty() {
            return None;
        }
        match self.rng.below(256) {
            0 => Some(Ok(())),
            1 => Some(Err(io::Error::from_raw_os_error(libc::EAGAIN))),
            2 => Some(Err(io::Error::from_raw_os_error(libc::EBUSY))),
            _ => None,
        }
    }

    /// Lets time go by for one runtime alone, until it has an answer.
    fn wait(&mut self, ring: usize, until: u64) {
        while self.rings[ring].completions.is_empty() && self.now < until {
            match self.next_event().filter(|next| *next <= until) {
                Some(next) => self.set_time(next),
                None if until == u64::MAX => return,
                None => self.set_time(until),
            }
            self.catch_up();
        }
    }
}
