//! The UDP socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::Traffic;

use crate::addr::{ToSocketAddrs, resolve, resolve_first};
use crate::datagram::{Datagrams, Portion, datagram_handle, datagram_methods, give_up, whole};
use crate::udp::RecvMsgs;

/// A UDP socket.
///
/// All methods take `&self`: one task may receive while others send. What has arrived belongs to the socket until a future
/// has returned it, so a receive that is dropped or forgotten loses no datagram; and datagrams are sent one after another,
/// first come first served.
///
/// Neither an empty datagram nor an error ends anything: an error, such as that an earlier datagram found no receiver
/// (`ECONNREFUSED`), is told once.
///
/// Dropping it ends receiving at once, and lets what is being sent go out.
///
/// # Examples
///
/// ```
/// use quoit_net::UdpSocket;
///
/// # quoit_runtime::block_on(async {
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// client.send_to("hello", server.local_addr()?).await.0?;
///
/// let (received, buf) = server.recv_from(Vec::with_capacity(1500)).await;
/// let (bytes, from) = received?;
/// assert_eq!((&buf[..bytes], from), (&b"hello"[..], client.local_addr()?));
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    core: Rc<Datagrams>,
}

/// What [`UdpSocket::recv_msg`] has received, beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvMeta {
    /// How many bytes are in the buffer.
    pub len: usize,
    /// Who sent them.
    pub addr: SocketAddr,
    /// The datagram was longer than the buffer: the rest of it is gone.
    pub truncated: bool,
    /// The bytes are several datagrams of this size, of which the last one may be shorter. Only after
    /// [`set_gro`](UdpSocket::set_gro).
    pub segment_bytes: Option<u16>,
}

impl UdpSocket {
    fn from_fd(fd: SharedFd) -> Self {
        Self { core: Datagrams::new(fd, Traffic::Internet) }
    }

    pub(super) fn fd(&self) -> &SharedFd {
        self.core.fd()
    }

    pub(super) fn core(&self) -> &Datagrams {
        &self.core
    }

