//! One connection of the load: what it sends, what must come back, and where it stands.
//!
//! ```text
//! Connecting --writable--> Talking --last echo--> Ending --end of stream--> done
//! ```

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use super::EchoLoad;
use super::socket::{self, Interest};
use crate::rng::{self, Rng};

/// How often one connection may read and write before it is the others' turn. It will be reported as ready again.
const ROUNDS: usize = 16;

/// Room for one write and for one read with what it should have read, shared by the connections of a thread.
pub(super) struct Scratch {
    actual: Box<[u8]>,
    expected: Box<[u8]>,
}

/// One connection, from its first packet to its end.
pub(super) struct Connection {
    stream: TcpStream,
    /// Its number in the whole load, for errors.
    number: usize,
    state: State,
    /// Makes the sizes of the messages.
    sizes: Rng,
    /// The smallest and the largest size.
    bounds: (u64, u64),
    /// Makes the bytes of the stream, together with the offset.
    stream_seed: u64,
    /// Messages that have not begun.
    messages_left: u64,
    /// Messages that have begun and whose echo is not complete, in their order.
    under_way: VecDeque<Message>,
    /// How many of these there may be.
    under_way_allowed: usize,
    /// Offset in the stream at which the last message that has begun ends.
    message_end: u64,
    /// Bytes written; at most `message_end`.
    sent: u64,
    /// Bytes that came back; at most `sent`.
    received: u64,
    /// When something last moved.
    last_progress: Instant,
    /// Whether to read the clock for each message, and what it told.
    sample_latency: bool,
    latencies_ns: Vec<u64>,
}

/// A message under way.
struct Message {
    /// Offset in the stream at which it ends.
    end: u64,
    /// When it began, if the clock is read.
    begun: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The handshake is under way.
    Connecting,
    /// Messages go out and come back.
    Talking,
    /// All has come back and our side is shut down: nothing but the end may come.
    Ending,
    /// The end has come.
    Done,
}

impl Scratch {
    const BYTES: usize = 64 * 1024;

    pub(super) fn new() -> Scratch {
        Scratch { actual: vec![0; Self::BYTES].into(), expected: vec![0; Self::BYTES].into() }
    }
}

impl Connection {
    /// Begins the connection with this number of the load.
    pub(super) fn begin(load: &EchoLoad, number: usize) -> io::Result<Connection> {
        let stream = socket::begin_connect(load.address).map_err(|error| describe(error, number, 0))?;
        // Two numbers of one generator: the sizes must not follow from the bytes.
        let mut seeds = Rng::exact(load.seed ^ Rng::exact(number as u64).next_u64());
        Ok(Connection {
            stream,
            number,
            state: State::Connecting,
            sizes: Rng::exact(seeds.next_u64()),
            bounds: (load.min_bytes, load.max_bytes),
            stream_seed: seeds.next_u64(),
            messages_left: load.messages_per_connection,
            under_way: VecDeque::new(),
            under_way_allowed: load.under_way,
            message_end: 0,
            sent: 0,
            received: 0,
            last_progress: Instant::now(),
            sample_latency: load.sample_latency,
            latencies_ns: Vec::new(),
        })
    }

    /// Does what can be done without waiting. An error has the connection's number and offset in its text.
    pub(super) fn advance(&mut self, now: Instant, scratch: &mut Scratch) -> io::Result<()> {
        self.try_advance(now, scratch).map_err(|error| describe(error, self.number, self.received))
    }

