//! How readers take from the receiving side of a stream.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quoit_runtime::buf::{Filler, IoBufMut, IoVectoredBufMut, RecvBuf, Scatter};
use quoit_runtime::task::poll_budget;

use crate::stream::receiving::{End, Receiver, Receiving};
use crate::waiters::Place;

impl Receiving {
    /// The next bytes, as they came; `None` at the end.
    #[inline]
    pub(crate) fn poll_recv<R: Receiver>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
    ) -> Poll<io::Result<Option<RecvBuf>>> {
        let this = owner.receiving();
        ready!(poll_budget(cx));
        if let Some(bytes) = this.pop() {
            this.advance(bytes.len());
            this.close_taken();
            this.make_room(owner);
            return Poll::Ready(Ok(Some(bytes)));
        }
        Self::poll_end(owner, cx, place, usize::MAX).map_ok(|()| None)
    }

    /// Copies into a buffer what is there, at least one byte; 0 at the end.
    pub(crate) fn poll_read<R: Receiver, B: IoBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        if owner.receiving().consume(|bytes| filler.fill(buf, bytes)) {
            owner.receiving().make_room(owner);
            return Poll::Ready(Ok(filler.filled()));
        }
        Self::poll_end(owner, cx, place, filler.spare(buf)).map_ok(|()| 0)
    }

    /// As [`poll_read`](Self::poll_read), into several buffers.
    pub(crate) fn poll_read_vectored<R: Receiver, V: IoVectoredBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        bufs: &mut V,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut scatter = Scatter::new();
        if owner.receiving().consume(|bytes| scatter.fill(bufs, bytes)) {
            owner.receiving().make_room(owner);
            return Poll::Ready(Ok(scatter.filled()));
        }
        Self::poll_end(owner, cx, place, scatter.spare(bufs)).map_ok(|()| 0)
    }

    /// Fills a buffer to its capacity, or nothing of it.
    pub(crate) fn poll_read_exact<R: Receiver, B: IoBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        let this = owner.receiving();
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        let wanted = filler.spare(buf);
        if this.available() < wanted {
            match Self::poll_end(owner, cx, place, wanted - this.available()) {
                // The bytes that are there stay there, for whoever wants fewer.
                Poll::Ready(Ok(())) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            // They must not hold the ring's buffers meanwhile, nor stop the receive.
            if !this.has_room() {
                this.assemble(wanted);
                this.make_room(owner);
            }
            return Poll::Pending;
        }
        this.consume(|bytes| filler.fill(buf, bytes));
        this.make_room(owner);
        Poll::Ready(Ok(filler.filled()))
    }

    /// As [`poll_read`](Self::poll_read), but the bytes stay where they are.
    pub(crate) fn poll_peek<R: Receiver, B: IoBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let mut filler = Filler::new(buf);
        // Taken out while the user's buffer is filled, as in `consume`.
        let arrived = owner.receiving().take_arrived();
        let there_were = arrived.there_are();
        filler.fill(buf, arrived.assembled.rest());
        for bytes in arrived.queue.iter() {
            if filler.spare(buf) == 0 {
                break;
            }
            filler.fill(buf, bytes);
        }
        drop(arrived);
        if there_were {
            return Poll::Ready(Ok(filler.filled()));
        }
        Self::poll_end(owner, cx, place, filler.spare(buf)).map_ok(|()| 0)
    }

    /// Waits until there is something to be read: bytes, an end, or an error.
    pub(crate) fn poll_readable<R: Receiver>(owner: &Rc<R>, cx: &mut Context<'_>, place: &Place<'_>) -> Poll<()> {
        ready!(poll_budget(cx));
        if owner.receiving().has_bytes() { Poll::Ready(()) } else { Self::poll_end(owner, cx, place, 1).map(drop) }
    }

    /// Copies into a buffer what is there, if anything is.
    pub(crate) fn take_some<R: Receiver, B: IoBufMut>(owner: &Rc<R>, buf: &mut B) -> usize {
        let mut filler = Filler::new(buf);
        owner.receiving().consume(|bytes| filler.fill(buf, bytes));
        owner.receiving().make_room(owner);
        filler.filled()
    }

    /// What comes after the bytes; waits for it, and for more bytes, of which the reader wants so many.
    #[inline]
    pub(super) fn poll_end<R: Receiver>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        wanted: usize,
    ) -> Poll<io::Result<()>> {
        let this = owner.receiving();
        if this.end.get() == End::Open {
            owner.fd().driver().assert_running("recv");
            place.wait(cx);
            Self::arm(owner, wanted);
        }
        match this.end.get() {
            End::Open => Poll::Pending,
            End::Stream => Poll::Ready(Ok(())),
            End::Failed(errno) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
        }
    }
}
