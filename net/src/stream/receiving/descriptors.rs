//! What the receiving side of a stream does with descriptors that come along with the bytes.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quoit_runtime::buf::{Filler, IoBufMut};
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::Message;
use quoit_runtime::task::poll_budget;

use crate::stream::receiving::{End, Receiver, Receiving};
use crate::waiters::Place;

impl Receiving {
    /// That of a stream which takes descriptors.
    pub(crate) fn with_rights() -> Self {
        Self { rights: Some(Box::default()), ..Self::default() }
    }

    /// As [`poll_read`](Self::poll_read), but the bytes come with their descriptors, and do not go on into the next ones'.
    pub(crate) fn poll_recv_fds<R: Receiver, B: IoBufMut>(
        owner: &Rc<R>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<(usize, Vec<OwnedFd>)>> {
        let this = owner.receiving();
        ready!(poll_budget(cx));
        this.is_exact.set(true);
        let mut filler = Filler::new(buf);
        if let Some(rights) = this.rights.as_ref().filter(|_| this.has_bytes()) {
            if rights.take_loss() {
                return Poll::Ready(Err(io::Error::from_raw_os_error(EMFILE)));
            }
            let (position, most) = (rights.position(), rights.bytes_until_border());
            this.hand_out(|bytes| {
                let count = bytes.len().min(most - filler.filled());
                filler.fill(buf, &bytes[..count])
            });
            let descriptors = rights.claim(position);
            rights.close_taken();
            this.make_room(owner);
            return Poll::Ready(Ok((filler.filled(), descriptors)));
        }
        Self::poll_end(owner, cx, place, filler.spare(buf)).map_ok(|()| (0, Vec::new()))
    }

    /// Whether a reader gets no more than it asks for, and what it does not ask for stays in the socket.
    pub(crate) fn is_exact(&self) -> bool {
        self.is_exact.get()
    }

    /// Whether a read would not wait, or the answer of a receive will come.
    pub(crate) fn poll_known(&self, cx: &mut Context<'_>, place: &Place<'_>) -> Option<Poll<()>> {
        if self.has_bytes() || self.end.get() != End::Open {
            return Some(Poll::Ready(()));
        }
        place.wait(cx);
        self.is_armed().then_some(Poll::Pending)
    }

    /// Bytes have arrived, perhaps with descriptors.
    pub(crate) fn received_message(&self, fd: &SharedFd, message: Message) {
        if self.is_closed.get() {
            return;
        }
        if let Some(rights) = &self.rights {
            rights.arrived(message.bytes.len(), message.descriptors, message.lost_descriptors);
        }
        self.received(fd, message.bytes);
    }

    /// Bytes have been taken.
    #[inline]
    pub(super) fn advance(&self, count: usize) {
        if let Some(rights) = &self.rights {
            rights.advance(count);
        }
    }

    /// What came with the bytes that have been taken is closed.
    #[inline]
    pub(super) fn close_taken(&self) {
        if let Some(rights) = &self.rights {
            rights.close_taken();
        }
    }
}

/// `EMFILE`.
const EMFILE: i32 = 24;
