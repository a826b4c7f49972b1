//! The receiving side of a stream: a queue that the kernel's completions feed, and that readers take from.
//!
//! One receive is in flight at a time, and it belongs to the stream: a multishot receive into buffers that the kernel picks.
//! Readers never lend the kernel anything, so a reader that is dropped or forgotten swallows nothing, and `recv`, `read` and
//! `read_exact` may be mixed freely.
//!
//! ```text
//!             arm                      received
//!   unarmed ───────► armed ◄──────────────┐
//!      ▲               │ completion ──────┘
//!      │               │ ended: end of stream, error      -> told to every reader from now on
//!      └───────────────┤ ended: no buffers                -> the pool grows; else a single receive of its own memory
//!                      │ ended: cancelled (queue full)    -> armed again when readers have made room
//!                      │ ended: cancelled (other buffers  -> armed again at once
//!                      │                   suit better)
//! ```

mod arrived;
mod descriptors;
mod reading;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use quoit_runtime::buf::RecvBuf;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{GONE, MessageSink, Rearm, RecvEnd, RecvSink, Traffic};

use crate::in_place::cancel_in_place;
use crate::stream::appetite::Appetite;
use crate::stream::armed::Armed;
use crate::stream::queue::Queue;
use crate::stream::receiving::arrived::Assembled;
use crate::stream::rights::Rights;
use crate::waiters::{Place, Waiters};

/// The receiving side of one stream.
#[derive(Default)]
pub(crate) struct Receiving {
    /// Bytes that a `read_exact` waits to have together; they come before those of the queue.
    assembled: RefCell<Assembled>,
    /// What has arrived, in order. Bounded by [`MOST_QUEUED`], [`MOST_BYTES_QUEUED`] and what arrives until a cancel takes effect.
    queue: RefCell<Queue>,
    /// The descriptors that came with the bytes, where the stream takes them: few do, so the others have no room for them.
    rights: Option<Box<Rights>>,
    /// Somebody asks for descriptors: from now on no more is received at once than a reader has asked for, so that descriptors
    /// come with the bytes that they were sent with.
    is_exact: Cell<bool>,
    /// What comes after the queue.
    end: Cell<End>,
    /// The receive that is in flight. Put here before its first completion can be, taken when it has ended.
    armed: RefCell<Option<Armed>>,
    /// Which buffers the receive that is armed next gets; and the one in flight has, unless it was asked to stop.
    appetite: Cell<Appetite>,
    /// So many bytes fill a common buffer; 0 until that is known.
    common_bytes: Cell<usize>,
    /// The receive in flight was asked to stop.
    is_stopping: Cell<bool>,
    /// No receive is to be armed now.
    is_held: Cell<bool>,
    /// No reader will come any more.
    is_closed: Cell<bool>,
    waiters: Waiters,
}

/// What comes after the bytes that have arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// More bytes may.
    #[default]
    Open,
    /// The peer has shut down its sending side.
    Stream,
    /// The socket failed with this errno. Once told, it stays told.
    Failed(i32),
}

/// A stream, as its receiving side needs it.
pub(crate) trait Receiver: RecvSink + MessageSink {
    fn fd(&self) -> &SharedFd;
    fn receiving(&self) -> &Receiving;

    /// Whether what looks like the end of the stream is a reset.
    fn is_reset(&self) -> bool;
}

