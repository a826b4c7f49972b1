//! The stream.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use quoit_runtime::cancel_scope::check;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{Connect, submit_to};
use quoit_runtime::timer::{Instant, Timer};

use crate::addr::{ToSocketAddrs, resolve};
use crate::stream::{StreamSocket, reading_methods, stream_conversions, whole_stream_methods, writing_methods};
use crate::tcp::options::tcp_options;

/// A TCP connection.
///
/// All methods take `&self`: one task may read while another writes. What has arrived belongs to the stream until a future
/// has returned it, and writes of several tasks follow one another whole, first come first served.
///
/// Dropping it ends receiving at once, lets a write that has begun finish behind it, and then closes. A peer that takes
/// nothing is cut off after [`Builder::close_deadline`](quoit_runtime::Builder::close_deadline). Inside of a runtime the close
/// leaves at the end of the turn: a task that drops a stream and then blocks its thread keeps the peer waiting for the end.
/// [`close`](Self::close) returns when the socket is closed.
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
    core: StreamSocket,
}

impl TcpStream {
    pub(crate) fn from_fd(fd: SharedFd) -> Self {
        Self { core: StreamSocket::from_fd(fd) }
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        self.core.fd()
    }

    pub(crate) fn core(&self) -> &StreamSocket {
        &self.core
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

    /// As [`connect`](Self::connect), but not longer than `limit` for everything: resolving the name and trying the
    /// addresses.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// `TimedOut` where the time is over first; else as [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn connect_timeout(address: impl ToSocketAddrs, limit: Duration) -> io::Result<Self> {
        let mut deadline = Timer::new(Instant::now() + limit);
        let mut connecting = pin!(Self::connect(address));
        let too_late = || io::Error::new(io::ErrorKind::TimedOut, "no address has answered in time");
        poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Pending => deadline.poll_elapsed(cx).map(|()| Err(too_late())),
            connected => connected,
        })
        .await
    }

    async fn connect_one(address: SocketAddr) -> io::Result<Self> {
        // In a scope that is cancelled not even a socket is made.
        check()?;
        Self::connect_socket(SharedFd::tcp(address)?, address).await
    }

    /// A socket whose connect is given up is dropped: the kernel goes on connecting it.
    pub(crate) async fn connect_socket(fd: SharedFd, address: SocketAddr) -> io::Result<Self> {
        submit_to(fd.driver(), None, Connect::new(fd.clone(), address)).await?;
        Ok(Self::from_fd(fd))
    }

    reading_methods!();
    writing_methods!();
    whole_stream_methods!(crate::tcp::halves);
    tcp_options!();

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.fd().local_addr()
    }

    /// The address at the other end.
    ///
    /// # Errors
    ///
    /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html): `ENOTCONN` for a connection
    /// that was reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.core.fd().peer_addr()
    }
}

stream_conversions!(TcpStream, StreamSocket, std::net::TcpStream);
