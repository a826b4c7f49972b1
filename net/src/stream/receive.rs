//! The future of `recv`, by hand: it is on the way of every message.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use quoit_runtime::buf::RecvBuf;
use quoit_runtime::cancel_scope::Wait;

use crate::stream::Shared;
use crate::stream::receiving::Receiving;
use crate::waiters::Place;

/// Waits for the next bytes of a stream.
#[must_use = "futures do nothing unless they are awaited"]
pub(crate) struct Receive<'a> {
    shared: &'a Rc<Shared>,
    /// Its place among those that wait.
    place: Place<'a>,
    /// What a cancel scope can end.
    wait: Wait,
}

impl<'a> Receive<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Rc<Shared>) -> Self {
        Self { shared, place: shared.receiving.place(), wait: Wait::default() }
    }
}

impl Future for Receive<'_> {
    type Output = io::Result<Option<RecvBuf>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, place, wait } = &mut *self;
        wait.poll(cx, |cx| Receiving::poll_recv(shared, cx, place))
    }
}