    /// What it waits for now.
    pub(super) fn interest(&self) -> Interest {
        let writable = self.state == State::Connecting || self.sent < self.message_end;
        Interest { readable: self.state != State::Connecting, writable }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes that came back.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// What each message took, to be taken.
    pub(super) fn latencies_ns(&mut self) -> &mut Vec<u64> {
        &mut self.latencies_ns
    }

    pub(super) fn last_progress(&self) -> Instant {
        self.last_progress
    }

    /// The error of a connection on which nothing has moved for too long.
    pub(super) fn idle_error(&self) -> io::Error {
        let what = match self.state {
            State::Connecting => "the handshake does not end",
            State::Talking if self.sent > self.received => "what was sent does not come back",
            State::Talking => "the server takes nothing",
            State::Ending | State::Done => "the server does not close its side",
        };
        describe(io::Error::new(ErrorKind::TimedOut, what), self.number, self.received)
    }

    fn try_advance(&mut self, now: Instant, scratch: &mut Scratch) -> io::Result<()> {
        if self.state == State::Connecting {
            if !self.finish_handshake()? {
                return Ok(());
            }
            self.last_progress = now;
            self.stream.set_nodelay(true)?;
            self.begin_messages_or_end()?;
        }
        for _ in 0..ROUNDS {
            let wrote = self.write_some(scratch)?;
            let read = self.read_some(scratch)?;
            if wrote || read {
                self.last_progress = now;
            }
            // A read alone may make room for a write at the server; the next event tells.
            if self.state == State::Done || !read {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the handshake is over; an error if it failed.
    fn finish_handshake(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(peer) => {
                // A connect to one's own ephemeral port meets itself, and would echo all by itself.
                if self.stream.local_addr()? == peer {
                    return Err(io::Error::new(ErrorKind::ConnectionRefused, "connected to itself: nobody listens"));
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets out for the next messages, or shuts down our side after the last one.
    fn begin_messages_or_end(&mut self) -> io::Result<()> {
        let (min, max) = self.bounds;
        while self.messages_left > 0 && self.under_way.len() < self.under_way_allowed {
            self.messages_left -= 1;
            self.message_end += self.sizes.range(min..max + 1);
            self.under_way.push_back(Message { end: self.message_end, begun: self.sample_latency.then(Instant::now) });
        }
        if self.under_way.is_empty() {
            self.state = State::Ending;
            return self.stream.shutdown(Shutdown::Write);
        }
        self.state = State::Talking;
        Ok(())
    }

    /// Writes until the socket is full or the message at its end. Whether anything was written.
    fn write_some(&mut self, scratch: &mut Scratch) -> io::Result<bool> {
        let before = self.sent;
        while self.sent < self.message_end {
            let bytes = &mut scratch.actual[..piece(self.message_end - self.sent)];
            rng::stream_bytes(self.stream_seed, self.sent, bytes);
            match self.stream.write(bytes) {
                Ok(count) => self.sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.sent > before)
    }

    /// Reads once and compares. Whether anything was read, the end included.
    fn read_some(&mut self, scratch: &mut Scratch) -> io::Result<bool> {
        let count = loop {
            match self.stream.read(&mut scratch.actual) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        if count == 0 {
            return self.end_of_stream();
        }
        self.compare(&scratch.actual[..count], &mut scratch.expected[..count])?;
        self.received += count as u64;
        if self.finish_messages() {
            self.begin_messages_or_end()?;
        }
        Ok(true)
    }

    /// Takes leave of the messages whose echo is complete. Whether there was one.
    fn finish_messages(&mut self) -> bool {
        let before = self.under_way.len();
        while self.under_way.front().is_some_and(|message| message.end <= self.received) {
            let message = self.under_way.pop_front().expect("there is a first one");
            self.latencies_ns.extend(message.begun.map(|begun| begun.elapsed().as_nanos() as u64));
        }
        self.under_way.len() < before
    }

    fn end_of_stream(&mut self) -> io::Result<bool> {
        if self.state != State::Ending {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server has closed the connection early"));
        }
        self.state = State::Done;
        Ok(true)
    }

    /// Compares what came with what was sent at this offset; leaves `received` at the first byte that is wrong.
    fn compare(&mut self, actual: &[u8], expected: &mut [u8]) -> io::Result<()> {
        rng::stream_bytes(self.stream_seed, self.received, expected);
        // More than was sent cannot be an echo, whatever it looks like.
        let sent = (self.sent - self.received).min(actual.len() as u64) as usize;
        if actual[..sent] != expected[..sent] {
            let wrong = actual.iter().zip(&*expected).position(|(actual, expected)| actual != expected).unwrap_or(0);
            self.received += wrong as u64;
            let what = format!("sent {:#04x}, got {:#04x}", expected[wrong], actual[wrong]);
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        if sent < actual.len() {
            self.received += sent as u64;
            return Err(io::Error::new(ErrorKind::InvalidData, "got bytes that were not sent"));
        }
        Ok(())
    }
}

/// What of so many bytes fits into the scratch.
fn piece(bytes: u64) -> usize {
    bytes.min(Scratch::BYTES as u64) as usize
}

fn describe(error: io::Error, number: usize, offset: u64) -> io::Error {
    io::Error::new(error.kind(), format!("connection {number}, offset {offset}: {error}"))
}
