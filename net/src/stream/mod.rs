//! What all stream sockets have in common, whatever their addresses look like: the receiving queue, the order of the
//! writes, half-close, close, halves, and the way to std and back.
//!
//! **To build a stream type on it**: a struct with one field, `core: StreamSocket`, made by
//! [`StreamSocket::from_fd`] from a connected socket; a method `fn core(&self) -> &StreamSocket`; then the macros of
//! `methods.rs` for its public methods (`reading_methods!`, `writing_methods!`, `whole_stream_methods!`),
//! `stream_conversions!` of `conversions.rs` for descriptors and std's type, and `halves!` of `halves.rs` in the module
//! where its halves are to be found. What is left for the type itself is how it connects, its addresses and its options.
//! Waits go through `cancel_scope::stoppable`, so that `with_cancel` reaches them. Listeners likewise hold an
//! `Accepting` (`net/src/accepting.rs`), make their streams of what its `accept` and `poll_accept` hand out, and close it in their
//! `Drop`.

mod appetite;
mod armed;
mod conversions;
mod halves;
mod io_traits;
mod methods;
mod queue;
mod receive;
mod receiving;
mod rights;
mod writing;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut, RecvBuf, spare, spare_vectored};
use quoit_runtime::cancel_scope::{check, stoppable, transferred, with_transferred};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{
    self, Begun, InFlight, Lane, Message, MessageSink, PollOnce, Rearm, RecvEnd, RecvSink, SendRights, SendVectored,
    SendZc, begin, send_now, submit_behind, submit_to,
};
use quoit_runtime::timer::{Instant, Timer};

use crate::stream::receive::Receive;
use crate::stream::receiving::{Receiver, Receiving};
use crate::stream::writing::{Part, Whole, Writing};
use crate::waiters::Waiters;

pub(crate) use crate::stream::conversions::stream_conversions;
pub(crate) use crate::stream::halves::halves;
pub(crate) use crate::stream::io_traits::{async_read, async_write, io_traits};
pub(crate) use crate::stream::methods::{reading_methods, whole_stream_methods, writing_methods};

/// A connected stream socket. Dropping it ends receiving at once, lets writes that have begun finish behind it, and closes.
#[derive(Debug)]
pub(crate) struct StreamSocket {
    shared: Rc<Shared>,
}

/// What a stream and its operations share.
#[derive(Debug)]
struct Shared {
    fd: SharedFd,
    receiving: Receiving,
    /// The order of the writes.
    sending: Lane,
    /// Short writes answer before they are out.
    write_behind: Cell<bool>,
}

impl Receiver for Shared {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn receiving(&self) -> &Receiving {
        &self.receiving
    }

    fn is_reset(&self) -> bool {
        // Where a send was told of the reset, or had brought out a part by then and swallowed it, the kernel has nothing
        // left to tell a receive, and calls it an orderly end. After that a connection that still could send is half open.
        let may_have_hidden_it = self.fd.send_error().is_some() || !self.sending.is_idle();
        may_have_hidden_it && !self.fd.is_send_shut() && self.fd.is_torn_down()
    }
}

impl RecvSink for Shared {
    fn received(&self, bytes: RecvBuf) {
        self.receiving.received(&self.fd, bytes);
    }

    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm {
        Receiving::ended(&self, end)
    }

    fn waiters(&self) -> Option<&Waiters> {
        Some(self.receiving.waiters())
    }
}

impl MessageSink for Shared {
    fn received(&self, message: Message) {
        self.receiving.received_message(&self.fd, message);
    }

    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm {
        Receiving::ended(&self, end)
    }

    fn waiters(&self) -> Option<&Waiters> {
        Some(self.receiving.waiters())
    }
}

impl StreamSocket {
    pub(crate) fn from_fd(fd: SharedFd) -> Self {
        Self::receiving_by(Receiving::default(), fd)
    }

    fn receiving_by(receiving: Receiving, fd: SharedFd) -> Self {
        let shared = Shared { fd, receiving, sending: Lane::new(), write_behind: Cell::new(false) };
        Self { shared: Rc::new(shared) }
    }

    /// A stream that takes descriptors along with its bytes.
    pub(crate) fn with_rights(fd: SharedFd) -> Self {
        Self::receiving_by(Receiving::with_rights(), fd)
    }

    pub(crate) async fn recv_fds<B: IoBufMut>(&self, mut buf: B) -> BufResult<(usize, Vec<OwnedFd>), B> {
        if spare(&buf) == 0 {
            return (Err(no_room()), buf);
        }
        let place = self.shared.receiving.place();
        let result = stoppable(|cx| Receiving::poll_recv_fds(&self.shared, cx, &place, &mut buf)).await;
        (result, buf)
    }

