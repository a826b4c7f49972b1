//! The stream.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut, RecvBuf, spare, spare_vectored};
use quoit_runtime::cancel_scope::{check, stoppable, transferred, with_transferred};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, Connect, Lane, Rearm, RecvEnd, RecvSink, Send, SendVectored, submit_to};

use crate::addr::{ToSocketAddrs, resolve};
use crate::tcp::receiving::{Receiver, Receiving};

/// A TCP connection.
///
/// All methods take `&self`: one task may read while another writes. What has arrived belongs to the stream until a future
/// has returned it, and writes of several tasks follow one another whole, first come first served.
///
/// Dropping it ends receiving at once, lets a write that has begun finish behind it, and then closes. A peer that takes
/// nothing is cut off after [`Builder::close_deadline`](quoit_runtime::Builder::close_deadline).
///
/// # Examples
///
/// ```no_run
/// use quoit_net::TcpStream;
///
/// # quoit_runtime::block_on(async {
/// let stream = TcpStream::connect("localhost:7000").await?;
/// let (result, buf) = stream.write_all(vec![1, 2, 3]).await;
/// result?;
/// let (result, buf) = stream.read_exact(buf.into_boxed_slice()).await;
/// assert_eq!((result?, &*buf), (3, &[1, 2, 3][..]));
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpStream {
    shared: Rc<Shared>,
}

/// What a stream and its operations share.
#[derive(Debug)]
struct Shared {
    fd: SharedFd,
    receiving: Receiving,
    /// The order of the writes.
    sending: Lane,
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
        self.receiving.received(bytes);
    }

    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm {
        Receiving::ended(&self, end)
    }
}

impl TcpStream {
    pub(crate) fn from_fd(fd: SharedFd) -> Self {
        Self { shared: Rc::new(Shared { fd, receiving: Receiving::default(), sending: Lane::new() }) }
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        &self.shared.fd
    }

    /// Connects to an address; of several, to the first one that answers.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the connection is given up and its socket is closed.
    ///
    /// # Errors
    ///
    /// Those of resolving the name, and of [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html) for the last
    /// address that was tried.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last_error = None;
        for address in resolve(&address).await? {
            match Self::connect_one(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    async fn connect_one(address: SocketAddr) -> io::Result<Self> {
        // In a scope that is cancelled not even a socket is made.
        check()?;
        let fd = SharedFd::tcp(address)?;
        submit_to(fd.driver(), None, Connect::new(fd.clone(), address)).await?;
        Ok(Self::from_fd(fd))
    }

    /// The next bytes, in a buffer of the ring that goes back to it when it is dropped. `None` at the end of the stream.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: what a dropped or forgotten future would have had goes to the next call.
    ///
    /// # Errors
    ///
    /// Those of [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html), such as `ECONNRESET`. An error that was told
    /// is told again by every later call: a reset never looks like an end. (A peer that ends its stream and then resets it
    /// while a write is under way may look like a reset only.)
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn recv(&self) -> io::Result<Option<RecvBuf>> {
        let place = self.shared.receiving.place();
        stoppable(|cx| Receiving::poll_recv(&self.shared, cx, &place)).await
    }

    /// Reads what is there into the room of a buffer, at least one byte; waits for it where nothing is. 0 at the end of the
    /// stream. A `Vec` is filled from its length on, a `Box` from its start.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: the next call gets them. The buffer is dropped with the future.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room; else as [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        if spare(&buf) == 0 {
            return (Err(no_room()), buf);
        }
        let place = self.shared.receiving.place();
        let result = stoppable(|cx| Receiving::poll_read(&self.shared, cx, &place, &mut buf)).await;
        (result, buf)
    }

    /// Reads until a buffer is full, and answers how many bytes that took.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: what had arrived stays with the stream, in order.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the stream ends before; the bytes that are there can still be read. Stopped midway by a cancel
    /// scope, the part that had arrived is in the buffer, and the error tells how much it is. Else as [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read_exact<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
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

