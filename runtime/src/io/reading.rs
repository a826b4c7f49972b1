//! The reading side of what is read at its own position: pipes, terminals, devices.
//!
//! One read is in flight at a time. It belongs to the object and has a buffer of its own, so a reader that is dropped or
//! forgotten swallows nothing: what arrives is kept for the next one. It asks for as many bytes as the reader does who starts
//! it, and not for more, so that what nobody has asked for stays in the pipe, where another process may want it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use crate::buf::{BufResult, Filler, IoBufMut, RecvBuf, spare};
use crate::cancel_scope::{check, stoppable, transferred, with_transferred};
use crate::driver::GONE;
use crate::fd::SharedFd;
use crate::io::traits::no_room;
use crate::op::{InFlight, ReadNext, Rearm, RecvEnd, RecvSink, submit_to};
use crate::task::poll_budget;
use crate::waiters::{Place, Waiters};

/// The reading side of one descriptor.
pub(crate) struct Reading {
    fd: SharedFd,
    /// What has arrived and nobody has taken, in order. Bounded by what one `read_exact` asks for and a gulp.
    queue: RefCell<VecDeque<RecvBuf>>,
    /// What the last read answered, where that was no bytes: 0 for the end, or an errno. Whoever comes next is told, once: a
    /// terminal or a FIFO goes on after an end.
    outcome: Cell<Option<i32>>,
    /// The read that is in flight. Taken when it has ended.
    armed: RefCell<Option<InFlight<ReadNext>>>,
    /// How many handles there are.
    users: Cell<usize>,
    /// Where bytes go that nobody has taken when this is gone.
    leftovers: Option<&'static Mutex<Vec<u8>>>,
    waiters: Waiters,
}

impl Reading {
    pub(crate) fn new(fd: SharedFd) -> Rc<Self> {
        Self::with(fd, VecDeque::new(), None)
    }

    /// One that begins with what another has left, and leaves there what nobody takes.
    pub(crate) fn with_leftovers(fd: SharedFd, leftovers: &'static Mutex<Vec<u8>>) -> Rc<Self> {
        let left = std::mem::take(&mut *leftovers.lock().unwrap_or_else(PoisonError::into_inner));
        let queue = if left.is_empty() { VecDeque::new() } else { VecDeque::from([RecvBuf::from_vec(left)]) };
        Self::with(fd, queue, Some(leftovers))
    }

    fn with(fd: SharedFd, queue: VecDeque<RecvBuf>, leftovers: Option<&'static Mutex<Vec<u8>>>) -> Rc<Self> {
        Rc::new(Self {
            fd,
            queue: RefCell::new(queue),
            outcome: Cell::new(None),
            armed: RefCell::new(None),
            users: Cell::new(1),
            leftovers,
            waiters: Waiters::default(),
        })
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        &self.fd
    }

    /// See [`AsyncRead::read`](crate::io::AsyncRead::read).
    pub(crate) async fn read<B: IoBufMut>(self: &Rc<Self>, mut buf: B) -> BufResult<usize, B> {
        if spare(&buf) == 0 {
            return (Err(no_room()), buf);
        }
        let place = self.waiters.place();
        let result = stoppable(|cx| self.poll_read(cx, &place, &mut buf)).await;
        (result, buf)
    }

    /// See [`AsyncRead::read_exact`](crate::io::AsyncRead::read_exact).
    pub(crate) async fn read_exact<B: IoBufMut>(self: &Rc<Self>, mut buf: B) -> BufResult<usize, B> {
        if spare(&buf) == 0 {
            return (Err(no_room()), buf);
        }
        if let Err(error) = check() {
            return (Err(error), buf);
        }
        let place = self.waiters.place();
        let result = stoppable(|cx| self.poll_read_exact(cx, &place, &mut buf)).await;
        let result = result.map_err(|error| match transferred(&error) {
            // Stopped: what is there is the caller's, who is told how much it is.
            Some(_) => {
                let mut filler = Filler::new(&buf);
                self.consume(|bytes| filler.fill(&mut buf, bytes));
                with_transferred(error, filler.filled())
            }
            None => error,
        });
        (result, buf)
    }