    pub(crate) async fn send_fds<B: IoBuf>(&self, buf: B, descriptors: Vec<OwnedFd>) -> BufResult<(), B> {
        let (result, buf) = self.send(SendRights::new(self.shared.fd.clone(), buf, descriptors)).await;
        (result.map(drop), buf)
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        &self.shared.fd
    }

    #[inline]
    pub(crate) fn recv(&self) -> Receive<'_> {
        Receive::new(&self.shared)
    }

    pub(crate) async fn read<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        if spare(&buf) == 0 {
            return (Err(no_room()), buf);
        }
        let place = self.shared.receiving.place();
        let result = stoppable(|cx| Receiving::poll_read(&self.shared, cx, &place, &mut buf)).await;
        (result, buf)
    }

    pub(crate) async fn read_exact<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        if spare(&buf) == 0 {
            return (Err(no_room()), buf);
        }
        if let Err(error) = check() {
            return (Err(error), buf);
        }
        let place = self.shared.receiving.place();
        let result = stoppable(|cx| Receiving::poll_read_exact(&self.shared, cx, &place, &mut buf)).await;
        let result = result.map_err(|error| match transferred(&error) {
            // Stopped: what is there is the caller's, who is told how much it is.
            Some(_) => with_transferred(error, Receiving::take_some(&self.shared, &mut buf)),
            None => error,
        });
        (result, buf)
    }

    pub(crate) async fn read_vectored<V: IoVectoredBufMut>(&self, mut bufs: V) -> BufResult<usize, V> {
        if spare_vectored(&mut bufs) == 0 {
            return (Err(no_room()), bufs);
        }
        let place = self.shared.receiving.place();
        let result = stoppable(|cx| Receiving::poll_read_vectored(&self.shared, cx, &place, &mut bufs)).await;
        (result, bufs)
    }

    pub(crate) async fn peek<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        if spare(&buf) == 0 {
            return (Err(no_room()), buf);
        }
        let place = self.shared.receiving.place();
        let result = stoppable(|cx| Receiving::poll_peek(&self.shared, cx, &place, &mut buf)).await;
        (result, buf)
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        let place = self.shared.receiving.place();
        if !self.shared.receiving.is_exact() {
            return stoppable(|cx| Receiving::poll_readable(&self.shared, cx, &place).map(Ok)).await;
        }
        // Nothing is received before somebody asks for it.
        let mut polling = None;
        stoppable(|cx| {
            if let Some(known) = self.shared.receiving.poll_known(cx, &place) {
                return known.map(Ok);
            }
            let fd = &self.shared.fd;
            let poll = polling.get_or_insert_with(|| submit_to(fd.driver(), None, PollOnce::readable(fd.clone())));
            Pin::new(poll).poll(cx).map_ok(drop)
        })
        .await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        // Behind the writes that are under way: another one would have to wait for them.
        let place = self.shared.sending.place();
        stoppable(|cx| self.shared.sending.poll_idle(cx, &place).map(Ok)).await?;
        // An error is an event, too: the write will tell it.
        submit_to(self.shared.fd.driver(), None, PollOnce::writable(self.shared.fd.clone())).await.map(drop)
    }

    #[inline]
    pub(crate) fn write<B: IoBuf>(&self, buf: B) -> Writing<'_, B, Part> {
        Writing::new(self, buf)
    }

    #[inline]
    pub(crate) fn write_all<B: IoBuf>(&self, buf: B) -> Writing<'_, B, Whole> {
        Writing::new(self, buf)
    }

    pub(crate) async fn write_all_zc<B: IoBuf>(&self, buf: B) -> BufResult<(), B> {
        if buf.len() < ZERO_COPY_BYTES {
            return self.write_all(buf).await;
        }
        let mut send = self.send(SendZc::new(self.shared.fd.clone(), self.shared.sending.clone(), buf));
        let mut grace = None;
        poll_fn(|cx| {
            let poll = Pin::new(&mut send).poll(cx);
            // Stopped, the kernel may have the buffer still, until the peer takes what was sent: not for ever.
            if poll.is_pending() && send.is_stopped() {
                let grace = grace.get_or_insert_with(|| Timer::new(Instant::now() + GRACE));
                if grace.poll_elapsed(cx).is_ready() {
                    self.shared.fd.abort();
                }
            }
            poll
        })
        .await
    }

    pub(crate) async fn write_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<usize, V> {
        self.send(SendVectored::some(self.shared.fd.clone(), bufs)).await
    }

    pub(crate) async fn write_all_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<(), V> {
        let (result, bufs) = self.send(SendVectored::all(self.shared.fd.clone(), bufs)).await;
        (result.map(drop), bufs)
    }

    pub(crate) fn set_write_behind(&self, on: bool) {
        self.shared.write_behind.set(on);
    }

    pub(crate) fn write_behind(&self) -> bool {
        self.shared.write_behind.get()
    }

    /// Sends a copy of a short message at the end of the turn, where that is wanted, nothing is under way and nothing speaks
    /// against it: a write that is known to fail, and one in a cancelled scope, tell so themselves.
    #[inline]
    fn send_now<B: IoBuf>(&self, buf: &B) -> Option<io::Result<usize>> {
        let Shared { fd, receiving, sending, write_behind } = &*self.shared;
        if !write_behind.get() || fd.is_send_shut() || receiving.has_failed() || check().is_err() {
            return None;
        }
        // Bytes that are to wait are not looked at: a buffer may tell by that whether it was begun.
        if !sending.is_idle() {
            return None;
        }
        let bytes = buf.as_bytes();
        send_now(fd, sending, bytes).map(|result| result.map(|()| bytes.len()))
    }

    /// Begins to send behind the writes that are under way.
    #[inline]
    fn begin<T: op::Op>(&self, op: T) -> Begun<T> {
        begin(self.shared.fd.driver(), Some(&self.shared.sending), op)
    }

    /// Sends behind the writes that are under way.
    pub(crate) fn send<T: op::Op>(&self, op: T) -> InFlight<T> {
        submit_to(self.shared.fd.driver(), Some(&self.shared.sending), op)
    }

    pub(crate) async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let op = op::Shutdown::new(self.shared.fd.clone(), how);
        match how {
            Shutdown::Read => submit_to(self.shared.fd.driver(), None, op).await,
            Shutdown::Write | Shutdown::Both => self.send(op).await,
        }
    }

    /// Shuts the sending side down behind the writes that are under way, without anybody who waits for it.
    pub(crate) fn shutdown_later(&self) {
        if self.shared.fd.is_send_shut() {
            return;
        }
        let is_idle = self.shared.sending.is_idle();
        match self.shared.fd.try_driver() {
            // Behind the writes that are under way, also outside of `block_on`.
            Some(driver) if !driver.is_closed() && (driver.is_running() || !is_idle) => {
                let op = op::Shutdown::new(self.shared.fd.clone(), Shutdown::Write);
                submit_behind(driver, Some(&self.shared.sending), op);
            }
            _ if is_idle => self.shared.fd.shut_down_sending(),
            _ => {}
        }
    }

    pub(crate) async fn close(self) -> io::Result<()> {
        self.shared.receiving.close();
        let finished = match self.shared.fd.bound_driver() {
            Some(driver) => driver.finish(&self.shared.sending).await,
            None => Ok(()),
        };
        let failed = self.shared.fd.send_error();
        // The receive that was cancelled still names the descriptor.
        let fd = self.shared.fd.clone();
        drop(self);
        let closed = fd.close().await;
        // Being cut off counts, whatever else it looks like to the write that was cancelled.
        finished.and(failed.map_or(closed, Err))
    }

    /// The descriptor alone, without anything that could still use it.
    ///
    /// # Errors
    ///
    /// Gives the stream back where operations are under way, or bytes have arrived that nobody has read.
    pub(crate) fn into_fd(self) -> Result<OwnedFd, Self> {
        // A short message that was written in this turn is on its way first.
        if let (false, Some(driver)) = (self.shared.sending.is_idle(), self.shared.fd.bound_driver()) {
            driver.hurry();
        }
        let is_idle = self.shared.sending.is_finished() && self.shared.receiving.quiesce(&self.shared.fd);
        if !is_idle || Rc::strong_count(&self.shared) > 1 || !self.shared.fd.is_unshared() {
            return Err(self);
        }
        let fd = self.shared.fd.clone();
        drop(self);
        Ok(fd.try_unwrap().unwrap_or_else(|fd| unreachable!("{fd:?} had one owner, which is gone")))
    }
}

impl Drop for StreamSocket {
    fn drop(&mut self) {
        self.shared.receiving.close();
        if let Some(driver) = self.shared.fd.bound_driver() {
            driver.finish_later(&self.shared.sending);
        }
    }
}

impl From<OwnedFd> for StreamSocket {
    fn from(fd: OwnedFd) -> Self {
        Self::from_fd(SharedFd::adopt(fd))
    }
}

fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the buffer has no room: give a Vec a capacity beyond its length")
}

/// Shorter writes are copied: `docs/decisions/zero-copy.md` has the figures.
const ZERO_COPY_BYTES: usize = 64 << 10;
/// How long a zero-copy write that was stopped may wait for the peer, before the connection is reset.
const GRACE: Duration = Duration::from_secs(1);
