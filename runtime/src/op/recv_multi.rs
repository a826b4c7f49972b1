//! A receive that goes on: one submission, a completion for each arrival, the bytes in buffers that the kernel picks.
//!
//! What arrives belongs to the socket, not to a future: the op hands it to a [`RecvSink`], the socket's queue.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{opcode, types};

use crate::buf::{BufferPool, RecvBuf};
use crate::fd::SharedFd;
use crate::op::description::Sink;
use crate::op::{Completion, Description, Driver, Op, Step};
use crate::waiters::Waiters;

/// Where a socket's received bytes go.
///
/// The methods are called by the driver between two polls of tasks. They may submit operations and wake tasks.
pub trait RecvSink: 'static {
    /// Bytes have arrived.
    fn received(&self, bytes: RecvBuf);

    /// The receive has ended; the answer says whether to arm it again at once. One that was cancelled cannot be.
    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm;

    /// Those that wait for what arrives here, for a [dump](crate::dump()): an operation that serves them stands for what they
    /// wait for. Called by nobody else, with nothing borrowed.
    fn waiters(&self) -> Option<&Waiters> {
        None
    }
}

/// Why a receive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvEnd {
    /// The peer has shut down its sending side.
    EndOfStream,
    /// The socket failed, with this errno.
    Failed(i32),
    /// The pool was empty. Nothing is lost: the bytes wait in the socket.
    NoBuffers,
    /// It was cancelled.
    Cancelled,
    /// No reason that concerns anybody: multishot ends when the completion queue runs over, and a single receive
    /// after its bytes.
    Once,
}

/// Whether an operation that has ended is to be armed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearm {
    /// Arm it again.
    Yes,
    /// Leave it.
    No,
}

impl RecvEnd {
    /// What a completion that ends a receive says.
    pub(crate) fn of(completion: Completion) -> Self {
        match -completion.result() {
            0 => Self::EndOfStream,
            ..0 => Self::Once,
            libc::ENOBUFS => Self::NoBuffers,
            libc::ECANCELED => Self::Cancelled,
            // The kernel says "not now" for reasons of its own.
            libc::EINTR | libc::EAGAIN => Self::Once,
            errno => Self::Failed(errno),
        }
    }
}

/// A multishot receive (`IORING_OP_RECV` with `IORING_RECV_MULTISHOT`).
///
/// Ends by itself for many reasons, which its sink learns; dropping its future cancels it.
pub struct RecvMulti {
    fd: SharedFd,
    /// One of those of the driver whose kernel has the entry.
    pool: Option<BufferPool>,
    /// Whether that is to be the one of large buffers.
    is_large: bool,
    sink: Rc<dyn RecvSink>,
}

impl RecvMulti {
    /// Receives from a socket into buffers of its driver's pool.
    pub fn new(fd: SharedFd, sink: Rc<dyn RecvSink>) -> Self {
        Self { fd, pool: None, is_large: false, sink }
    }

    /// Receives from a socket into [large buffers](Driver::large_pool), where its driver has them.
    pub fn in_large_buffers(fd: SharedFd, sink: Rc<dyn RecvSink>) -> Self {
        Self { fd, pool: None, is_large: true, sink }
    }

    fn entry(&self) -> Step {
        let group = self.pool.as_ref().map_or(0, BufferPool::group);
        Step::Submit(opcode::RecvMulti::new(types::Fd(self.fd.as_raw_fd()), group).build().into())
    }
}

// SAFETY: the entry names no memory but that of the pool, which outlives the ring or is leaked with it (I6).
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for RecvMulti {
    type Output = io::Result<()>;

    const NAME: &'static str = "recv (multishot)";
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
        if let (Some(id), Some(pool)) = (completion.buffer_id(), &self.pool) {
            let bytes = pool.take(id, completion.result().max(0) as u32);
            if !bytes.is_empty() {
                self.sink.received(bytes);
            }
        }
        if completion.more() {
            return Step::Pending;
        }
        match Rc::clone(&self.sink).ended(RecvEnd::of(completion)) {
            Rearm::Yes => self.entry(),
            Rearm::No => Step::Done(completion),
        }
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn describe(&self) -> Description {
        Description::of(Some(&self.fd)).serving(Sink::Recv(Rc::clone(&self.sink)))
    }
}

impl std::fmt::Debug for RecvMulti {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvMulti").field("fd", &self.fd).finish_non_exhaustive()
    }
}
