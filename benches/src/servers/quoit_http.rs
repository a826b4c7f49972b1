//! A stream of quoit as hyper wants it: polled, and with buffers that are lent instead of owned.
//!
//! What was received stays in the ring's buffer until hyper has taken it. What hyper writes is gathered, and leaves with its
//! flush, of which there is one for each answer (or for several that were asked for together): hyper's bytes are copied once,
//! into a buffer that goes to the ring and comes back. Neither way allocates anything per request.
//!
//! A flush has done its part when the ring has the bytes, as one of a socket has when the kernel has them: hyper is not polled
//! once more to be told that they are out. Where the send before is still under way the flush waits for it. What goes wrong is
//! told by the next flush, and the end of the stream, which waits for everything.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::stream::{self, Stream, StreamExt as _};
use hyper::rt::{Read, ReadBufCursor, Write};
use quoit::RecvBuf;
use quoit::net::TcpStream;

/// A stream for hyper.
pub(super) struct HyperStream {
    stream: Rc<TcpStream>,
    receiver: Pin<Box<dyn Stream<Item = io::Result<RecvBuf>>>>,
    /// What has been received, and how much of it hyper has.
    received: Option<(RecvBuf, usize)>,
    writer: Pin<Box<dyn Future<Output = io::Error>>>,
    outgoing: Rc<RefCell<Outgoing>>,
    shutdown: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
}

/// What is written and not out. Its two buffers go back and forth between hyper and the ring.
#[derive(Default)]
struct Outgoing {
    /// Where hyper's bytes are gathered.
    gathered: Vec<u8>,
    /// Empty, or with the ring.
    spare: Option<Vec<u8>>,
    is_with_ring: bool,
}

impl HyperStream {
    pub(super) fn new(stream: TcpStream) -> HyperStream {
        let stream = Rc::new(stream);
        let outgoing = Rc::new(RefCell::new(Outgoing::default()));
        let receiver = stream::unfold(Rc::clone(&stream), async |stream| {
            let received = stream.recv().await.transpose()?;
            Some((received, stream))
        });
        HyperStream {
            receiver: Box::pin(receiver),
            received: None,
            writer: Box::pin(write(Rc::clone(&stream), Rc::clone(&outgoing))),
            outgoing,
            shutdown: None,
            stream,
        }
    }

    /// Goes on with what is to be sent, as far as that takes no waiting.
    fn poll_writer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.writer.as_mut().poll(cx) {
            Poll::Ready(error) => {
                // It has ended: an error stays one.
                let again = io::Error::new(error.kind(), error.to_string());
                self.writer = Box::pin(async move { again });
                Err(error)
            }
            Poll::Pending => Ok(()),
        }
    }
}

/// Sends what was gathered, again and again, until something fails. Polled by who flushes.
async fn write(stream: Rc<TcpStream>, outgoing: Rc<RefCell<Outgoing>>) -> io::Error {
    loop {
        let bytes = poll_fn(|_| match outgoing.borrow_mut().begin() {
            Some(bytes) => Poll::Ready(bytes),
            None => Poll::Pending,
        });
        let (result, buf) = stream.write_all(bytes.await).await;
        outgoing.borrow_mut().finish(buf);
        if let Err(error) = result {
            return error;
        }
    }
}

impl Outgoing {
    /// Everything is with the ring, or out.
    fn is_handed_over(&self) -> bool {
        self.gathered.is_empty()
    }

    /// The bytes to send next.
    fn begin(&mut self) -> Option<Vec<u8>> {
        if self.gathered.is_empty() {
            return None;
        }
        self.is_with_ring = true;
        let spare = self.spare.take().unwrap_or_default();
        Some(std::mem::replace(&mut self.gathered, spare))
    }

    fn finish(&mut self, mut buf: Vec<u8>) {
        buf.clear();
        self.spare = Some(buf);
        self.is_with_ring = false;
    }

    fn is_out(&self) -> bool {
        self.gathered.is_empty() && !self.is_with_ring
    }
}

impl Read for HyperStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (received, taken) = match &mut this.received {
            Some(received) => received,
            None => match ready!(this.receiver.poll_next_unpin(cx)) {
                Some(received) => this.received.insert((received?, 0)),
                // Nothing in the buffer is the end.
                None => return Poll::Ready(Ok(())),
            },
        };
        let rest = &received[*taken..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        *taken += count;
        if *taken == received.len() {
            this.received = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// Without lists of parts: hyper puts a short body behind its head for less.
impl Write for HyperStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.outgoing.borrow().gathered.len() >= GATHERED_BYTES {
            ready!(self.as_mut().poll_flush(cx))?;
        }
        self.outgoing.borrow_mut().gathered.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.outgoing.borrow().is_handed_over() {
            return Poll::Ready(Ok(()));
        }
        // Nobody waits for what the ring has.
        this.poll_writer(&mut Context::from_waker(Waker::noop()))?;
        if !this.outgoing.borrow().is_handed_over() {
            // The send before is under way.
            this.poll_writer(cx)?;
        }
        if this.outgoing.borrow().is_handed_over() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.as_mut().get_mut();
        if !this.outgoing.borrow().is_out() {
            this.poll_writer(cx)?;
        }
        if !this.outgoing.borrow().is_out() {
            return Poll::Pending;
        }
        let stream = &this.stream;
        let shutdown = this.shutdown.get_or_insert_with(|| {
            let stream = Rc::clone(stream);
            Box::pin(async move { stream.shutdown(Shutdown::Write).await })
        });
        shutdown.as_mut().poll(cx)
    }
}

impl fmt::Debug for HyperStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What is gathered at most before it is flushed.
const GATHERED_BYTES: usize = 64 << 10;