    /// Reads what is there into several buffers, one after another. As [`read`](Self::read) otherwise.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: the next call gets them.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read_vectored<V: IoVectoredBufMut>(&self, mut bufs: V) -> BufResult<usize, V> {
        if spare_vectored(&mut bufs) == 0 {
            return (Err(no_room()), bufs);
        }
        let place = self.shared.receiving.place();
        let result = stoppable(|cx| Receiving::poll_read_vectored(&self.shared, cx, &place, &mut bufs)).await;
        (result, bufs)
    }

    /// Writes as much of a buffer as the kernel takes at once, and answers how much.
    ///
    /// # Cancel safety
    ///
    /// A write has begun once it was polled and no earlier one is under way. Dropped before, it leaves no trace; dropped
    /// later, it is finished behind your back.
    ///
    /// # Errors
    ///
    /// Those of [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html), such as `EPIPE` and `ECONNRESET`. An error that
    /// was told is told again by every later call.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.send(Send::some(self.shared.fd.clone(), buf)).await
    }

    /// Writes all of a buffer.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write): what has begun is finished whole and in order, so no message is ever cut in two by a future
    /// that is dropped.
    ///
    /// A cancel scope (`with_cancel` and its kin) does cut it, on request: the error tells how much is out, the buffer is back,
    /// and the next write, also one that waited behind it, follows those bytes. Whoever stops writes on a stream that others
    /// write to sends the rest first, or closes the stream.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn write_all<B: IoBuf>(&self, buf: B) -> BufResult<(), B> {
        let (result, buf) = self.send(Send::all(self.shared.fd.clone(), buf)).await;
        (result.map(drop), buf)
    }

    /// Writes as much of several buffers as the kernel takes at once, and answers how much.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn write_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<usize, V> {
        self.send(SendVectored::some(self.shared.fd.clone(), bufs)).await
    }

    /// Writes all of several buffers, one after another.
    ///
    /// # Cancel safety
    ///
    /// As [`write_all`](Self::write_all).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn write_all_vectored<V: IoVectoredBuf>(&self, bufs: V) -> BufResult<(), V> {
        let (result, bufs) = self.send(SendVectored::all(self.shared.fd.clone(), bufs)).await;
        (result.map(drop), bufs)
    }

    /// Sends behind the writes that are under way.
    fn send<T: op::Op>(&self, op: T) -> op::InFlight<T> {
        submit_to(self.shared.fd.driver(), Some(&self.shared.sending), op)
    }

    /// Shuts down a direction, or both. The sending side is shut down behind the writes that are under way: the peer sees
    /// the end after all of their bytes.
    ///
    /// # Cancel safety
    ///
    /// It happens also if the future is dropped once it was polled.
    ///
    /// # Errors
    ///
    /// Those of [`shutdown(2)`](https://man7.org/linux/man-pages/man2/shutdown.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let op = op::Shutdown::new(self.shared.fd.clone(), how);
        match how {
            Shutdown::Read => submit_to(self.shared.fd.driver(), None, op).await,
            Shutdown::Write | Shutdown::Both => self.send(op).await,
        }
    }

    /// Waits until writes that have begun are finished, closes the socket, and tells how that went.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, it goes on as if the stream had been dropped.
    ///
    /// # Errors
    ///
    /// The error that broke a write, if there was one; `TimedOut` where the peer did not take what was written before
    /// [`Builder::close_deadline`](quoit_runtime::Builder::close_deadline); else those of
    /// [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn close(self) -> io::Result<()> {
        self.shared.receiving.close();
        let was_cut_off = match self.shared.fd.bound_driver() {
            Some(driver) => driver.finish(&self.shared.sending).await,
            None => false,
        };
        let failed = self.shared.fd.send_error();
        // The receive that was cancelled still names the descriptor.
        let fd = self.shared.fd.clone();
        drop(self);
        let closed = fd.close().await;
        match failed {
            // Whatever else it looks like to the write that was cancelled.
            _ if was_cut_off => Err(io::Error::new(io::ErrorKind::TimedOut, "the peer did not take what was written")),
            Some(error) => Err(error),
            None => closed,
        }
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.fd.local_addr()
    }

    /// The address at the other end.
    ///
    /// # Errors
    ///
    /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html): `ENOTCONN` for a connection
    /// that was reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.shared.fd.peer_addr()
    }

    /// Takes over a connected socket of std, which may be non-blocking.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self::from(OwnedFd::from(stream)))
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.shared.receiving.close();
        if let Some(driver) = self.shared.fd.bound_driver() {
            driver.finish_later(&self.shared.sending);
        }
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.fd.as_raw_fd()
    }
}

impl From<OwnedFd> for TcpStream {
    /// Takes over a connected socket.
    fn from(fd: OwnedFd) -> Self {
        Self::from_fd(SharedFd::adopt(fd))
    }
}

fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the buffer has no room: give a Vec a capacity beyond its length")
}
