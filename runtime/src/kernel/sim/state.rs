//! The state of a world, and what happens in it by itself: the events, in the order of their time.
//!
//! Nothing of anybody else's runs while the state is borrowed: it only moves bytes and posts completions.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use crate::kernel::sim::disk::Disk;
use crate::kernel::sim::faults::Faults;
use crate::kernel::sim::files::{File, FileId};
use crate::kernel::sim::ring::{Notification, Ring, RingId};
use crate::kernel::sim::rng::Rng;
use crate::kernel::sim::tcp::{End, EndId};
use crate::kernel::sim::trace::Trace;
use crate::kernel::sim::udp::Datagram;
use crate::sys::placeholder::Watch;

/// Names a simulated machine: its place among them.
pub(crate) type HostId = usize;

pub(crate) struct State {
    pub(super) rng: Rng,
    /// The time, in nanoseconds of [`Instant`](crate::timer::Instant).
    pub(super) now: u64,
    /// How many turns runtimes have had since time last went by.
    pub(super) turns: u32,
    /// What is going to happen, by its time and the order in which it was planned.
    events: BTreeMap<(u64, u64), Event>,
    /// The next name of a file, an end, an operation, an event: none is used twice.
    next_name: u64,
    pub(super) trace: Trace,
    pub(super) faults: Faults,
    /// A promise that the program has broken; told once nothing is borrowed.
    pub(super) violation: Option<&'static str>,
    pub(super) hosts: Vec<Host>,
    pub(super) rings: Vec<Ring>,
    pub(super) files: BTreeMap<FileId, File>,
    /// The file behind each placeholder, by the number of the placeholder's own file. Never walked.
    pub(super) placeholders: BTreeMap<u64, FileId>,
    pub(super) watch: Watch,
    pub(super) ends: BTreeMap<EndId, End>,
    /// Pairs of addresses that do not reach each other.
    pub(super) partitions: BTreeSet<(IpAddr, IpAddr)>,
}

/// A simulated machine.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) ip: IpAddr,
    /// It has crashed, and not been restarted.
    pub(super) is_down: bool,
    /// Which of the numbers of its descriptors are taken: the lowest free one comes next.
    pub(super) numbers: BTreeSet<u64>,
    /// Where the search for a free port begins.
    pub(super) next_port: u16,
    pub(super) disk: Disk,
}

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    /// An operation has another try.
    Attempt { ring: RingId, name: u64 },
    /// The first segment that an end has sent arrives.
    Arrive { end: EndId },
    /// A connection is asked for, for the n-th time.
    Knock { file: FileId, attempt: u32 },
    /// The answer to that: the end of a connection, or an errno.
    Answer { file: FileId, answer: Result<EndId, i32>, attempt: u32 },
    /// A reset arrives.
    Reset { end: EndId, from: IpAddr },
    /// A datagram arrives.
    Datagram(Datagram),
    /// A datagram found nobody: its sender hears of it.
    Unreachable { file: FileId },
    /// A zero-copy send gives its buffer back.
    Notify(Notification),
}

impl State {
    pub(super) fn new(seed: u64) -> io::Result<Self> {
        Ok(Self {
            rng: Rng::new(seed),
            now: START,
            turns: 0,
            events: BTreeMap::new(),
            next_name: 1,
            trace: Trace::new(seed),
            faults: Faults::new(),
            violation: None,
            hosts: Vec::new(),
            rings: Vec::new(),
            files: BTreeMap::new(),
            placeholders: BTreeMap::new(),
            watch: Watch::new()?,
            ends: BTreeMap::new(),
            partitions: BTreeSet::new(),
        })
    }

    /// A name that nothing else in this world has, or had.
    pub(super) fn name(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }

    /// Has something happen in so many nanoseconds.
    pub(super) fn after(&mut self, nanos: u64, event: Event) {
        self.at(self.now.saturating_add(nanos), event);
    }

    /// Has something happen then.
    pub(super) fn at(&mut self, time: u64, event: Event) {
        let order = self.name();
        self.events.insert((time.max(self.now), order), event);
    }

