//! A stream of loans: the datagrams of a socket, in the buffers that they lie in.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quoit_runtime::buf::RecvBuf;
use quoit_runtime::cancel_scope::Wait;
use quoit_runtime::socket::Address;

use crate::datagram::Datagrams;
use crate::waiters::Place;

/// As long as it lives, a multishot receive may feed the queue.
#[derive(Debug)]
pub(crate) struct Loans<'a> {
    core: &'a Rc<Datagrams>,
    place: Place<'a>,
    wait: Wait,
}

impl<'a> Loans<'a> {
    pub(crate) fn new(core: &'a Rc<Datagrams>) -> Self {
        core.begin_loans();
        Self { core, place: core.place(), wait: Wait::default() }
    }

    /// The next datagram; `None` when receiving was shut down.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<(RecvBuf, Address)>>> {
        let Self { core, place, wait } = self;
        let received = ready!(wait.poll(cx, |cx| core.poll_loan(cx, place))).transpose();
        // Whoever has got something goes behind the others.
        self.place = self.core.place();
        Poll::Ready(received)
    }
}

impl Drop for Loans<'_> {
    fn drop(&mut self) {
        self.core.end_loans();
    }
}
