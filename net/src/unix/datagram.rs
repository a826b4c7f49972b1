//! The Unix datagram socket.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::path::Path;
use std::rc::Rc;

use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::Traffic;
use quoit_runtime::socket::{RawAddress, SocketOption, UnixKind};

use crate::datagram::{Datagrams, Portion, datagram_handle, datagram_methods, give_up, whole};
use crate::unix::RecvMsgs;

/// A Unix socket for datagrams, which are neither lost nor reordered on their way.
///
/// All methods take `&self`. What has arrived belongs to the socket until a future has returned it, and datagrams are sent one
/// after another, first come first served; a send waits while the receiver's queue is full.
///
/// Descriptors that come with a datagram are closed: pass them along on a [`UnixStream`](crate::UnixStream).
///
/// # Examples
///
/// ```
/// use quoit_net::UnixDatagram;
///
/// # quoit_runtime::block_on(async {
/// let (one, other) = UnixDatagram::pair()?;
/// one.send("hello").await.0?;
/// let (received, buf) = other.recv(Vec::with_capacity(100)).await;
/// assert_eq!(&buf[..received?], b"hello");
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    core: Rc<Datagrams>,
}

impl UnixDatagram {
    fn from_fd(fd: SharedFd) -> Self {
        Self { core: Datagrams::new(fd, Traffic::UnixDatagrams) }
    }

    fn fd(&self) -> &SharedFd {
        self.core.fd()
    }