    /// When something happens next.
    pub(super) fn next_event(&self) -> Option<u64> {
        self.events.keys().next().map(|(time, _)| *time)
    }

    /// Takes back what was planned.
    pub(super) fn withdraw(&mut self, is_meant: impl Fn(&Event) -> bool) -> Vec<Event> {
        let meant: Vec<(u64, u64)> =
            self.events.iter().filter(|(_, event)| is_meant(event)).map(|(place, _)| *place).collect();
        meant.iter().filter_map(|place| self.events.remove(place)).collect()
    }

    /// Lets everything happen that is due.
    pub(super) fn catch_up(&mut self) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= self.now
        {
            let event = entry.remove();
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Attempt { ring, name } => self.attempt_again(ring, name),
            Event::Arrive { end } => self.arrive(end),
            Event::Knock { file, attempt } => self.knock(file, attempt),
            Event::Answer { file, answer, attempt } => self.answer(file, answer, attempt),
            Event::Reset { end, from } => self.be_reset(end, from),
            Event::Datagram(datagram) => self.datagram_arrives(datagram),
            Event::Unreachable { file } => self.datagram_refused(file),
            Event::Notify(notification) => self.notify(&notification),
        }
    }

    pub(super) fn note(&mut self, host: HostId, what: &'static str, of: u64, value: i64) {
        self.trace.note(self.now - START, host, what, of, value);
    }

    /// A new machine.
    pub(super) fn add_host(&mut self, name: &str) -> HostId {
        let number = self.hosts.len() + 1;
        let ip = IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
        let next_port = FIRST_PORT + self.rng.below(u64::from(LAST_PORT - FIRST_PORT)) as u16;
        let (numbers, disk) = (BTreeSet::new(), Disk::default());
        self.hosts.push(Host { name: name.to_owned(), ip, is_down: false, numbers, next_port, disk });
        self.hosts.len() - 1
    }

    /// The machine that an address belongs to, as seen from a machine.
    pub(super) fn host_of(&self, from: HostId, ip: IpAddr) -> Option<HostId> {
        let ip = ip.to_canonical();
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        self.hosts.iter().position(|host| host.ip == ip)
    }

    /// The address of a machine by its name.
    pub(crate) fn resolve(&self, name: &str) -> Option<IpAddr> {
        if name == "localhost" {
            return Some(IpAddr::from([127, 0, 0, 1]));
        }
        self.hosts.iter().find(|host| host.name == name).map(|host| host.ip)
    }

    /// Whether what one machine sends reaches the other one now.
    pub(super) fn reaches(&self, from: HostId, to: HostId) -> bool {
        let (from_ip, to_ip) = (self.hosts[from].ip, self.hosts[to].ip);
        !self.hosts[to].is_down && !self.partitions.contains(&(from_ip.min(to_ip), from_ip.max(to_ip)))
    }

    /// How long it takes from one machine to another, this time.
    pub(super) fn latency(&mut self, from: HostId, to: HostId) -> u64 {
        let own = if from == to { self.rng.below(20_000) } else { 50_000 + self.rng.below(450_000) };
        let range = self.faults.latency.clone();
        own + if range.is_empty() { 0 } else { self.rng.nanos_in(&range) }
    }

    /// How much of what could be done is done: any kernel may do less, and faults have it do so more often. What is small is
    /// cut by faults only, as real kernels hardly ever do it.
    pub(super) fn cut(&mut self, count: usize, once_in: u64) -> usize {
        let short_io = self.faults.short_io;
        let is_cut = (count > SMALL && self.rng.once_in(once_in)) || self.rng.with_probability(short_io);
        if is_cut && count > 1 { self.rng.count(count) } else { count }
    }
}

/// The time at which a world begins: far enough from both ends of what an instant can tell.
pub(super) const START: u64 = 1 << 62;
/// What is no longer than this is small.
pub(super) const SMALL: usize = 512;
/// The ports that are given out.
pub(super) const FIRST_PORT: u16 = 49_152;
pub(super) const LAST_PORT: u16 = u16::MAX;
