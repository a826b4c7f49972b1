//! The datagrams of a socket as a stream.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use quoit_runtime::buf::RecvBuf;

use crate::datagram::{Datagrams, Loans};

/// The datagrams that a socket receives, with their senders. Made by [`UdpSocket::recv_msgs`](crate::UdpSocket::recv_msgs).
#[derive(Debug)]
#[must_use = "streams do nothing unless they are polled"]
pub struct RecvMsgs<'a> {
    loans: Loans<'a>,
}

impl<'a> RecvMsgs<'a> {
    pub(super) fn new(core: &'a Rc<Datagrams>) -> Self {
        Self { loans: Loans::new(core) }
    }
}

impl Stream for RecvMsgs<'_> {
    type Item = io::Result<(RecvBuf, SocketAddr)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = ready!(self.loans.poll_next(cx));
        Poll::Ready(received.map(|received| received.and_then(|(bytes, address)| Ok((bytes, address.internet()?)))))
    }
}
