//! The Unix listener.

use std::io;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::socket::{RawAddress, UnixKind};

use crate::listening::{Connections, ListenerSocket};
use crate::stream::stream_conversions;
use crate::unix::UnixStream;

/// A Unix socket that listens for connections.
///
/// Connections are accepted by one multishot operation into a queue of the listener, from the first call of
/// [`accept`](Self::accept) or [`incoming`](Self::incoming) on. Dropping the listener closes it, and with it the connections
/// that nobody has taken. Its path stays: remove it before it is bound again.
///
/// # Examples
///
/// ```
/// use std::os::linux::net::SocketAddrExt;
/// use std::os::unix::net::SocketAddr;
///
/// use quoit_net::{UnixListener, UnixStream};
///
/// # quoit_runtime::block_on(async {
/// let address = SocketAddr::from_abstract_name(format!("quoit-doc-{}", std::process::id()))?;
/// let listener = UnixListener::bind_addr(&address)?;
/// let client = UnixStream::connect_addr(&address).await?;
/// let (server, _unnamed) = listener.accept().await?;
/// client.write_all("hello").await.0?;
/// assert_eq!(server.recv().await?.unwrap(), b"hello");
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixListener {
    core: ListenerSocket,
}

impl UnixListener {
    /// Listens at a path, which is made, and stays when the listener is gone. The backlog is 1024.
    ///
    /// # Errors
    ///
    /// `AddrInUse` where there is something at the path; `InvalidInput` for a path of more than 107 bytes; else those of
    /// [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html) and
    /// [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_raw(&RawAddress::of_path(path.as_ref())?)
    }

    /// Listens at an address of std, which may be an abstract one.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::bind_raw(&RawAddress::of_unix(address)?)
    }

    fn bind_raw(address: &RawAddress) -> io::Result<Self> {
        let fd = SharedFd::unix(UnixKind::Stream)?;
        fd.bind_unix(address)?;
        fd.listen(BACKLOG)?;
        Ok(Self { core: ListenerSocket::from_fd(fd) })
    }

    /// The next connection, and the address of its peer, which most often has none.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: a connection belongs to the listener until a future has returned it.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`, `ENOBUFS` and `ENOMEM` are reported once; called again, it waits until there may be an end to the
    /// shortage, and connections that wait in the backlog are not lost. Other errors are final.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let fd = self.core.accept().await?;
        // One that has hung up may have no address any more, but it may have sent something before.
        let peer = fd.peer_unix_addr().or_else(|_| SocketAddr::from_pathname(""))?;
        Ok((UnixStream::from_fd(fd), peer))
    }

    /// The connections, one after another.
    ///
    /// The stream does not end. It gives errors as [`accept`](Self::accept) does.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: what a dropped stream would have had goes to the next caller.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { connections: self.core.connections() }
    }

    /// Stops listening, and waits until the socket is closed. The path stays.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the listener is closed all the same.
    ///
    /// # Errors
    ///
    /// Those of [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    pub async fn close(self) -> io::Result<()> {
        self.core.close().await
    }

    /// The address that it listens at.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.fd().local_unix_addr()
    }
}

stream_conversions!(UnixListener, ListenerSocket, StdListener);

/// The connections of a listener as a stream. Made by [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless they are polled"]
pub struct Incoming<'a> {
    connections: Connections<'a>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_next(cx).map_ok(UnixStream::from_fd).map(Some)
    }
}

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;
