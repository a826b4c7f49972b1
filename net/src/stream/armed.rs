//! The receive that is in flight on a stream: a multishot or a single one, of bytes, or of messages that may have descriptors.

use std::rc::Rc;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{
    Canceller, InFlight, MessageSink, Recv, RecvMsg, RecvMsgMulti, RecvMulti, RecvSink, Traffic, submit_to,
};

#[derive(Debug)]
pub(crate) enum Armed {
    Multi(InFlight<RecvMulti>),
    Single(InFlight<Recv>),
    Messages(InFlight<RecvMsgMulti>),
    Message(InFlight<RecvMsg>),
}

impl Armed {
    /// Starts a receive that goes on, into buffers of the pool, or large ones where there are some; `None` where there is no
    /// pool that suits.
    pub(crate) fn multi(
        fd: &SharedFd,
        sink: Rc<impl RecvSink + MessageSink>,
        with_descriptors: bool,
        is_large: bool,
    ) -> Option<Self> {
        let driver = fd.driver();
        let pool = driver.pool().ok()?;
        if !with_descriptors {
            let receive = if is_large { RecvMulti::in_large_buffers } else { RecvMulti::new };
            return Some(Self::Multi(submit_to(driver, None, receive(fd.clone(), sink))));
        }
        let traffic = Traffic::UnixStream;
        if traffic.room_in(pool.buffer_bytes()) < LEAST_ROOM {
            return None;
        }
        let receive = if is_large { RecvMsgMulti::in_large_buffers } else { RecvMsgMulti::new };
        Some(Self::Messages(submit_to(driver, None, receive(fd.clone(), traffic, sink))))
    }

    /// Receives once, into memory of its own, with descriptors no more than is wanted.
    pub(crate) fn single(
        fd: &SharedFd,
        sink: Rc<impl RecvSink + MessageSink>,
        with_descriptors: bool,
        wanted: usize,
    ) -> Self {
        let driver = fd.driver();
        if with_descriptors {
            let bytes = if wanted == usize::MAX { SINGLE_BYTES } else { wanted.min(MOST_WANTED_BYTES) };
            let op = RecvMsg::new(fd.clone(), Traffic::UnixStream, bytes, sink);
            Self::Message(submit_to(driver, None, op))
        } else {
            Self::Single(submit_to(driver, None, Recv::new(fd.clone(), SINGLE_BYTES, sink)))
        }
    }

    pub(crate) fn is_multi(&self) -> bool {
        matches!(self, Self::Multi(_) | Self::Messages(_))
    }

    /// What asks it to stop.
    pub(crate) fn canceller(&self) -> Canceller {
        match self {
            Self::Multi(receive) => receive.canceller(),
            Self::Single(receive) => receive.canceller(),
            Self::Messages(receive) => receive.canceller(),
            Self::Message(receive) => receive.canceller(),
        }
    }
}

/// How much a receive without a buffer of the pool takes at once.
const SINGLE_BYTES: usize = 4 << 10;
/// How much a receive for a reader with a large buffer takes at once.
const MOST_WANTED_BYTES: usize = 64 << 10;
/// What stands in front of messages must leave this much of a buffer.
const LEAST_ROOM: usize = 512;
