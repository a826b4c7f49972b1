//! `Throttle`: no more than one item each so often.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::{Instant, Sleep, sleep_until};

pin_project! {
    /// The stream of [`StreamExt::throttle`](crate::StreamExt::throttle).
    #[derive(Debug)]
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Throttle<S> {
        #[pin]
        stream: S,
        // The time between two items.
        duration: Duration,
        // Until the stream may be polled again.
        sleep: Sleep,
    }
}

impl<S> Throttle<S> {
    #[track_caller]
    pub(crate) fn new(stream: S, duration: Duration) -> Self {
        // The first item may come at once.
        Self { stream, duration, sleep: sleep_until(Instant::now()) }
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream itself, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Takes the stream back.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Stream> Stream for Throttle<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let mut sleep = Pin::new(this.sleep);
        ready!(sleep.as_mut().poll(cx));
        let item = ready!(this.stream.poll_next(cx));
        if item.is_some() {
            sleep.reset(Instant::now() + *this.duration);
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S: FusedStream> FusedStream for Throttle<S> {
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated()
    }
}