impl Receiving {
    /// Those that wait here.
    pub(crate) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// A place for a future that is to wait here.
    #[inline]
    pub(crate) fn place(&self) -> Place<'_> {
        self.waiters.place()
    }

    /// Ends the receive that is in flight, as far as it takes no waiting. Whether nothing is left of it, neither an
    /// operation nor bytes that nobody has read. It is armed again by whoever reads next.
    pub(crate) fn quiesce(&self, fd: &SharedFd) -> bool {
        if let (true, Some(driver)) = (self.is_armed(), fd.bound_driver()) {
            self.is_held.set(true);
            self.is_stopping.set(true);
            self.cancel();
            driver.hurry();
            self.is_held.set(false);
        }
        !self.is_armed() && !self.has_bytes()
    }

    /// Whether the socket is known to have failed.
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.end.get(), End::Failed(_))
    }

    /// The last handle of the stream is gone: what is in flight is cancelled, what has arrived is dropped.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        let (armed, queue) = (self.armed.take(), self.queue.take());
        drop((armed, queue));
        self.rights.iter().for_each(|rights| rights.close());
    }

    /// Readers have taken something: a receive that was stopped for their slowness goes on.
    #[inline]
    fn make_room<R: Receiver>(&self, owner: &Rc<R>) {
        if self.is_stopping.get() && !self.is_exact.get() && self.has_room() {
            Self::arm(owner, usize::MAX);
        }
    }

    /// Sees to it that a receive is in flight, for a reader that wants so many bytes.
    #[inline]
    fn arm<R: Receiver>(owner: &Rc<R>, wanted: usize) {
        let this = owner.receiving();
        if this.end.get() != End::Open || this.is_closed.get() || this.is_held.get() {
            return;
        }
        // Also one that is being stopped: it answers first, and then it is armed again.
        if this.is_armed() {
            if this.is_exact.get() {
                this.stop_multi();
            }
            return;
        }
        Self::arm_now(owner, wanted);
    }

    fn arm_now<R: Receiver>(owner: &Rc<R>, wanted: usize) {
        let this = owner.receiving();
        this.is_stopping.set(false);
        let driver = owner.fd().driver();
        if driver.is_closed() {
            return this.end.set(End::Failed(GONE));
        }
        let is_large = this.appetite.get().is_large();
        let multi = || Armed::multi(owner.fd(), owner.clone(), this.rights.is_some(), is_large);
        match if this.is_exact.get() { None } else { multi() } {
            Some(armed) => this.set_armed(armed),
            // Without a pool it goes on, if slowly.
            None => Self::arm_single(owner, wanted),
        }
    }

    /// Receives once, into memory of its own.
    fn arm_single<R: Receiver>(owner: &Rc<R>, wanted: usize) {
        let armed = Armed::single(owner.fd(), owner.clone(), owner.receiving().rights.is_some(), wanted);
        owner.receiving().set_armed(armed);
    }

    #[inline]
    fn set_armed(&self, armed: Armed) {
        let before = self.armed.replace(Some(armed));
        debug_assert!(before.is_none(), "one receive is in flight");
    }

    /// Bytes have arrived.
    pub(crate) fn received(&self, fd: &SharedFd, bytes: RecvBuf) {
        if self.is_closed.get() {
            return;
        }
        // Most are short, and come to streams whose buffers are common.
        if bytes.len() >= self.common_bytes.get() || self.appetite.get().is_large() {
            self.weigh(fd, bytes.len());
        }
        self.queue.borrow_mut().push(bytes);
        let is_full = self.exceeds(MOST_QUEUED, MOST_BYTES_QUEUED)
            || self.rights.as_ref().is_some_and(|rights| rights.count() >= MOST_DESCRIPTORS_QUEUED);
        if is_full && !self.is_stopping.replace(true) {
            // The reader is slow: the peer must feel it. What the kernel has goes on waiting in the socket.
            self.cancel();
        }
        self.waiters.wake();
    }

    /// So many bytes have come in one buffer: it may have been too small for what there was, or much too large.
    fn weigh(&self, fd: &SharedFd, bytes: usize) {
        // Who gets no more than was asked for has told how much there is.
        let Some(driver) = fd.bound_driver().filter(|_| !self.is_exact.get()) else { return };
        let Ok(common) = driver.pool() else { return };
        let common_bytes = match &self.rights {
            None => common.buffer_bytes() as usize,
            Some(_) => Traffic::UnixStream.room_in(common.buffer_bytes()),
        };
        self.common_bytes.set(common_bytes);
        let (before, after) = (self.appetite.get(), self.appetite.get().after(bytes, common_bytes));
        if after.is_large() && !before.is_large() && driver.large_pool().is_none() {
            return;
        }
        self.appetite.set(after);
        if after.is_large() != before.is_large() && !self.is_stopping.replace(true) {
            self.cancel();
        }
    }

    /// Asks the receive in flight to stop.
    fn cancel(&self) {
        cancel_in_place(&self.armed, |armed| Some(armed.canceller()));
    }

    /// Asks the receive in flight to stop where it is one that goes on.
    fn stop_multi(&self) {
        let is_multi = self.armed.borrow().as_ref().is_some_and(Armed::is_multi);
        if is_multi && !self.is_stopping.replace(true) {
            self.cancel();
        }
    }

    #[inline]
    fn is_armed(&self) -> bool {
        self.armed.borrow().is_some()
    }

    /// The receive in flight has ended.
    pub(crate) fn ended<R: Receiver>(owner: &Rc<R>, end: RecvEnd) -> Rearm {
        let this = owner.receiving();
        if owner.fd().has_no_runtime() {
            let armed = this.armed.take();
            drop(armed);
            this.finish(End::Failed(GONE));
            return Rearm::No;
        }
        // A single receive is over in any case; a multishot one is armed again in its slot, where that is all it needs.
        match this.armed.take() {
            Some(armed) if armed.is_multi() && this.goes_on(owner, end) => {
                this.set_armed(armed);
                return Rearm::Yes;
            }
            ended => drop(ended),
        }
        if this.is_exact.get() {
            // Whoever still waits arms it again for as much as they want.
            this.waiters.wake();
        }
        match end {
            RecvEnd::EndOfStream => this.finish(if owner.is_reset() { End::Failed(RESET) } else { End::Stream }),
            RecvEnd::Failed(errno) => this.finish(End::Failed(errno)),
            RecvEnd::NoBuffers if this.appetite.get().is_large() => {
                this.appetite.set(Appetite::starved());
                if !this.waiters.is_empty() {
                    Self::arm(owner, usize::MAX);
                }
            }
            // A waker that polls its task at once may have armed one by now.
            RecvEnd::NoBuffers if !this.is_closed.get() && !this.is_armed() && !this.waiters.is_empty() => {
                Self::arm_single(owner, usize::MAX);
            }
            // Nobody waits for bytes now; whoever comes arms it again.
            RecvEnd::NoBuffers => {}
            // Readers arm it again when they come; one may have come between the cancel and its answer.
            RecvEnd::Once | RecvEnd::Cancelled => {
                let has_room = this.has_room();
                if has_room && !this.waiters.is_empty() {
                    Self::arm(owner, usize::MAX);
                }
            }
        }
        Rearm::No
    }

    /// Whether a multishot receive that has ended like this is to be armed again in its slot.
    fn goes_on<R: Receiver>(&self, owner: &Rc<R>, end: RecvEnd) -> bool {
        if self.is_closed.get() || self.is_stopping.get() || self.is_exact.get() {
            return false;
        }
        match end {
            RecvEnd::Once => true,
            RecvEnd::NoBuffers => {
                let driver = owner.fd().driver();
                driver.count_no_buffers();
                let pool = driver.pool_for(self.appetite.get().is_large());
                // Many streams find it empty in one turn, and the first of them has made it grow for all.
                pool.is_ok_and(|pool| pool.reclaim() > 0 || pool.provided() > 0 || pool.grow())
            }
            RecvEnd::EndOfStream | RecvEnd::Failed(_) | RecvEnd::Cancelled => false,
        }
    }

    fn finish(&self, end: End) {
        if self.end.get() == End::Open {
            self.end.set(end);
        }
        self.waiters.wake();
    }
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving")
            .field("queued", &self.queue.borrow().len())
            .field("end", &self.end.get())
            .finish_non_exhaustive()
    }
}

/// Buffers that may wait in one stream for a reader, however little is in them.
const MOST_QUEUED: usize = 32;
/// Bytes that may wait in one stream for a reader, however large the pool's buffers are.
const MOST_BYTES_QUEUED: usize = 256 << 10;
/// Descriptors that may wait in one stream for a reader.
const MOST_DESCRIPTORS_QUEUED: usize = 64;
/// `ECONNRESET`.
const RESET: i32 = 104;
