//! What an op tells of itself for a dump.

use std::fmt;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use crate::executor::waker::TaskKey;
use crate::fd::SharedFd;
use crate::op::{AcceptSink, MessageSink, RecvSink};
use crate::waiters::Waiters;

/// What an op is about, beside its name. Made by [`Op::describe`](crate::op::Op::describe).
#[derive(Default)]
pub struct Description {
    descriptor: Option<RawFd>,
    sink: Option<Sink>,
}

/// Whom the op serves: an object's queue, where others wait than the op's own future.
pub(crate) enum Sink {
    Accept(Rc<dyn AcceptSink>),
    Message(Rc<dyn MessageSink>),
    Recv(Rc<dyn RecvSink>),
}

impl Description {
    /// An op on this descriptor, if it still has it.
    pub fn of(fd: Option<&SharedFd>) -> Self {
        Self { descriptor: fd.map(AsRawFd::as_raw_fd), sink: None }
    }

    /// The op serves those who wait there.
    pub(crate) fn serving(self, sink: Sink) -> Self {
        Self { sink: Some(sink), ..self }
    }

    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.descriptor
    }

    /// The tasks that wait for what the op brings. Asks the sink, whose code may be anybody's.
    pub(crate) fn waiting_tasks(&self) -> Vec<TaskKey> {
        let waiters = match &self.sink {
            None => None,
            Some(Sink::Accept(sink)) => sink.waiters(),
            Some(Sink::Message(sink)) => sink.waiters(),
            Some(Sink::Recv(sink)) => sink.waiters(),
        };
        waiters.map(Waiters::tasks).unwrap_or_default()
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}
