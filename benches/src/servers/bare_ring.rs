//! No runtime: one io_uring, as its best practice has it.
//!
//! One multishot accept; on each connection one multishot receive into a ring of provided buffers; sends of the very buffer
//! that was received, which end while they are submitted and post nothing where they succeed. One `io_uring_enter` sends,
//! waits and hears of what has arrived.
//!
//! # Safety
//!
//! This program never ends its ring, and its buffers are never freed: what the kernel was told of stays valid.
#![allow(unsafe_code, reason = "a ring without a runtime")]

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use crate::servers::listen;

/// A connection, by its descriptor.
#[derive(Default)]
struct Connection {
    /// What has been received and not been sent: a buffer, and the part of it. The first is being sent.
    queue: VecDeque<Part>,
    /// The peer has ended, or something failed: closed when the queue is empty.
    is_ended: bool,
}

#[derive(Clone, Copy)]
struct Part {
    buffer: u16,
    start: u32,
    end: u32,
}

struct Server {
    ring: IoUring,
    buffers: Buffers,
    connections: Vec<Connection>,
    /// Connections whose send was pushed since the last entry, and will be silent if it succeeds.
    silent: Vec<i32>,
    listener: i32,
}

pub(super) fn tcp() -> io::Result<()> {
    let listener = listen()?;
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun().setup_submit_all().setup_cqsize(16_384);
    let ring = builder.build(4_096)?;
    let buffers = Buffers::new(&ring)?;
    let mut server =
        Server { ring, buffers, connections: Vec::new(), silent: Vec::new(), listener: listener.as_raw_fd() };
    server.push(opcode::AcceptMulti::new(types::Fd(server.listener)).build().user_data(ACCEPT));
    let mut answers = Vec::new();
    loop {
        match server.ring.submit_and_wait(usize::from(!server.has_more_to_do())) {
            // A tool that looks at the process ends the wait.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => drop(result?),
        }
        answers.extend(server.ring.completion().map(|cqe| (cqe.user_data(), cqe.result(), cqe.flags())));
        let mut silent = std::mem::take(&mut server.silent);
        for (user_data, result, flags) in answers.drain(..) {
            let fd = user_data as u32 as i32;
            match user_data & !u64::from(u32::MAX) {
                ACCEPT => server.accepted(result, flags)?,
                RECEIVE => server.received(fd, result, flags),
                _ => {
                    silent.retain(|quiet| *quiet != fd);
                    server.sent(fd, result);
                }
            }
        }
        for fd in silent.drain(..) {
            let whole = server.connections[fd as usize].queue.front().map_or(0, |part| part.end - part.start);
            server.sent(fd, whole as i32);
        }
    }
}

