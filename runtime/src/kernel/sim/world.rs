//! A world, the seat of a runtime in it, and which of them is current on a thread.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};

use crate::kernel::sim::faults::Faults;
use crate::kernel::sim::files::FileId;
use crate::kernel::sim::ring::RingId;
use crate::kernel::sim::state::{HostId, State};
use crate::timer::made_up;

/// Machines, a network between them, disks, and a clock. It lives on one thread.
pub(crate) struct World {
    pub(crate) seed: u64,
    state: RefCell<State>,
    /// Runtimes take turns: one that sleeps goes back to the scheduler, which lets time go by.
    is_scheduled: Cell<bool>,
}

/// The place of a runtime: its machine, and its ring.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) world: Rc<World>,
    pub(crate) host: HostId,
    pub(crate) ring: RingId,
}

impl World {
    /// A world without machines.
    ///
    /// # Errors
    ///
    /// Where the process is short of descriptors.
    pub(crate) fn new(seed: u64) -> io::Result<Rc<Self>> {
        let state = RefCell::new(State::new(seed)?);
        let world = Rc::new(Self { seed, state, is_scheduled: Cell::new(false) });
        LOCAL.with_borrow_mut(|local| {
            local.worlds.retain(|world| world.strong_count() > 0);
            local.worlds.push(Rc::downgrade(&world));
        });
        COUNT.set(COUNT.get() + 1);
        Ok(world)
    }

    /// Lends out the state. Nothing of anybody else's runs meanwhile.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.borrow_mut())
    }

    /// Looks for the world that a descriptor belongs to. One load where this thread has none.
    pub(crate) fn of<T>(fd: RawFd, act: impl FnOnce(&mut State, FileId) -> T) -> Option<T> {
        if COUNT.get() == 0 {
            return None;
        }
        let worlds = LOCAL.try_with(|local| local.borrow().worlds.clone()).ok()?;
        let find = |world: Weak<Self>| {
            let world = world.upgrade()?;
            let file = world.with(|state| state.file_of(fd))?;
            Some((world, file))
        };
        let (world, file) = worlds.into_iter().find_map(find)?;
        Some(world.with(|state| act(state, file)))
    }

    pub(crate) fn add_host(&self, name: &str) -> HostId {
        self.with(|state| state.add_host(name))
    }

    /// A seat for a runtime on a machine.
    pub(crate) fn seat(self: &Rc<Self>, host: HostId, entries: u32, completion_entries: Option<u32>) -> Seat {
        let completions = completion_entries.unwrap_or(entries.saturating_mul(4));
        let ring = self.with(|state| state.add_ring(host, entries, completions));
        Seat { world: Rc::clone(self), host, ring }
    }

    pub(crate) fn now(&self) -> u64 {
        self.with(|state| state.now)
    }

    pub(crate) fn is_scheduled(&self) -> bool {
        self.is_scheduled.get()
    }

    pub(crate) fn set_scheduled(&self, is_scheduled: bool) -> bool {
        self.is_scheduled.replace(is_scheduled)
    }

    /// Any number.
    pub(crate) fn draw(&self) -> u64 {
        self.with(|state| state.rng.next())
    }

    /// A number below `count`, which is not 0.
    pub(crate) fn choose(&self, count: usize) -> usize {
        self.with(|state| state.rng.index(count))
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.with(|state| state.trace.hash())
    }

    pub(crate) fn ip(&self, host: HostId) -> IpAddr {
        self.with(|state| state.hosts[host].ip)
    }

    pub(crate) fn has_host(&self, name: &str) -> bool {
        self.with(|state| state.hosts.iter().any(|host| host.name == name))
    }

    pub(crate) fn set_faults(&self, faults: &Faults) {
        self.with(|state| state.faults = faults.clone());
    }

    pub(crate) fn partition(&self, one: IpAddr, other: IpAddr) {
        let (one, other) = (one.to_canonical(), other.to_canonical());
        self.with(|state| state.partitions.insert((one.min(other), one.max(other))));
    }

    pub(crate) fn heal(&self) {
        self.with(|state| {
            state.partitions.clear();
            state.faults = Faults::new();
        });
    }

    pub(crate) fn open_files(&self, host: HostId) -> usize {
        self.with(|state| {
            state.reap();
            state.open_files(host)
        })
    }

    /// The power of a machine fails. Its runtime is dropped by the caller.
    pub(crate) fn crash(&self, host: HostId) {
        self.with(|state| state.crash(host));
    }

    pub(crate) fn power_on(&self, host: HostId) {
        self.with(|state| state.hosts[host].is_down = false);
    }

    /// A runtime has had a turn. Work takes no time, unless it goes on and on: who waits for a time without sleeping is to
    /// see it come.
    pub(crate) fn end_turn(&self) {
        self.with(|state| {
            state.turns += 1;
            if state.turns > TIMELESS_TURNS {
                let spent = 1 + state.rng.below(1_000);
                state.set_time(state.now + spent);
            }
            state.catch_up();
        });
    }

    /// A promise that the program has broken, if it has.
    pub(crate) fn violation(&self) -> Option<&'static str> {
        self.with(|state| state.violation.take())
    }

    /// Whether a runtime has something to do, apart from its tasks.
    pub(crate) fn is_awake(&self, ring: RingId) -> bool {
        self.with(|state| {
            let ring = &state.rings[ring];
            let has_answers = !ring.completions.is_empty() || !ring.overflow.is_empty();
            has_answers || !ring.staged.is_empty() || ring.sleeps_until.is_none_or(|until| until <= state.now)
        })
    }

    pub(crate) fn wake_up(&self, ring: RingId) {
        self.with(|state| state.rings[ring].sleeps_until = None);
    }

    /// Lets time go by until something happens, or one of these rings wants to be woken. `false` where nothing ever will.
    pub(crate) fn advance(&self, rings: &[RingId]) -> bool {
        self.with(|state| {
            let alarms = rings.iter().filter_map(|ring| state.rings[*ring].sleeps_until);
            let next = alarms.filter(|until| *until != u64::MAX).chain(state.next_event()).min();
            let Some(next) = next else { return false };
            state.turns = 0;
            state.set_time(next);
            state.catch_up();
            true
        })
    }
}