    /// A socket at a path, which is made, and stays when the socket is gone.
    ///
    /// # Errors
    ///
    /// `AddrInUse` where there is something at the path; `InvalidInput` for a path of more than 107 bytes; else those of
    /// [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_raw(&RawAddress::of_path(path.as_ref())?)
    }

    /// A socket at an address of std, which may be an abstract one.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::bind_raw(&RawAddress::of_unix(address)?)
    }

    fn bind_raw(address: &RawAddress) -> io::Result<Self> {
        let fd = SharedFd::unix(UnixKind::Datagram)?;
        fd.bind_unix(address)?;
        Ok(Self::from_fd(fd))
    }

    /// A socket without a name: it can send, but nobody can send to it.
    ///
    /// # Errors
    ///
    /// Those of [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
    pub fn unbound() -> io::Result<Self> {
        SharedFd::unix(UnixKind::Datagram).map(Self::from_fd)
    }

    /// Two sockets without names that are connected to each other.
    ///
    /// # Errors
    ///
    /// Those of [`socketpair(2)`](https://man7.org/linux/man-pages/man2/socketpair.2.html).
    pub fn pair() -> io::Result<(Self, Self)> {
        SharedFd::unix_pair(UnixKind::Datagram).map(|(one, other)| (Self::from_fd(one), Self::from_fd(other)))
    }

    /// Connects to the socket at a path: [`send`](Self::send) goes there, and only its datagrams are received.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the socket may be connected or not.
    ///
    /// # Errors
    ///
    /// Those of [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html); `InvalidInput` for a path of more than
    /// 107 bytes.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.core.connect(RawAddress::of_path(path.as_ref())?).await
    }

    /// As [`connect`](Self::connect), to an address of std.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); `InvalidInput` for that of a socket without a name.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.core.connect(RawAddress::of_unix(address)?).await
    }

    /// Sends a buffer as one datagram to the socket that this one is connected to, and answers its length.
    ///
    /// # Cancel safety
    ///
    /// A send has begun once it was polled and no earlier one is under way. Dropped before, it leaves no trace; dropped later,
    /// the datagram is sent behind your back. There are no halves of datagrams.
    ///
    /// # Errors
    ///
    /// Those of [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html): `EMSGSIZE` for what is too long, `ENOTCONN`
    /// where the socket is not connected, `ECONNREFUSED` where the other one is gone.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn send<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.core.send(buf, None::<RawAddress>).await
    }

    /// Sends a buffer as one datagram to the socket at a path. As [`send`](Self::send) otherwise.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); `NotFound` where there is no such path, `InvalidInput` for one of more than 107 bytes.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn send_to<B: IoBuf>(&self, buf: B, path: impl AsRef<Path>) -> BufResult<usize, B> {
        match RawAddress::of_path(path.as_ref()) {
            Ok(address) => self.core.send(buf, Some(address)).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// As [`send_to`](Self::send_to), to an address of std.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); `InvalidInput` for the address of a socket without a name.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn send_to_addr<B: IoBuf>(&self, buf: B, address: &SocketAddr) -> BufResult<usize, B> {
        match RawAddress::of_unix(address) {
            Ok(address) => self.core.send(buf, Some(address)).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// As [`recv`](Self::recv), and answers also who sent the datagram, if that socket has a name.
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn recv_from<B: IoBufMut>(&self, buf: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buf) = self.core.receive(buf, Portion::One).await;
        (received.and_then(|received| Ok((whole(&received)?, received.address.unix()?))), buf)
    }

    /// The datagrams that arrive, one after another, in buffers of the ring that go back to it when they are dropped: the way
    /// to receive many.
    ///
    /// A datagram that is longer than a buffer of the pool (8 KiB, less 126 bytes for what stands in front; see
    /// [`Builder::buffer_pool`](quoit_runtime::Builder::buffer_pool)) is cut, and
    /// [says so](quoit_runtime::buf::RecvBuf::is_truncated); also for other receivers, as long as such a stream lives.
    ///
    /// The stream ends by a [`shutdown`](Self::shutdown), but neither by an empty datagram nor by an error.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: what a dropped stream would have had goes to the next receiver.
    ///
    /// # Panics
    ///
    /// Polled outside a runtime.
    pub fn recv_msgs(&self) -> RecvMsgs<'_> {
        RecvMsgs::new(&self.core)
    }

    /// As [`peek`](Self::peek), and answers also who sent the datagram.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn peek_from<B: IoBufMut>(&self, buf: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buf) = self.core.receive(buf, Portion::Peek).await;
        (received.and_then(|received| Ok((received.len, received.address.unix()?))), buf)
    }

    /// Shuts down a direction, or both; sending behind the datagrams that are being sent. When receiving was shut down,
    /// receives answer 0 bytes of nobody, behind what had arrived, and the stream of [`recv_msgs`](Self::recv_msgs) ends.
    ///
    /// # Cancel safety
    ///
    /// It happens also if the future is dropped once it was polled.
    ///
    /// # Errors
    ///
    /// Those of [`shutdown(2)`](https://man7.org/linux/man-pages/man2/shutdown.2.html): `ENOTCONN` where the socket is not
    /// connected.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.core.shutdown(how).await
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd().local_unix_addr()
    }

    /// The address of the socket that this one is connected to.
    ///
    /// # Errors
    ///
    /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html): `ENOTCONN` where it is not
    /// connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.fd().peer_unix_addr()
    }

    /// The error that the socket has to tell, if there is one, which is taken by asking (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.fd().take_error()
    }

    /// The kernel's send buffer in bytes (`SO_SNDBUF`), as it counts them: twice of what was set. No datagram can be longer.
    ///
    /// # Errors
    ///
    /// As [`take_error`](Self::take_error).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.fd().send_buffer_size()
    }

    /// Sets [`send_buffer_size`](Self::send_buffer_size).
    ///
    /// # Errors
    ///
    /// Those of [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html).
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.fd().set_option(SocketOption::SendBufferSize(bytes))
    }

    datagram_methods!();

    /// Takes over a socket of std, which may be non-blocking.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn from_std(socket: StdDatagram) -> io::Result<Self> {
        Ok(Self::from(OwnedFd::from(socket)))
    }

    /// Gives the socket to std, in blocking mode.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` where operations are under way, or where something has arrived that nobody has taken: it would be lost.
    /// The socket is then closed.
    pub fn into_std(self) -> io::Result<StdDatagram> {
        let core = Rc::clone(&self.core);
        give_up(core, || drop(self)).map(Into::into)
    }
}

impl From<OwnedFd> for UnixDatagram {
    /// Takes over a Unix datagram socket.
    fn from(fd: OwnedFd) -> Self {
        Self::from_fd(SharedFd::adopt(fd))
    }
}

datagram_handle!(UnixDatagram);
