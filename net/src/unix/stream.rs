//! The Unix stream.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut};
use quoit_runtime::cancel_scope::check;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{Connect, MOST_DESCRIPTORS, submit_to};
use quoit_runtime::socket::{RawAddress, UnixKind};

use crate::stream::{StreamSocket, reading_methods, stream_conversions, whole_stream_methods, writing_methods};
use crate::unix::UCred;

/// A connection between two processes of one machine, or inside of one.
///
/// All methods take `&self`: one task may read while another writes. What has arrived belongs to the stream until a future
/// has returned it, and writes of several tasks follow one another whole, first come first served.
///
/// Descriptors can be passed along: see [`send_fds`](Self::send_fds) and [`recv_fds`](Self::recv_fds).
///
/// Dropping it ends receiving at once, lets a write that has begun finish behind it, and then closes. A peer that takes
/// nothing is cut off after [`Builder::close_deadline`](quoit_runtime::Builder::close_deadline). Inside of a runtime the close
/// leaves at the end of the turn: a task that drops a stream and then blocks its thread keeps the peer waiting for the end.
/// [`close`](Self::close) returns when the socket is closed.
///
/// # Examples
///
/// ```
/// use quoit_net::UnixStream;
///
/// # quoit_runtime::block_on(async {
/// let (one, other) = UnixStream::pair()?;
/// one.write_all("hello").await.0?;
/// let received = other.recv().await?.expect("not the end yet");
/// assert_eq!(&received[..], b"hello");
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixStream {
    core: StreamSocket,
}

impl UnixStream {
    pub(crate) fn from_fd(fd: SharedFd) -> Self {
        Self { core: StreamSocket::with_rights(fd) }
    }

    pub(crate) fn core(&self) -> &StreamSocket {
        &self.core
    }

    /// Connects to the listener at a path. Waits while its backlog is full.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the connection is given up and its socket is closed.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is nothing at the path, `ConnectionRefused` where nobody listens there any more, `InvalidInput`
    /// for a path of more than 107 bytes; else those of
    /// [`connect(2)`](https://man7.org/linux/man-pages/man2/connect.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_raw(RawAddress::of_path(path.as_ref())?).await
    }

    /// As [`connect`](Self::connect), to an address of std, which may be an abstract one.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); `InvalidInput` for the address of a socket without a name.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::connect_raw(RawAddress::of_unix(address)?).await
    }

    async fn connect_raw(address: RawAddress) -> io::Result<Self> {
        // In a scope that is cancelled not even a socket is made.
        check()?;
        let fd = SharedFd::unix(UnixKind::Stream)?;
        submit_to(fd.driver(), None, Connect::new(fd.clone(), address)).await?;
        Ok(Self::from_fd(fd))
    }

    /// Two streams without names that are connected to each other.
    ///
    /// # Errors
    ///
    /// Those of [`socketpair(2)`](https://man7.org/linux/man-pages/man2/socketpair.2.html).
    pub fn pair() -> io::Result<(Self, Self)> {
        SharedFd::unix_pair(UnixKind::Stream).map(|(one, other)| (Self::from_fd(one), Self::from_fd(other)))
    }

    reading_methods!();
    writing_methods!();
    whole_stream_methods!(crate::unix);

    /// Writes all of a buffer, and passes descriptors along with its first byte. They are duplicated on the way: the given
    /// ones are closed when they are out.
    ///
    /// # Cancel safety
    ///
    /// As [`write_all`](Self::write_all). The descriptors are closed also if nothing is sent.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without bytes, which could carry nothing, and for more than 253 descriptors; else as
    /// [`write_all`](Self::write_all), and `ETOOMANYREFS` where too many descriptors of this user are on their way.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    ///
    /// use quoit_net::UnixStream;
    ///
    /// # quoit_runtime::block_on(async {
    /// let (one, other) = UnixStream::pair()?;
    /// one.send_fds("a file", vec![File::open("/dev/null")?.into()]).await.0?;
    /// let (received, buf) = other.recv_fds(Vec::with_capacity(100)).await;
    /// let (bytes, fds) = received?;
    /// assert_eq!((&buf[..bytes], fds.len()), (&b"a file"[..], 1));
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn send_fds<B: IoBuf>(&self, buf: B, fds: Vec<OwnedFd>) -> BufResult<(), B> {
        if buf.is_empty() || fds.len() > MOST_DESCRIPTORS {
            let text = "descriptors are passed along with at least one byte, and at most 253 at once";
            return (Err(io::Error::new(io::ErrorKind::InvalidInput, text)), buf);
        }
        self.core.send_fds(buf, fds).await
    }

    /// Reads as [`read`](Self::read), and takes the descriptors that came with the bytes.
    ///
    /// From the first call on, the stream takes no more from the kernel at once than a reader has room for. So who knows how
    /// long messages are gets descriptors with the very bytes that they were sent with; with more room there may also be bytes
    /// before those, as with [`recvmsg(2)`](https://man7.org/linux/man-pages/man2/recvmsg.2.html), but none that were sent with
    /// other descriptors. Call it first of all where every read is for descriptors; what [`recv`](Self::recv) and its like
    /// read ahead may be together with bytes that came later.
    ///
    /// All descriptors are closed on exec. Those whose bytes are read by other methods are closed.
    ///
    /// # Cancel safety
    ///
    /// Loses neither bytes nor descriptors: they belong to the stream until a future has returned them, and are closed with
    /// it.
    ///
    /// # Errors
    ///
    /// `EMFILE` where this process had no room for some of the descriptors, which are gone then. It is told once; the next
    /// call gives the bytes, and the descriptors that there was room for. Else as [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn recv_fds<B: IoBufMut>(&self, buf: B) -> BufResult<(usize, Vec<OwnedFd>), B> {
        self.core.recv_fds(buf).await
    }

    /// Who the peer was when it connected, or made the pair.
    ///
    /// # Errors
    ///
    /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html).
    pub fn peer_cred(&self) -> io::Result<UCred> {
        self.core.fd().peer_credentials().map(UCred::new)
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.fd().local_unix_addr()
    }

    /// The address at the other end: most often none.
    ///
    /// # Errors
    ///
    /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.core.fd().peer_unix_addr()
    }

    /// The error that the socket has to tell, if there is one, which is taken by asking (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// As [`peer_cred`](Self::peer_cred).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.core.fd().take_error()
    }
}

stream_conversions!(UnixStream, StreamSocket, std::os::unix::net::UnixStream, adopt);

/// A connected socket from outside.
fn adopt(fd: OwnedFd) -> StreamSocket {
    StreamSocket::with_rights(SharedFd::adopt(fd))
}
