//! Sending copies of datagrams: short ones leave at the end of the turn, together, and their sender goes on at once.
//!
//! The copy belongs to the socket, so the sender has its buffer back; the entry that sends is quiet (`driver/quiet.rs`), and
//! all that a turn has made go to the kernel in the entry that waits for what comes next.
//!
//! Many of a socket may be under way: none of them waits in the kernel, so they go out in the order of their entries. They are
//! in no lane, then, but pin it, so that who waits for the end of what is sent waits for them. One that finds no room becomes an
//! operation of the lane, and the sender is made to wait behind it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;

use io_uring::opcode;

use crate::cancel_scope::stop_now;
use crate::driver::lane::Lane;
use crate::fd::SharedFd;
use crate::op::{Completion, Description, Driver, Op, SendMsg, Step, submit_behind, target_of};
use crate::socket::RawAddress;
use crate::sys::message::empty_header;

/// The datagrams of one socket that leave behind their sender's back.
#[derive(Default)]
pub struct Behind {
    /// How many are under way; at most [`MOST_UNDER_WAY`].
    under_way: Cell<usize>,
    /// The errno of one that failed, for the next send to tell; 0 for none.
    error: Cell<i32>,
    /// Memory for copies, used again and again; at most [`MOST_UNDER_WAY`].
    #[expect(clippy::vec_box, reason = "an op takes the box along")]
    spare: RefCell<Vec<Box<Datagram>>>,
}

/// A copied datagram, and what its entry names.
struct Datagram {
    bytes: Vec<u8>,
    address: Option<RawAddress>,
    /// Names `bytes`.
    part: libc::iovec,
    /// Names `part` and `address`; read by the kernel when the entry is submitted.
    header: libc::msghdr,
}

impl Behind {
    /// Some are under way: what is sent by a plain call would overtake them.
    pub fn is_busy(&self) -> bool {
        self.under_way.get() > 0
    }

    /// Sends a copy of a short datagram at the end of the turn. `None` where that is not possible: it is long, too many are under
    /// way, one has found no room, a cancel scope forbids it, or the runtime is not running. Then nothing has happened.
    ///
    /// The answer tells that the datagram is on its way, or the error of an earlier one, and then it is not.
    pub fn send(
        self: &Rc<Self>,
        fd: &SharedFd,
        lane: &Lane,
        bytes: &[u8],
        address: Option<&RawAddress>,
    ) -> Option<io::Result<usize>> {
        let driver = fd.driver();
        let has_room = self.under_way.get() < MOST_UNDER_WAY && bytes.len() <= MOST_COPIED && lane.is_idle();
        let may_send = driver.is_at_work() && driver.tells_by_silence();
        if !has_room || !may_send || stop_now(true).is_some() {
            return None;
        }
        if let Some(error) = self.take_error() {
            return Some(Err(error));
        }
        let datagram = self.copy_of(bytes, address);
        let behind = Rc::clone(self);
        let op = SendMsgCopy { fd: Some(fd.clone()), lane: lane.clone(), behind, datagram: Some(datagram) };
        submit_behind(driver, None, op);
        Some(Ok(bytes.len()))
    }

    /// The error of one that was sent behind its sender's back; told once.
    pub fn take_error(&self) -> Option<io::Error> {
        match self.error.take() {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        }
    }

    /// One has failed: the first of them is told.
    pub(super) fn fail(&self, errno: i32) {
        if self.error.get() == 0 {
            self.error.set(errno);
        }
    }

    fn copy_of(&self, bytes: &[u8], address: Option<&RawAddress>) -> Box<Datagram> {
        let mut datagram = self.spare.borrow_mut().pop().unwrap_or_else(|| {
            let part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
            Box::new(Datagram { bytes: Vec::new(), address: None, part, header: empty_header() })
        });
        datagram.bytes.extend_from_slice(bytes);
        datagram.address = address.cloned();
        datagram
    }

    fn give_back(&self, mut datagram: Box<Datagram>) {
        datagram.bytes.clear();
        self.spare.borrow_mut().push(datagram);
    }
}