    fn poll_read<B: IoBufMut>(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        if self.consume(|bytes| filler.fill(buf, bytes)) {
            return Poll::Ready(Ok(filler.filled()));
        }
        self.poll_outcome(cx, place, filler.spare(buf)).map_ok(|()| 0)
    }

    fn poll_read_exact<B: IoBufMut>(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        let wanted = filler.spare(buf);
        let available = self.queue.borrow().iter().map(|bytes| bytes.len()).sum::<usize>();
        if available < wanted {
            // The bytes that are there stay there, for whoever wants fewer.
            ready!(self.poll_outcome(cx, place, wanted - available))?;
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.consume(|bytes| filler.fill(buf, bytes));
        Poll::Ready(Ok(filler.filled()))
    }

    /// What a read without bytes has answered; else waits for it, and for bytes, of which `wanted` are asked for.
    fn poll_outcome(self: &Rc<Self>, cx: &mut Context<'_>, place: &Place<'_>, wanted: usize) -> Poll<io::Result<()>> {
        if self.outcome.get().is_none() {
            place.wait(cx);
            self.arm(wanted);
        }
        match self.outcome.take() {
            None => Poll::Pending,
            Some(0) => Poll::Ready(Ok(())),
            Some(errno) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
        }
    }

    /// Hands out bytes in order until `take` takes fewer than it was given. Whether there were any.
    fn consume(&self, mut take: impl FnMut(&[u8]) -> usize) -> bool {
        // Taken out while the user's buffer is filled, whose code is the user's; put back also if that panics.
        let mut arrived = Arrived { of: self, queue: self.queue.take() };
        let there_were = !arrived.queue.is_empty();
        while let Some(front) = arrived.queue.front_mut() {
            let taken = take(front);
            if taken < front.len() {
                front.advance(taken);
                break;
            }
            arrived.queue.pop_front();
        }
        there_were
    }

    /// Sees to it that a read is in flight.
    fn arm(self: &Rc<Self>, wanted: usize) {
        if self.armed.borrow().is_some() {
            return;
        }
        let driver = self.fd.driver();
        if driver.is_closed() {
            return self.outcome.set(Some(GONE));
        }
        let op = ReadNext::new(self.fd.clone(), wanted.min(MOST_BYTES), self.clone());
        let armed = submit_to(driver, None, op);
        self.armed.replace(Some(armed));
    }

    /// There is one handle more than the one of the beginning.
    pub(crate) fn join(&self) {
        self.users.set(self.users.get() + 1);
    }

    /// A handle is gone. With the last one what is in flight is cancelled; what it brings all the same is kept.
    pub(crate) fn leave(&self) {
        self.users.set(self.users.get() - 1);
        if self.users.get() == 0 {
            let armed = self.armed.take();
            drop(armed);
        }
    }
}

impl RecvSink for Reading {
    fn received(&self, bytes: RecvBuf) {
        self.queue.borrow_mut().push_back(bytes);
    }

    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm {
        let armed = self.armed.take();
        drop(armed);
        match end {
            _ if self.fd.has_no_runtime() => self.outcome.set(Some(GONE)),
            RecvEnd::EndOfStream => self.outcome.set(Some(0)),
            RecvEnd::Failed(errno) => self.outcome.set(Some(errno)),
            // Whoever still waits starts the next one.
            RecvEnd::Once | RecvEnd::Cancelled | RecvEnd::NoBuffers => {}
        }
        self.waiters.wake();
        Rearm::No
    }

    fn waiters(&self) -> Option<&Waiters> {
        Some(&self.waiters)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(leftovers) = self.leftovers {
            let mut leftovers = leftovers.lock().unwrap_or_else(PoisonError::into_inner);
            self.queue.take().iter().for_each(|bytes| leftovers.extend_from_slice(bytes));
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("fd", &self.fd)
            .field("queued", &self.queue.borrow().len())
            .finish_non_exhaustive()
    }
}

/// What had arrived, while a reader looks at it.
struct Arrived<'a> {
    of: &'a Reading,
    queue: VecDeque<RecvBuf>,
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        let late = self.of.queue.replace(std::mem::take(&mut self.queue));
        self.of.queue.borrow_mut().extend(late);
    }
}

/// What one read asks for at most: as much as a pipe holds.
const MOST_BYTES: usize = 64 << 10;