impl Server {
    fn push(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: what an entry names is never freed.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            self.ring.submit().expect("the kernel takes entries");
        }
    }

    /// Whether something follows a silent send: no completion would tell that it is time.
    fn has_more_to_do(&self) -> bool {
        self.silent.iter().any(|fd| {
            let connection = &self.connections[*fd as usize];
            connection.is_ended || connection.queue.len() > 1
        })
    }

    fn accepted(&mut self, result: i32, flags: u32) -> io::Result<()> {
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        if !cqueue::more(flags) {
            self.push(opcode::AcceptMulti::new(types::Fd(self.listener)).build().user_data(ACCEPT));
        }
        let needed = result as usize + 1;
        if self.connections.len() < needed {
            self.connections.resize_with(needed, Connection::default);
        }
        self.receive(result);
        Ok(())
    }

    fn receive(&mut self, fd: i32) {
        let entry = opcode::RecvMulti::new(types::Fd(fd), GROUP).build();
        self.push(entry.user_data(RECEIVE | u64::from(fd as u32)));
    }

    fn received(&mut self, fd: i32, result: i32, flags: u32) {
        if let Some(buffer) = cqueue::buffer_select(flags) {
            if result > 0 {
                let queue = &mut self.connections[fd as usize].queue;
                queue.push_back(Part { buffer, start: 0, end: result as u32 });
                if queue.len() == 1 {
                    self.send(fd, true);
                }
            } else {
                self.buffers.give_back(buffer);
            }
        }
        match result {
            1.. if cqueue::more(flags) => {}
            1.. => self.receive(fd),
            _ if -result == libc::ENOBUFS => self.receive(fd),
            _ => {
                self.connections[fd as usize].is_ended = true;
                self.close_if_done(fd);
            }
        }
    }

    /// Sends the first part; `is_fresh`: nothing of it is out, so it probably fits.
    fn send(&mut self, fd: i32, is_fresh: bool) {
        let part = self.connections[fd as usize].queue[0];
        let bytes = self.buffers.at(part.buffer).wrapping_add(part.start as usize);
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | if is_fresh { libc::MSG_DONTWAIT } else { 0 };
        let entry = opcode::Send::new(types::Fd(fd), bytes, part.end - part.start).flags(flags).build();
        let entry = entry.user_data(SEND | u64::from(fd as u32));
        if is_fresh {
            self.silent.push(fd);
            self.push(entry.flags(squeue::Flags::SKIP_SUCCESS));
        } else {
            self.push(entry);
        }
    }

    fn sent(&mut self, fd: i32, result: i32) {
        let connection = &mut self.connections[fd as usize];
        let Some(part) = connection.queue.front_mut() else { return };
        match result {
            0.. => part.start += result as u32,
            _ if -result == libc::EAGAIN => {}
            _ => {
                part.start = part.end;
                connection.is_ended = true;
            }
        }
        if part.start < part.end {
            return self.send(fd, false);
        }
        let buffer = part.buffer;
        connection.queue.pop_front();
        let goes_on = !connection.queue.is_empty();
        self.buffers.give_back(buffer);
        if goes_on {
            self.send(fd, true);
        } else {
            self.close_if_done(fd);
        }
    }

    fn close_if_done(&mut self, fd: i32) {
        let connection = &mut self.connections[fd as usize];
        if connection.is_ended && connection.queue.is_empty() {
            connection.is_ended = false;
            let entry = opcode::Close::new(types::Fd(fd)).build().user_data(SEND | u64::from(u32::MAX));
            self.push(entry.flags(squeue::Flags::SKIP_SUCCESS));
        }
    }
}

/// The ring of provided buffers.
struct Buffers {
    entries: *mut types::BufRingEntry,
    memory: *mut u8,
    tail: u16,
}

impl Buffers {
    fn new(ring: &IoUring) -> io::Result<Self> {
        let layout = std::alloc::Layout::from_size_align(COUNT * 16, 4096).expect("a page-aligned ring");
        // SAFETY: the layout has a size.
        let entries = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<types::BufRingEntry>();
        let memory = Box::leak(vec![0_u8; COUNT * BYTES].into_boxed_slice()).as_mut_ptr();
        // SAFETY: the memory is never freed.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries as u64, COUNT as u16, GROUP, 0)? };
        let mut buffers = Self { entries, memory, tail: 0 };
        (0..COUNT as u16).for_each(|buffer| buffers.give_back(buffer));
        Ok(buffers)
    }

    fn at(&self, buffer: u16) -> *mut u8 {
        self.memory.wrapping_add(usize::from(buffer) * BYTES)
    }

    fn give_back(&mut self, buffer: u16) {
        let address = self.at(buffer) as u64;
        let entry = self.entries.wrapping_add(usize::from(self.tail) & (COUNT - 1));
        // SAFETY: one of the `COUNT` entries, a power of two; the kernel does not look at those from the tail on.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address);
        entry.set_len(BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the ring has a first entry.
        let tail = unsafe { types::BufRingEntry::tail(self.entries) }.cast::<AtomicU16>();
        // SAFETY: the tail is aligned, and lives for ever; the kernel reads it.
        let tail = unsafe { &*tail };
        tail.store(self.tail, Ordering::Release);
    }
}

const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;

const GROUP: u16 = 0;
const COUNT: usize = 4096;
const BYTES: usize = 8 << 10;
