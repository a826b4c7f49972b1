//! The loop of one thread: it opens its share of the connections, moves those that are ready, and watches the time.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::connection::{Connection, Scratch};
use super::socket::{Epoll, Interest};
use super::{EchoLoad, EchoReport};

/// Handshakes under way at once, over all threads: fewer than many a server's backlog would drop, and enough to hide
/// the way.
const HANDSHAKES: usize = 256;

/// How long a worker waits at most before it looks at the time and at whether another one has failed.
const TICK: Duration = Duration::from_millis(100);

/// One thread's share of a load: every connection whose number is `index` modulo the number of threads.
pub(super) struct Worker<'a> {
    load: &'a EchoLoad,
    /// The number of the next connection to open; at least `load.connections` if there is none.
    next_number: usize,
    /// Handshakes that this thread may have under way.
    handshakes_allowed: usize,
    /// Connections that this thread may have open.
    open_allowed: usize,
    epoll: Epoll,
    /// All connections that were opened, with what epoll waits for; `None` once they are done.
    connections: Vec<Option<(Connection, Interest)>>,
    /// How many of them are in the handshake.
    handshakes: usize,
    /// How many of them are not done.
    open: usize,
    scratch: Scratch,
    report: EchoReport,
}

impl<'a> Worker<'a> {
    pub(super) fn new(load: &'a EchoLoad, index: usize) -> io::Result<Worker<'a>> {
        Ok(Worker {
            load,
            next_number: index,
            handshakes_allowed: (HANDSHAKES / load.threads).max(1),
            open_allowed: (load.open_at_once / load.threads).max(1),
            epoll: Epoll::new()?,
            connections: Vec::new(),
            handshakes: 0,
            open: 0,
            scratch: Scratch::new(),
            report: EchoReport::default(),
        })
    }

    /// Runs until all connections are done, the first error, or `stop`.
    pub(super) fn run(mut self, stop: &AtomicBool) -> io::Result<EchoReport> {
        let mut ready = Vec::new();
        let mut idle_checked = Instant::now();
        loop {
            self.open_more()?;
            if self.open == 0 || stop.load(Ordering::Relaxed) {
                return Ok(self.report);
            }
            self.epoll.wait(TICK.min(self.load.idle_timeout), &mut ready)?;
            let now = Instant::now();
            for &index in &ready {
                self.advance(index, now)?;
            }
            // A look at all connections, so not at each turn.
            if now - idle_checked >= TICK.min(self.load.idle_timeout) {
                idle_checked = now;
                self.check_idle(now)?;
            }
        }
    }

    /// Opens connections as long as there are some to open, few enough open, and few enough in the handshake.
    fn open_more(&mut self) -> io::Result<()> {
        while self.next_number < self.load.connections
            && self.open < self.open_allowed
            && self.handshakes < self.handshakes_allowed
        {
            let connection = Connection::begin(self.load, self.next_number)?;
            let interest = connection.interest();
            self.epoll.add(connection.fd(), self.connections.len(), interest)?;
            self.connections.push(Some((connection, interest)));
            self.next_number += self.load.threads;
            self.handshakes += 1;
            self.open += 1;
        }
        Ok(())
    }

    /// Moves one connection, and tells epoll if it now waits for something else.
    fn advance(&mut self, index: usize, now: Instant) -> io::Result<()> {
        let Some((connection, interest)) = &mut self.connections[index] else {
            return Ok(());
        };
        let was_connecting = connection.is_connecting();
        connection.advance(now, &mut self.scratch)?;
        if was_connecting && !connection.is_connecting() {
            self.handshakes -= 1;
        }
        if connection.is_done() {
            self.report.connections += 1;
            self.report.messages += self.load.messages_per_connection;
            self.report.bytes += connection.received();
            self.report.latencies_ns.append(connection.latencies_ns());
            self.open -= 1;
            // Closing it takes it out of epoll.
            self.connections[index] = None;
        } else if connection.interest() != *interest {
            *interest = connection.interest();
            self.epoll.modify(connection.fd(), index, *interest)?;
        }
        Ok(())
    }

    /// Fails if nothing has moved on some connection for too long.
    fn check_idle(&self, now: Instant) -> io::Result<()> {
        let open = self.connections.iter().flatten().map(|(connection, _)| connection);
        let mut idle = open.filter(|connection| now - connection.last_progress() >= self.load.idle_timeout);
        idle.next().map_or(Ok(()), |connection| Err(connection.idle_error()))
    }
}
