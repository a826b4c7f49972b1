//! The listener.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;
use quoit_runtime::cancel_scope::{Wait, stoppable};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::socket::SocketOption;
use quoit_runtime::task::yield_now;

use crate::addr::{ToSocketAddrs, resolve};
use crate::tcp::accepting::Accepting;
use crate::tcp::stream::TcpStream;
use crate::waiters::Place;

/// A TCP socket that listens for connections.
///
/// Connections are accepted by one multishot operation into a queue of the listener, from the first call of
/// [`accept`](Self::accept) or [`incoming`](Self::incoming) on. Dropping the listener closes it, and with it the connections
/// that nobody has taken. Its port can be bound again by [`bind`](Self::bind) at once, by others after
/// [`close`](Self::close).
///
/// # Examples
///
/// ```no_run
/// use quoit_net::TcpListener;
///
/// # quoit_runtime::block_on(async {
/// // Takes connections by IPv4, too.
/// let listener = TcpListener::bind("[::]:7000").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     println!("{peer}");
///     quoit_runtime::spawn(async move { stream.write_all("hello\n").await.0 });
/// }
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    accepting: Rc<Accepting>,
}

impl TcpListener {
    /// Listens on an address: the first one of those given that can be bound. `SO_REUSEADDR` is on, the backlog is 1024.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, nothing is left bound.
    ///
    /// # Errors
    ///
    /// Those of resolving the name, and of [`bind(2)`](https://man7.org/linux/man-pages/man2/bind.2.html) and
    /// [`listen(2)`](https://man7.org/linux/man-pages/man2/listen.2.html) for the last address that was tried.
    ///
    /// # Panics
    ///
    /// Outside a runtime, where a name has to be resolved.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last_error = None;
        for address in resolve(&address).await? {
            match Self::bind_one(address).await {
                Ok(listener) => return Ok(listener),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    async fn bind_one(address: SocketAddr) -> io::Result<Self> {
        // A listener that this thread has just dropped lets go of its port within two turns: one to cancel its accept, one
        // to close it.
        for _turn in 0..TURNS_OF_A_CLOSE {
            match Self::listen(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => yield_now().await,
                listening => return listening,
            }
        }
        Self::listen(address)
    }

    fn listen(address: SocketAddr) -> io::Result<Self> {
        let fd = SharedFd::tcp(address)?;
        fd.set_option(SocketOption::ReuseAddress(true))?;
        fd.bind(address)?;
        fd.listen(BACKLOG)?;
        Ok(Self { accepting: Accepting::new(fd) })
    }

    /// The next connection, and the address of its peer.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: a connection belongs to the listener until a future has returned it.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`, `ENOBUFS` and `ENOMEM` are reported once; called again, it waits until there may be an end to the
    /// shortage, and connections that wait in the backlog are not lost. A connection that was reset before it was accepted
    /// is not reported: the next one is. Other errors are final.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let place = self.accepting.place();
        loop {
            let connection = stoppable(|cx| self.accepting.poll_accept(cx, &place)).await?;
            let fd = SharedFd::of_socket(connection);
            // Multishot accept does not tell the address. A peer that has hung up already has none.
            if let Ok(peer) = fd.peer_addr() {
                return Ok((TcpStream::from_fd(fd), peer));
            }
        }
    }

    /// The connections, one after another, without the addresses of their peers, which cost a system call each.
    ///
    /// The stream does not end. It gives errors as [`accept`](Self::accept) does.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: what a dropped stream would have had goes to the next caller.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self, place: self.accepting.place(), wait: Wait::default() }
    }

    /// Stops listening, and waits until the port is free.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the listener is closed all the same.
    ///
    /// # Errors
    ///
    /// Those of [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
    pub async fn close(self) -> io::Result<()> {
        let fd = self.accepting.fd().clone();
        // Cancels the accept in flight, which holds the other clones of the descriptor until it has ended.
        drop(self);
        fd.close().await
    }

    /// The address that it listens on, with the port that the system has picked for port 0.
    ///
    /// # Errors
    ///
    /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.accepting.fd().local_addr()
    }

    /// Takes over a listening socket of std, which may be non-blocking.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self::from(OwnedFd::from(listener)))
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.accepting.close();
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.accepting.fd().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.accepting.fd().as_raw_fd()
    }
}

impl From<OwnedFd> for TcpListener {
    /// Takes over a listening socket.
    fn from(fd: OwnedFd) -> Self {
        Self { accepting: Accepting::new(SharedFd::adopt(fd)) }
    }
}

/// The connections of a listener as a stream. Made by [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless they are polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
    place: Place<'a>,
    wait: Wait,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { listener, place, wait } = &mut *self;
        let poll = wait.poll(cx, |cx| listener.accepting.poll_accept(cx, place));
        if poll.is_ready() {
            // Whoever has got something goes behind the others.
            self.place = self.listener.accepting.place();
        }
        poll.map_ok(|connection| TcpStream::from_fd(SharedFd::of_socket(connection))).map(Some)
    }
}

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;
/// See `bind_one`.
const TURNS_OF_A_CLOSE: u32 = 3;
