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

mod descriptors;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quoit_runtime::buf::{Filler, IoBufMut, IoVectoredBufMut, RecvBuf, Scatter};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{GONE, MessageSink, Rearm, RecvEnd, RecvSink, Traffic};
use quoit_runtime::task::poll_budget;

use crate::stream::appetite::Appetite;
use crate::stream::armed::Armed;
use crate::stream::rights::Rights;
use crate::waiters::{Place, Waiters};

/// The receiving side of one stream.
#[derive(Default)]
pub(crate) struct Receiving {
    /// Bytes that a `read_exact` waits to have together; they come before those of the queue.
    assembled: RefCell<Assembled>,
    /// What has arrived, in order. Bounded by [`MOST_QUEUED`], [`MOST_BYTES_QUEUED`] and what arrives until a cancel takes effect.
    queue: RefCell<VecDeque<RecvBuf>>,
    /// The descriptors that came with the bytes, where the stream takes them.
    rights: Option<Rights>,
    /// Somebody asks for descriptors: from now on no more is received at once than a reader has asked for, so that descriptors
    /// come with the bytes that they were sent with.
    is_exact: Cell<bool>,
    /// What comes after the queue.
    end: Cell<End>,
    /// The receive that is in flight. Put here before its first completion can be, taken when it has ended.
    armed: Cell<Option<Armed>>,
    /// Which buffers the receive that is armed next gets; and the one in flight has, unless it was asked to stop.
    appetite: Cell<Appetite>,
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

#[derive(Debug, Default)]
struct Assembled {
    bytes: Vec<u8>,
    /// How many of them have been taken.
    taken: usize,
}

impl Assembled {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// What had arrived, while a reader looks at it.
struct Arrived<'a> {
    of: &'a Receiving,
    assembled: Assembled,
    queue: VecDeque<RecvBuf>,
}

impl Arrived<'_> {
    fn there_are(&self) -> bool {
        !self.assembled.rest().is_empty() || !self.queue.is_empty()
    }
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        self.of.assembled.replace(std::mem::take(&mut self.assembled));
        let late = self.of.queue.replace(std::mem::take(&mut self.queue));
        self.of.queue.borrow_mut().extend(late);
    }
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
    pub(crate) fn place(&self) -> Place<'_> {
        self.waiters.place()
    }

    /// The next bytes, as they came; `None` at the end.
    pub(crate) fn poll_recv<R: Receiver>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
    ) -> Poll<io::Result<Option<RecvBuf>>> {
        let this = owner.receiving();
        ready!(poll_budget(cx));
        if let Some(bytes) = this.pop() {
            this.advance(bytes.len());
            this.close_taken();
            this.make_room(owner);
            return Poll::Ready(Ok(Some(bytes)));
        }
        Self::poll_end(owner, cx, place, usize::MAX).map_ok(|()| None)
    }

    /// Copies into a buffer what is there, at least one byte; 0 at the end.
    pub(crate) fn poll_read<R: Receiver, B: IoBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        if owner.receiving().consume(|bytes| filler.fill(buf, bytes)) {
            owner.receiving().make_room(owner);
            return Poll::Ready(Ok(filler.filled()));
        }
        Self::poll_end(owner, cx, place, filler.spare(buf)).map_ok(|()| 0)
    }

    /// As [`poll_read`](Self::poll_read), into several buffers.
    pub(crate) fn poll_read_vectored<R: Receiver, V: IoVectoredBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        bufs: &mut V,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut scatter = Scatter::new();
        if owner.receiving().consume(|bytes| scatter.fill(bufs, bytes)) {
            owner.receiving().make_room(owner);
            return Poll::Ready(Ok(scatter.filled()));
        }
        Self::poll_end(owner, cx, place, scatter.spare(bufs)).map_ok(|()| 0)
    }

    /// Fills a buffer to its capacity, or nothing of it.
    pub(crate) fn poll_read_exact<R: Receiver, B: IoBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        let this = owner.receiving();
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        let wanted = filler.spare(buf);
        if this.available() < wanted {
            match Self::poll_end(owner, cx, place, wanted - this.available()) {
                // The bytes that are there stay there, for whoever wants fewer.
                Poll::Ready(Ok(())) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            // They must not hold the ring's buffers meanwhile, nor stop the receive.
            if !this.has_room() {
                this.assemble(wanted);
                this.make_room(owner);
            }
            return Poll::Pending;
        }
        this.consume(|bytes| filler.fill(buf, bytes));
        this.make_room(owner);
        Poll::Ready(Ok(filler.filled()))
    }

    /// As [`poll_read`](Self::poll_read), but the bytes stay where they are.
    pub(crate) fn poll_peek<R: Receiver, B: IoBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        // Taken out while the user's buffer is filled, as in `consume`.
        let arrived = owner.receiving().take_arrived();
        let there_were = arrived.there_are();
        filler.fill(buf, arrived.assembled.rest());
        for bytes in &arrived.queue {
            if filler.spare(buf) == 0 {
                break;
            }
            filler.fill(buf, bytes);
        }
        drop(arrived);
        if there_were {
            return Poll::Ready(Ok(filler.filled()));
        }
        Self::poll_end(owner, cx, place, filler.spare(buf)).map_ok(|()| 0)
    }

    /// Waits until there is something to be read: bytes, an end, or an error.
    pub(crate) fn poll_readable<R: Receiver>(owner: &Rc<R>, cx: &mut Context<'_>, place: &Place<'_>) -> Poll<()> {
        ready!(poll_budget(cx));
        if owner.receiving().has_bytes() { Poll::Ready(()) } else { Self::poll_end(owner, cx, place, 1).map(drop) }
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
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.end.get(), End::Failed(_))
    }

    /// Copies into a buffer what is there, if anything is.
    pub(crate) fn take_some<R: Receiver, B: IoBufMut>(owner: &Rc<R>, buf: &mut B) -> usize {
        let mut filler = Filler::new(buf);
        owner.receiving().consume(|bytes| filler.fill(buf, bytes));
        owner.receiving().make_room(owner);
        filler.filled()
    }

    /// The last handle of the stream is gone: what is in flight is cancelled, what has arrived is dropped.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        let (armed, queue) = (self.armed.take(), self.queue.take());
        drop((armed, queue));
        self.rights.iter().for_each(Rights::close);
    }

    /// What comes after the bytes; waits for it, and for more bytes, of which the reader wants so many.
    fn poll_end<R: Receiver>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        wanted: usize,
    ) -> Poll<io::Result<()>> {
        let this = owner.receiving();
        if this.end.get() == End::Open {
            owner.fd().driver().assert_running("recv");
            place.wait(cx);
            Self::arm(owner, wanted);
        }
        match this.end.get() {
            End::Open => Poll::Pending,
            End::Stream => Poll::Ready(Ok(())),
            End::Failed(errno) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
        }
    }

    /// Takes the first bytes.
    fn pop(&self) -> Option<RecvBuf> {
        let assembled = self.assembled.take();
        if !assembled.bytes.is_empty() {
            let mut bytes = RecvBuf::from_vec(assembled.bytes);
            bytes.advance(assembled.taken);
            return Some(bytes);
        }
        self.queue.borrow_mut().pop_front()
    }

    /// Hands out bytes in order until `take` takes fewer than it was given, without the descriptors that came with them.
    /// Whether there were any.
    fn consume(&self, take: impl FnMut(&[u8]) -> usize) -> bool {
        let there_were = self.hand_out(take);
        self.close_taken();
        there_were
    }

    /// As [`consume`](Self::consume), but descriptors stay.
    fn hand_out(&self, mut take: impl FnMut(&[u8]) -> usize) -> bool {
        // Taken out while the user's buffer is filled, whose code is the user's; put back also if that panics.
        let mut arrived = self.take_arrived();
        let there_were = arrived.there_are();
        let Arrived { assembled, queue, .. } = &mut arrived;
        let taken = take(assembled.rest());
        assembled.take(taken);
        self.advance(taken);
        if !assembled.rest().is_empty() {
            return there_were;
        }
        while let Some(front) = queue.front_mut() {
            let taken = take(front);
            self.advance(taken);
            if taken < front.len() {
                front.advance(taken);
                break;
            }
            queue.pop_front();
        }
        there_were
    }

    fn take_arrived(&self) -> Arrived<'_> {
        Arrived { of: self, assembled: self.assembled.take(), queue: self.queue.take() }
    }

    fn has_bytes(&self) -> bool {
        !self.assembled.borrow().rest().is_empty() || !self.queue.borrow().is_empty()
    }

    /// How many bytes are there.
    fn available(&self) -> usize {
        let queued = self.queue.borrow().iter().map(|bytes| bytes.len()).sum::<usize>();
        self.assembled.borrow().rest().len() + queued
    }

    /// Moves the queued bytes into memory of our own, which gives their buffers back to the ring.
    fn assemble(&self, wanted: usize) {
        let mut assembled = self.assembled.borrow_mut();
        let room = wanted.saturating_sub(assembled.rest().len());
        assembled.bytes.reserve(room);
        for bytes in self.queue.borrow_mut().drain(..) {
            assembled.bytes.extend_from_slice(&bytes);
        }
    }

    /// Whether so many buffers, or so many bytes, wait in the queue.
    fn exceeds(&self, buffers: usize, bytes: usize) -> bool {
        let queue = self.queue.borrow();
        queue.len() >= buffers || queue.iter().map(|bytes| bytes.len()).sum::<usize>() >= bytes
    }

    /// A receive that was stopped may go on: the queue is half empty.
    fn has_room(&self) -> bool {
        !self.exceeds(MOST_QUEUED / 2 + 1, MOST_BYTES_QUEUED / 2 + 1)
    }

    /// Readers have taken something: a receive that was stopped for their slowness goes on.
    fn make_room<R: Receiver>(&self, owner: &Rc<R>) {
        if self.is_stopping.get() && !self.is_exact.get() && self.has_room() {
            Self::arm(owner, usize::MAX);
        }
    }

    /// Sees to it that a receive is in flight, for a reader that wants so many bytes.
    fn arm<R: Receiver>(owner: &Rc<R>, wanted: usize) {
        let this = owner.receiving();
        if this.end.get() != End::Open || this.is_closed.get() || this.is_held.get() {
            return;
        }
        if let Some(armed) = this.armed.take() {
            if this.is_exact.get() && armed.is_multi() && !this.is_stopping.replace(true) {
                armed.cancel();
            }
            // Also one that is being stopped: it answers first, and then it is armed again.
            return this.armed.set(Some(armed));
        }
        this.is_stopping.set(false);
        let driver = owner.fd().driver();
        if driver.is_closed() {
            return this.end.set(End::Failed(GONE));
        }
        let is_large = this.appetite.get().is_large();
        let multi = || Armed::multi(owner.fd(), owner.clone(), this.rights.is_some(), is_large);
        match if this.is_exact.get() { None } else { multi() } {
            Some(armed) => this.armed.set(Some(armed)),
            // Without a pool it goes on, if slowly.
            None => Self::arm_single(owner, wanted),
        }
    }

    /// Receives once, into memory of its own.
    fn arm_single<R: Receiver>(owner: &Rc<R>, wanted: usize) {
        let armed = Armed::single(owner.fd(), owner.clone(), owner.receiving().rights.is_some(), wanted);
        owner.receiving().armed.set(Some(armed));
    }

    /// Bytes have arrived.
    pub(crate) fn received(&self, fd: &SharedFd, bytes: RecvBuf) {
        if self.is_closed.get() {
            return;
        }
        self.weigh(fd, bytes.len());
        self.queue.borrow_mut().push_back(bytes);
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
        if let Some(armed) = self.armed.take() {
            armed.cancel();
            self.armed.set(Some(armed));
        }
    }

    fn is_armed(&self) -> bool {
        let armed = self.armed.take();
        let is_armed = armed.is_some();
        self.armed.set(armed);
        is_armed
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
                this.armed.set(Some(armed));
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
            RecvEnd::NoBuffers if !this.is_closed.get() && !this.waiters.is_empty() => {
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
