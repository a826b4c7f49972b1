//! The future of a write of one buffer, by hand: it is on the way of every message, and an `async fn` would keep room for the
//! buffer twice, and move it as often.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use quoit_runtime::buf::{BufResult, IoBuf};
use quoit_runtime::op::{Begun, InFlight, Send};

use crate::stream::StreamSocket;

/// How much of its buffer a write is to bring out, and what it answers.
pub(crate) trait Extent {
    type Output;

    fn send<B: IoBuf>(socket: &StreamSocket, buf: B) -> Send<B>;

    fn output(sent: usize) -> Self::Output;
}

/// As much as the kernel takes at once; the answer is how much.
pub(crate) struct Part;

/// All of it.
pub(crate) struct Whole;

impl Extent for Part {
    type Output = usize;

    #[inline]
    fn send<B: IoBuf>(socket: &StreamSocket, buf: B) -> Send<B> {
        Send::some(socket.fd().clone(), buf)
    }

    #[inline]
    fn output(sent: usize) -> usize {
        sent
    }
}

impl Extent for Whole {
    type Output = ();

    #[inline]
    fn send<B: IoBuf>(socket: &StreamSocket, buf: B) -> Send<B> {
        Send::all(socket.fd().clone(), buf)
    }

    #[inline]
    fn output(_: usize) {}
}

/// The future of `write` and `write_all`.
#[must_use = "futures do nothing unless they are awaited"]
pub(crate) struct Writing<'a, B: IoBuf, E: Extent> {
    socket: &'a StreamSocket,
    state: State<B>,
    extent: PhantomData<E>,
}

enum State<B: IoBuf> {
    /// It was not polled yet; or it has ended at once, and the buffer was given back.
    Unsent(Option<B>),
    UnderWay(InFlight<Send<B>>),
}

impl<'a, B: IoBuf, E: Extent> Writing<'a, B, E> {
    #[inline]
    pub(super) fn new(socket: &'a StreamSocket, buf: B) -> Self {
        Self { socket, state: State::Unsent(Some(buf)), extent: PhantomData }
    }
}

/// The buffer may move until it is sent, and then it is in the slot of its op.
impl<B: IoBuf, E: Extent> Unpin for Writing<'_, B, E> {}

impl<B: IoBuf, E: Extent> Future for Writing<'_, B, E> {
    type Output = BufResult<E::Output, B>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Unsent(buf) = &mut this.state {
            let Some(buf) = buf.take() else { finished() };
            if let Some(result) = this.socket.send_now(&buf) {
                return Poll::Ready((result.map(E::output), buf));
            }
            match this.socket.begin(E::send(this.socket, buf)) {
                Begun::Ended((result, buf)) => return Poll::Ready((result.map(E::output), buf)),
                Begun::UnderWay(send) => this.state = State::UnderWay(send),
            }
        }
        let State::UnderWay(send) = &mut this.state else { unreachable!("it was sent") };
        let (result, buf) = ready!(Pin::new(send).poll(cx));
        Poll::Ready((result.map(E::output), buf))
    }
}

#[cold]
fn finished() -> ! {
    panic!("the future of a write was polled after it had completed")
}