    /// A socket that is bound to an address: the first one of those given that can be bound. Port 0 lets the system pick one.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, nothing is left bound.
    ///
    /// # Errors
    ///
    /// Those of resolving the name, and of [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html) for the last address
    /// that was tried.
    ///
    /// # Panics
    ///
    /// Outside a runtime, where a name has to be resolved.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last_error = None;
        for address in resolve(&address).await? {
            let bound = SharedFd::udp(address).and_then(|fd| fd.bind(address).map(|()| Self::from_fd(fd)));
            match bound {
                Ok(socket) => return Ok(socket),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    /// An IPv4 socket that is not bound yet, for options that have to be set before: see [`bind_to`](Self::bind_to).
    ///
    /// # Errors
    ///
    /// Those of [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html).
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_net::UdpSocket;
    ///
    /// // Two that share a port, as receivers of multicast do.
    /// let one = UdpSocket::new_v4()?;
    /// one.set_reuseaddr(true)?;
    /// one.bind_to("0.0.0.0:0".parse().unwrap())?;
    /// let other = UdpSocket::new_v4()?;
    /// other.set_reuseaddr(true)?;
    /// other.bind_to(one.local_addr()?)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new_v4() -> io::Result<Self> {
        SharedFd::udp((Ipv4Addr::UNSPECIFIED, 0).into()).map(Self::from_fd)
    }

    /// As [`new_v4`](Self::new_v4), for IPv6.
    ///
    /// # Errors
    ///
    /// As [`new_v4`](Self::new_v4).
    pub fn new_v6() -> io::Result<Self> {
        SharedFd::udp((Ipv6Addr::UNSPECIFIED, 0).into()).map(Self::from_fd)
    }

    /// Binds a socket that is not bound yet.
    ///
    /// # Errors
    ///
    /// Those of [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html).
    pub fn bind_to(&self, address: SocketAddr) -> io::Result<()> {
        self.fd().bind(address)
    }

    /// Connects to an address; of several, to the first one that can be. From then on the socket sends there by
    /// [`send`](Self::send), and what others send to it is not received. (What had arrived before still is.)
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the socket may be connected or not.
    ///
    /// # Errors
    ///
    /// Those of resolving the name, and of [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html) for the last
    /// address that was tried.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let mut last_error = None;
        for address in resolve(&address).await? {
            match self.core.connect(address.into()).await {
                Ok(()) => return Ok(()),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    /// Sends a buffer as one datagram to the address that the socket is [connected](Self::connect) to, and answers its
    /// length. With [`set_gso`](Self::set_gso), as several.
    ///
    /// # Cancel safety
    ///
    /// A send has begun once it was polled and no earlier one is under way. Dropped before, it leaves no trace; dropped later,
    /// the datagram is sent behind your back. There are no halves of datagrams.
    ///
    /// # Errors
    ///
    /// Those of [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html): `EMSGSIZE` for what is too long,
    /// `EDESTADDRREQ` where the socket is not connected, `ECONNREFUSED` where an earlier datagram found no receiver.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn send<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.core.send(buf, None::<SocketAddr>).await
    }

    /// Sends a buffer as one datagram to an address; of several, to the first one. As [`send`](Self::send) otherwise.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and those of resolving the name.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn send_to<B: IoBuf>(&self, buf: B, address: impl ToSocketAddrs) -> BufResult<usize, B> {
        match resolve_first(&address).await {
            Ok(address) => self.core.send(buf, Some(address)).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// As [`recv`](Self::recv), and answers also who sent the datagram.
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
        (received.and_then(|received| Ok((whole(&received)?, received.address.internet()?))), buf)
    }

    /// Receives a datagram, and tells all there is to know of it. One that is cut is no error here.
    ///
    /// After [`set_gro`](Self::set_gro), it may be several datagrams of one sender, as many of them as fit whole.
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), but no `EMSGSIZE`.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn recv_msg<B: IoBufMut>(&self, buf: B) -> BufResult<RecvMeta, B> {
        let (received, buf) = self.core.receive(buf, Portion::Several).await;
        let meta = received.and_then(|received| {
            Ok(RecvMeta {
                len: received.len,
                addr: received.address.internet()?,
                truncated: received.truncated,
                segment_bytes: received.segment_bytes,
            })
        });
        (meta, buf)
    }

    /// The datagrams that arrive, one after another, in buffers of the ring that go back to it when they are dropped: the way
    /// to receive many.
    ///
    /// A datagram that is longer than a buffer of the pool (8 KiB, less 108 bytes for what stands in front; see
    /// [`Builder::buffer_pool`](quoit_runtime::Builder::buffer_pool)) is cut, and
    /// [says so](quoit_runtime::buf::RecvBuf::is_truncated); also for other receivers, as long as such a stream lives. With
    /// [`set_gro`](Self::set_gro) it has memory of its own, and is never cut.
    ///
    /// The stream does not end, neither by an empty datagram nor by an error.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: what a dropped stream would have had goes to the next receiver.
    ///
    /// # Panics
    ///
    /// Polled outside a runtime.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures_util::StreamExt;
    /// use quoit_net::UdpSocket;
    ///
    /// # quoit_runtime::block_on(async {
    /// let socket = UdpSocket::bind("[::]:7000").await?;
    /// let mut datagrams = socket.recv_msgs();
    /// while let Some(received) = datagrams.next().await {
    ///     match received {
    ///         Ok((datagram, from)) => _ = socket.send_to(datagram, from).await,
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
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
        (received.and_then(|received| Ok((received.len, received.address.internet()?))), buf)
    }

    /// The address at this end, with the port that the system has picked for port 0.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.fd().local_addr()
    }

    /// The address that the socket is connected to.
    ///
    /// # Errors
    ///
    /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html): `ENOTCONN` where it is not
    /// connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.fd().peer_addr()
    }

    datagram_methods!();

    /// Takes over a socket of std, which may be non-blocking.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self::from(OwnedFd::from(socket)))
    }

    /// Gives the socket to std, in blocking mode.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` where operations are under way, or where something has arrived that nobody has taken: it would be lost.
    /// The socket is then closed.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        let core = Rc::clone(&self.core);
        give_up(core, || drop(self)).map(Into::into)
    }
}

impl From<OwnedFd> for UdpSocket {
    /// Takes over a UDP socket.
    fn from(fd: OwnedFd) -> Self {
        let socket = Self::from_fd(SharedFd::adopt(fd));
        // Somebody may have set it before.
        socket.core.set_coalesces(socket.fd().coalesces().unwrap_or(false));
        socket
    }
}

datagram_handle!(UdpSocket);
