//! The datagrams of a socket as a stream.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use quoit_runtime::buf::RecvBuf;

use crate::datagram::Datagrams;
use crate::waiters::Place;

/// The datagrams that a socket receives, with their senders. Made by [`UdpSocket::recv_msgs`](crate::UdpSocket::recv_msgs).
#[derive(Debug)]
#[must_use = "streams do nothing unless they are polled"]
pub struct RecvMsgs<'a> {
    core: &'a Rc<Datagrams>,
    place: Place<'a>,
}

impl<'a> RecvMsgs<'a> {
    pub(super) fn new(core: &'a Rc<Datagrams>) -> Self {
        core.begin_loans();
        Self { core, place: core.place() }
    }
}

impl Stream for RecvMsgs<'_> {
    type Item = io::Result<(RecvBuf, SocketAddr)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = ready!(self.core.poll_loan(cx, &self.place));
        // Whoever has got something goes behind the others.
        self.place = self.core.place();
        Poll::Ready(Some(received.and_then(|(bytes, address)| Ok((bytes, address.internet()?)))))
    }
}

impl Drop for RecvMsgs<'_> {
    fn drop(&mut self) {
        self.core.end_loans();
    }
}
