//! A receive of messages that goes on: one submission, a completion for each message, in buffers that the kernel picks.
//!
//! What arrives belongs to the socket, not to a future: the op hands it to a [`MessageSink`], the socket's queue.
#![allow(unsafe_code, reason = "ops answer for the memory that they name, and own what the kernel makes")]

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{opcode, types};

use crate::buf::BufferPool;
use crate::fd::SharedFd;
use crate::op::description::Sink;
use crate::op::{Completion, Description, Driver, MessageSink, Op, Rearm, RecvEnd, Step, Traffic};

/// A multishot receive of messages (`IORING_OP_RECVMSG` with `IORING_RECV_MULTISHOT`).
///
/// Ends by itself for many reasons, among them an empty datagram, which its sink learns; dropping its future cancels it.
pub struct RecvMsgMulti {
    fd: SharedFd,
    /// One of those of the driver whose kernel has the entry.
    pool: Option<BufferPool>,
    /// Whether that is to be the one of large buffers.
    is_large: bool,
    traffic: Traffic,
    /// Says how much room there is to be beside the bytes; read by the kernel when the entry is submitted.
    header: libc::msghdr,
    sink: Rc<dyn MessageSink>,
}

impl RecvMsgMulti {
    /// Receives from a socket into buffers of its driver's pool, which must have [room](Traffic::room_in).
    pub fn new(fd: SharedFd, traffic: Traffic, sink: Rc<dyn MessageSink>) -> Self {
        Self { fd, pool: None, is_large: false, traffic, header: traffic.header(), sink }
    }

    /// As [`new`](Self::new), but into [large buffers](Driver::large_pool), where the driver has them.
    pub fn in_large_buffers(fd: SharedFd, traffic: Traffic, sink: Rc<dyn MessageSink>) -> Self {
        Self { is_large: true, ..Self::new(fd, traffic, sink) }
    }

    fn entry(&self) -> Step {
        let group = self.pool.as_ref().map_or(0, BufferPool::group);
        let fd = types::Fd(self.fd.as_raw_fd());
        let entry = opcode::RecvMsgMulti::new(fd, &raw const self.header, group);
        Step::Submit(entry.flags(libc::MSG_CMSG_CLOEXEC as u32).build().into())
    }
}

// SAFETY: the entry names `header`, which lives in the op and names nothing, and the pool, which outlives the ring or is
// leaked with it (I6).
unsafe impl Op for RecvMsgMulti {
    type Output = io::Result<()>;

    const NAME: &'static str = "recvmsg (multishot)";
    const STOPPABLE: bool = false;

    unsafe fn prepare(&mut self, driver: &Driver) -> Step {
        match driver.pool_for(self.is_large) {
            Ok(pool) => {
                self.pool = Some(pool.clone());
                self.entry()
            }
            Err(error) => Step::Done(Completion::made_up(-error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        let mut end = RecvEnd::of(completion);
        if let (Some(id), Some(pool)) = (completion.buffer_id(), &self.pool) {
            let bytes = pool.take(id, completion.result().max(0) as u32);
            // SAFETY: once for this completion.
            if let Some(message) = unsafe { self.traffic.read(bytes) } {
                if self.traffic == Traffic::UnixStream && message.bytes.is_empty() && !completion.more() {
                    end = RecvEnd::EndOfStream;
                } else {
                    self.sink.received(message);
                }
            }
        }
        if completion.more() {
            return Step::Pending;
        }
        match Rc::clone(&self.sink).ended(end) {
            Rearm::Yes => self.entry(),
            Rearm::No => Step::Done(completion),
        }
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn describe(&self) -> Description {
        Description::of(Some(&self.fd)).serving(Sink::Message(Rc::clone(&self.sink)))
    }
}

impl fmt::Debug for RecvMsgMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMsgMulti").field("fd", &self.fd).field("traffic", &self.traffic).finish_non_exhaustive()
    }
}
