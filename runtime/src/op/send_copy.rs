//! Sending a copy: a small message leaves at the end of the turn, and its sender goes on at once.
//!
//! A send that is awaited costs two entries into the kernel and two polls of the task: one to send, and one to wait for
//! whatever comes next. A short message is cheaper to copy. The copy belongs to the driver, so the sender has its buffer back
//! and goes on; the entry that sends is quiet (`driver/quiet.rs`), and so the same entry may wait for the answer of the peer.
//!
//! One message at a time is under way like this for each lane. Who sends more before the turn has ended waits as ever, so
//! a peer that reads nothing is felt. An error is latched in the descriptor, as that of any other send.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;

use io_uring::opcode;

use crate::driver::lane::Lane;
use crate::fd::SharedFd;
use crate::op::send::{Outcome, broken, outcome};
use crate::op::{Completion, Description, Driver, Op, Step, submit_behind, target_of};

/// Sends a copy of a short message at the end of the turn, whole, behind the lane's earlier ones. `None` where that is not
/// possible: it is long, an earlier send of the lane is under way, or the runtime is not running. Then nothing has happened.
///
/// The answer tells that the message is on its way, or the error of an earlier send. A failure of this one is latched in the
/// descriptor, and told by the next.
pub fn send_now(fd: &SharedFd, lane: &Lane, message: &[u8]) -> Option<io::Result<()>> {
    if message.is_empty() || message.len() > MOST_COPIED || !lane.is_idle() {
        return None;
    }
    let driver = fd.driver();
    if !driver.is_at_work() || !driver.tells_by_silence() {
        return None;
    }
    if let Some(error) = fd.send_error() {
        return Some(Err(error));
    }
    let copies = Rc::clone(driver.copies());
    let copy = copies.of(message);
    // Nobody waits: it finishes behind everybody's back, as any send does that has begun.
    submit_behind(driver, Some(lane), SendCopy { fd: Some(fd.clone()), copies, copy, sent: 0 });
    Some(Ok(()))
}

/// Sends a copied message (`IORING_OP_SEND`), whole.
struct SendCopy {
    /// Until the op has ended.
    fd: Option<SharedFd>,
    /// Where the copy goes when it is out.
    copies: Rc<Copies>,
    copy: Vec<u8>,
    sent: usize,
}

impl SendCopy {
    fn entry(&self, flags: i32) -> opcode::Send {
        let rest = &self.copy[self.sent..];
        let flags = flags | libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        opcode::Send::new(target_of(&self.fd), rest.as_ptr(), rest.len() as u32).flags(flags)
    }

    /// The socket would not take all of it at once: the rest waits for room.
    fn send_rest(&self) -> Step {
        Step::Submit(self.entry(0).build().into())
    }
}

// SAFETY: the entry names the bytes of `copy`, which the op owns until the completion is there (I1).
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for SendCopy {
    type Output = ();

    const NAME: &'static str = "send";
    const CANCEL_ON_DROP: bool = false;
    const WITHDRAW_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        match broken(self.fd.as_ref()) {
            Some(answer) => Step::Done(answer),
            None => Step::SubmitQuiet(self.entry(libc::MSG_DONTWAIT).build().into(), self.copy.len() as i32),
        }
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match outcome(self.fd.as_ref(), self.sent, completion) {
            Outcome::Sent(count) => self.sent = (self.sent + count).min(self.copy.len()),
            Outcome::Again => return self.send_rest(),
            Outcome::Failed(errno) => return Step::Done(Completion::made_up(-errno)),
        }
        if self.sent < self.copy.len() { self.send_rest() } else { Step::Done(completion) }
    }

    unsafe fn complete(self, _: Completion) {
        self.copies.give_back(self.copy);
    }

    unsafe fn discard(self, _: Completion) {
        self.copies.give_back(self.copy);
    }

    fn release(&mut self) {
        self.fd = None;
    }

    fn bytes(&self) -> usize {
        self.copy.len()
    }

    fn describe(&self) -> Description {
        Description::of(self.fd.as_ref())
    }
}

const _: () = assert!(crate::op::is_inline::<SendCopy>());

/// Memory for copies, used again and again.
#[derive(Default)]
pub(crate) struct Copies {
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Copies {
    fn of(&self, message: &[u8]) -> Vec<u8> {
        let mut copy = self.spare.borrow_mut().pop().unwrap_or_default();
        copy.extend_from_slice(message);
        copy
    }

    fn give_back(&self, mut copy: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MOST_SPARE {
            copy.clear();
            spare.push(copy);
        }
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").field("spare", &self.spare.borrow().len()).finish()
    }
}

/// A longer message is awaited: copying it would cost more than the entry that is saved.
const MOST_COPIED: usize = 4096;

/// Copies that are kept; with those of the longest messages that is 256 KiB.
const MOST_SPARE: usize = 64;
