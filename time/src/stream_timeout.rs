//! `StreamTimeout`: a deadline for each item of a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::{Elapsed, Instant, Sleep, sleep_until};

pin_project! {
    /// The stream of [`StreamExt::timeout`](crate::StreamExt::timeout).
    #[derive(Debug)]
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct StreamTimeout<S> {
        #[pin]
        stream: S,
        // How long each item may take.
        duration: Duration,
        // Somebody waits for an item, which is due when `sleep` is over.
        is_waiting: bool,
        sleep: Sleep,
    }
}

impl<S> StreamTimeout<S> {
    #[track_caller]
    pub(crate) fn new(stream: S, duration: Duration) -> Self {
        Self { stream, duration, is_waiting: false, sleep: sleep_until(Instant::NEVER) }
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream itself, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Takes the stream back, without its deadline.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Stream> Stream for StreamTimeout<S> {
    type Item = Result<S::Item, Elapsed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        // The stream first: what is there is there, even if it is late.
        if let Poll::Ready(item) = this.stream.poll_next(cx) {
            *this.is_waiting = false;
            return Poll::Ready(item.map(Ok));
        }
        let mut sleep = Pin::new(this.sleep);
        if !std::mem::replace(this.is_waiting, true) {
            sleep.as_mut().reset(Instant::now() + *this.duration);
        }
        ready!(sleep.poll(cx));
        *this.is_waiting = false;
        Poll::Ready(Some(Err(Elapsed::new())))
    }
}

impl<S: FusedStream> FusedStream for StreamTimeout<S> {
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated()
    }
}
