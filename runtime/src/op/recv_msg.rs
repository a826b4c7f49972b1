//! A single receive of a message into memory of its own: for datagrams of any size, and for when the pool has no buffers.
#![allow(unsafe_code, reason = "ops answer for the memory that they name, and take over what the kernel wrote")]

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use io_uring::{opcode, types};

use crate::buf::{RecvBuf, commit, target};
use crate::fd::SharedFd;
use crate::op::description::Sink;
use crate::op::{Completion, Description, Driver, MessageSink, Op, Rearm, RecvEnd, Step, Traffic};

/// A single receive of a message (`IORING_OP_RECVMSG`) into memory of its own. What arrives belongs to the socket's
/// [`MessageSink`].
pub struct RecvMsg {
    fd: SharedFd,
    traffic: Traffic,
    buf: Vec<u8>,
    /// Room for the sender's address and for control data, in this order.
    beside: Box<[u8]>,
    /// Names `buf`.
    part: libc::iovec,
    /// Names `part` and `beside`; the kernel writes the lengths and the flags of what came.
    header: libc::msghdr,
    sink: Rc<dyn MessageSink>,
}

impl RecvMsg {
    /// Receives at most `bytes` bytes from a socket.
    pub fn new(fd: SharedFd, traffic: Traffic, bytes: usize, sink: Rc<dyn MessageSink>) -> Self {
        let beside = vec![0; traffic.name_bytes() + traffic.control_bytes()].into_boxed_slice();
        let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self { fd, traffic, buf: Vec::with_capacity(bytes), beside, part, header: traffic.header(), sink }
    }

    /// Takes over what has come.
    ///
    /// # Safety
    ///
    /// The kernel has answered with this count.
    unsafe fn received(&mut self, count: usize) {
        let mut buf = std::mem::take(&mut self.buf);
        // SAFETY: the kernel has written this many bytes to where `prepare` pointed.
        unsafe { commit(&mut buf, count) };
        let (name, control) = self.beside.split_at(self.traffic.name_bytes());
        let name = &name[..name.len().min(self.header.msg_namelen as usize)];
        let control = &control[..control.len().min(self.header.msg_controllen)];
        // SAFETY: once for this completion.
        let beside = unsafe { self.traffic.beside(name, control, self.header.msg_flags) };
        self.sink.received(beside.with(RecvBuf::from_vec(buf), self.header.msg_flags));
    }
}

// SAFETY: the entry names `header`, which names `part` and `beside`, and that the heap memory of `buf`: all are owned by the
// op, which stays in place and touches them only when the completion is there (I1).
unsafe impl Op for RecvMsg {
    type Output = io::Result<()>;

    const NAME: &'static str = "recvmsg";
    const STOPPABLE: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let (pointer, room) = target(&mut self.buf);
        self.part = libc::iovec { iov_base: pointer.cast(), iov_len: room as usize };
        self.header.msg_iov = &raw mut self.part;
        self.header.msg_iovlen = 1;
        let (name, control) = self.beside.split_at_mut(self.traffic.name_bytes());
        if !name.is_empty() {
            self.header.msg_name = name.as_mut_ptr().cast();
        }
        if !control.is_empty() {
            self.header.msg_control = control.as_mut_ptr().cast();
        }
        let entry = opcode::RecvMsg::new(types::Fd(self.fd.as_raw_fd()), &raw mut self.header);
        Step::Submit(entry.flags(libc::MSG_CMSG_CLOEXEC as u32).build().into())
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        let is_stream = self.traffic == Traffic::UnixStream;
        let end = match completion.result() {
            0 if is_stream => RecvEnd::EndOfStream,
            count @ 0.. => {
                // SAFETY: this is the kernel's answer.
                unsafe { self.received(count as usize) };
                RecvEnd::Once
            }
            _ => RecvEnd::of(completion),
        };
        // Whatever comes next is the sink's to arm.
        let rearm = Rc::clone(&self.sink).ended(end);
        debug_assert_eq!(rearm, Rearm::No, "a single receive is not armed again");
        Step::Done(completion)
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }

    fn bytes(&self) -> usize {
        self.buf.capacity() + self.beside.len()
    }

    fn describe(&self) -> Description {
        Description::of(Some(&self.fd)).serving(Sink::Message(Rc::clone(&self.sink)))
    }
}

impl fmt::Debug for RecvMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMsg").field("fd", &self.fd).field("traffic", &self.traffic).finish_non_exhaustive()
    }
}
