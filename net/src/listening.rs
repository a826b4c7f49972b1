//! What all listening sockets have in common: the queue of connections, closing, and the way to std and back.
//!
//! A listener type is a struct with one field, `core: ListenerSocket`; it makes its streams of the descriptors that
//! [`accept`](ListenerSocket::accept) and [`Connections`] hand out, and has `stream_conversions!` for std.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use quoit_runtime::cancel_scope::{Wait, stoppable};
use quoit_runtime::fd::SharedFd;

use crate::accepting::Accepting;
use crate::waiters::Place;

/// A listening socket. Dropping it closes it, and the connections that nobody has taken.
#[derive(Debug)]
pub(crate) struct ListenerSocket {
    accepting: Rc<Accepting>,
}

impl ListenerSocket {
    pub(crate) fn from_fd(fd: SharedFd) -> Self {
        Self { accepting: Accepting::new(fd) }
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        self.accepting.fd()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<SharedFd> {
        let place = self.accepting.place();
        stoppable(|cx| self.accepting.poll_accept(cx, &place)).await
    }

    /// The connections one after another, for a stream of them.
    pub(crate) fn connections(&self) -> Connections<'_> {
        Connections { listener: self, place: self.accepting.place(), wait: Wait::default() }
    }

    pub(crate) async fn close(self) -> io::Result<()> {
        let fd = self.fd().clone();
        // Cancels the accept in flight, which holds the other clones of the descriptor until it has ended.
        drop(self);
        fd.close().await
    }

    /// The descriptor alone, without anything that could still use it.
    ///
    /// # Errors
    ///
    /// Gives the listener back where there are connections that nobody has taken.
    pub(crate) fn into_fd(self) -> Result<OwnedFd, Self> {
        let is_idle = self.accepting.quiesce();
        if !is_idle || Rc::strong_count(&self.accepting) > 1 || !self.fd().is_unshared() {
            return Err(self);
        }
        let fd = self.fd().clone();
        drop(self);
        Ok(fd.try_unwrap().unwrap_or_else(|fd| unreachable!("{fd:?} had one owner, which is gone")))
    }
}

impl Drop for ListenerSocket {
    fn drop(&mut self) {
        self.accepting.close();
    }
}

impl From<OwnedFd> for ListenerSocket {
    fn from(fd: OwnedFd) -> Self {
        Self::from_fd(SharedFd::adopt(fd))
    }
}

/// What a stream of connections holds.
#[derive(Debug)]
pub(crate) struct Connections<'a> {
    listener: &'a ListenerSocket,
    place: Place<'a>,
    wait: Wait,
}

impl Connections<'_> {
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<SharedFd>> {
        let Self { listener, place, wait } = self;
        let poll = wait.poll(cx, |cx| listener.accepting.poll_accept(cx, place));
        if poll.is_ready() {
            // Whoever has got something goes behind the others.
            self.place = self.listener.accepting.place();
        }
        poll
    }
}