/// Turns in a row that take no time.
const TIMELESS_TURNS: u32 = 64;

impl Drop for World {
    fn drop(&mut self) {
        // While the thread's locals are destroyed, nobody looks any more.
        COUNT.set(COUNT.get() - 1);
    }
}

impl State {
    /// The clock goes on, for everybody on this thread.
    pub(super) fn set_time(&mut self, nanos: u64) {
        self.now = self.now.max(nanos);
        made_up::advance(self.now);
    }
}

/// While it lives, a runtime is the current one of the thread; see [`enter`].
pub(crate) struct Seated {
    before: Option<Rc<Seat>>,
}

/// Takes the seat of a runtime that is entered: its clock is the thread's from now on. None for one that is not simulated.
pub(crate) fn enter(seat: Option<Rc<Seat>>) -> Seated {
    Seated { before: sit(seat) }
}

impl Drop for Seated {
    fn drop(&mut self) {
        sit(self.before.take());
    }
}

fn sit(seat: Option<Rc<Seat>>) -> Option<Rc<Seat>> {
    // Most threads never have one.
    if COUNT.get() == 0 && seat.is_none() {
        return None;
    }
    made_up::set(seat.as_ref().map(|seat| seat.world.now()));
    LOCAL.try_with(|local| std::mem::replace(&mut local.borrow_mut().seat, seat)).ok().flatten()
}

/// The seat of the runtime that is current on this thread, if it is simulated.
pub(crate) fn current() -> Option<Rc<Seat>> {
    if COUNT.get() == 0 {
        return None;
    }
    LOCAL.try_with(|local| local.borrow().seat.clone()).ok().flatten()
}

thread_local! {
    /// How many worlds live on this thread. Without a destructor, and cheap to look at.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LOCAL: RefCell<Local> = const { RefCell::new(Local { worlds: Vec::new(), seat: None }) };
}

struct Local {
    worlds: Vec<Weak<World>>,
    seat: Option<Rc<Seat>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("seed", &self.world.seed).field("host", &self.host).finish_non_exhaustive()
    }
}