/// Sends a copied datagram (`IORING_OP_SENDMSG`), and posts a completion only where that fails.
struct SendMsgCopy {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    /// What it pins until it has ended.
    lane: Lane,
    behind: Rc<Behind>,
    /// Until the op has ended.
    datagram: Option<Box<Datagram>>,
}

// SAFETY: the entry names `header`, that `part` and `address`, and `part` the bytes: all are in the box that the op owns until
// the completion is there (I1).
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for SendMsgCopy {
    type Output = ();

    const NAME: &'static str = "sendmsg (datagram)";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        self.behind.under_way.set(self.behind.under_way.get() + 1);
        self.lane.pin();
        let datagram = self.datagram.as_mut().expect("a datagram that has not been sent");
        let Datagram { bytes, address, part, header } = &mut **datagram;
        *part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        *header = empty_header();
        header.msg_iov = part;
        header.msg_iovlen = 1;
        if let Some(address) = address {
            header.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_namelen = address.len();
        }
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let entry = opcode::SendMsg::new(target_of(&self.fd), header).flags(flags as u32).build();
        Step::SubmitQuiet(entry.into(), bytes.len() as i32)
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match -completion.result() {
            ..=0 => {}
            libc::EAGAIN | libc::EINTR => self.wait_for_room(),
            errno => self.behind.fail(errno),
        }
        Step::Done(completion)
    }

    unsafe fn complete(self, _: Completion) {}

    fn release(&mut self) {
        self.fd = None;
        self.behind.under_way.set(self.behind.under_way.get() - 1);
        if let Some(datagram) = self.datagram.take() {
            self.behind.give_back(datagram);
        }
        self.lane.unpin();
    }

    fn bytes(&self) -> usize {
        self.datagram.as_ref().map_or(0, |datagram| datagram.bytes.len())
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}

impl SendMsgCopy {
    /// There was no room: from here on it is sent like any other, behind those that found none before it.
    fn wait_for_room(&mut self) {
        let (Some(fd), Some(mut datagram)) = (self.fd.clone(), self.datagram.take()) else { return };
        let bytes = std::mem::take(&mut datagram.bytes);
        let send = SendMsg::new(fd.clone(), bytes, datagram.address.take());
        self.behind.give_back(datagram);
        let op = SendLater { send, behind: Rc::clone(&self.behind) };
        submit_behind(fd.driver(), Some(&self.lane), op);
    }
}

const _: () = assert!(crate::op::is_inline::<SendMsgCopy>());

/// Sends a datagram that found no room, in its turn, though nobody waits for it.
struct SendLater {
    send: SendMsg<Vec<u8>>,
    behind: Rc<Behind>,
}

// SAFETY: it does what `SendMsg` does, which stays in place with it (I1).
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for SendLater {
    type Output = ();

    const NAME: &'static str = <SendMsg<Vec<u8>> as Op>::NAME;
    const CANCEL_ON_DROP: bool = false;
    const WITHDRAW_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, driver: &Driver) -> Step {
        // SAFETY: called as this is.
        unsafe { self.send.prepare(driver) }
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        // SAFETY: called as this is, for an entry that it has made.
        let step = unsafe { self.send.step(completion) };
        if let Step::Done(answer) = &step
            && answer.result() < 0
        {
            self.behind.fail(-answer.result());
        }
        step
    }

    unsafe fn complete(self, _: Completion) {}

    fn release(&mut self) {
        self.send.release();
    }

    fn bytes(&self) -> usize {
        self.send.bytes()
    }

    fn describe(&self) -> Description {
        self.send.describe()
    }
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behind").field("under_way", &self.under_way.get()).finish_non_exhaustive()
    }
}

/// A longer datagram is awaited, as with streams.
const MOST_COPIED: usize = 4096;
/// Datagrams of one socket that are under way behind their sender's back. Whoever sends more waits for the turn's end.
const MOST_UNDER_WAY: usize = 64;
