//! Operations: what each tells the kernel, and what it makes of the answer.
//!
//! An operation is a value that owns everything the kernel will touch. [`submit`] moves it into a slot of the driver and
//! gives back a future of the answer, [`InFlight`]. `nop.rs` is the template for a new one.
//!
//! # Safety
//!
//! The functions of `kind_of` read and write a slot's memory as the type that [`submit`] wrote there: both are generic
//! over the same op, and a slot is bound to its kind while it is occupied (I1).
#![allow(unsafe_code, reason = "ops of many types live inline in slots of one type")]

mod accept;
mod attempt;
mod change_names;
mod close;
mod connect;
mod description;
mod in_flight;
mod message;
mod nop;
mod pause;
mod poll;
mod read;
mod read_next;
mod recv;
mod recv_msg;
mod recv_msg_multi;
mod recv_multi;
mod send;
mod send_copy;
mod send_msg;
mod send_msg_copy;
mod send_rights;
mod send_zc;
mod shutdown;
mod wait_exit;
mod write;

use std::mem::{align_of, size_of};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use io_uring::types;

use crate::driver::slots::{Memory, OpKey, OpKind, Slot, Slots};
use crate::fd::SharedFd;
use crate::kernel::Cqe;

pub use crate::driver::lane::Lane;
pub use crate::driver::{Driver, GONE, Step};
pub use crate::kernel::{Cqe as Completion, Sqe};
pub use crate::op::accept::{AcceptMulti, AcceptSink};
pub use crate::op::change_names::ChangeNames;
pub use crate::op::close::Close;
pub use crate::op::connect::Connect;
pub use crate::op::description::Description;
pub use crate::op::in_flight::{Begun, Canceller, InFlight, begin, submit, submit_behind, submit_to};
pub use crate::op::message::{MOST_DESCRIPTORS, Message, MessageSink, Traffic};
pub use crate::op::nop::Nop;
pub use crate::op::poll::PollOnce;
pub use crate::op::read::ReadAt;
pub use crate::op::read_next::ReadNext;
pub use crate::op::recv::Recv;
pub use crate::op::recv_msg::RecvMsg;
pub use crate::op::recv_msg_multi::RecvMsgMulti;
pub use crate::op::recv_multi::{Rearm, RecvEnd, RecvMulti, RecvSink};
pub use crate::op::send::{Send, SendVectored};
pub(crate) use crate::op::send_copy::Copies;
pub use crate::op::send_copy::send_now;
pub use crate::op::send_msg::{SendMsg, send_datagram_now};
pub use crate::op::send_msg_copy::Behind;
pub use crate::op::send_rights::SendRights;
pub use crate::op::send_zc::SendZc;
pub use crate::op::shutdown::Shutdown;
pub use crate::op::wait_exit::WaitExit;
pub use crate::op::write::Write;

/// One operation: a value that owns all that the kernel will read or write for it.
///
/// Its life: [`attempt`](Self::attempt), perhaps; [`prepare`](Self::prepare) once; [`step`](Self::step) for each completion; then, when a step has said
/// [`Step::Done`], either [`complete`](Self::complete), if somebody waits for the answer, or [`discard`](Self::discard).
///
/// # Safety
///
/// What an entry names (buffers, addresses, paths, and the descriptor, by a [`SharedFd`]) must be
/// owned by the op and stay valid and in place until the entry's final completion, or until the op is dropped after it.
/// While an op is in its slot it does not move, so an entry may name the op's own fields. `Step::Done` may be answered only
/// when no entry of the op is with the kernel. [`describe`](Self::describe) is called at times when the kernel has an entry:
/// it does what it says there and no more.
///
/// # Examples
///
/// ```
/// use quoit_runtime::op;
///
/// let runtime = quoit_runtime::Runtime::new()?;
/// let answer = runtime.block_on(async { op::submit(op::Nop::new()).await });
/// assert!(answer.is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub unsafe trait Op: Sized + 'static {
    /// What [`complete`](Self::complete) makes of the answer.
    type Output;

    /// The op's name in reports.
    const NAME: &'static str;

    /// Whether dropping the future asks the kernel to stop. Where it doesn't, the op finishes behind everybody's back.
    const CANCEL_ON_DROP: bool = true;

    /// Whether dropping the future of an op that still waits in a lane takes it out again, as if it had never been. Where it
    /// doesn't, the op runs when its turn comes.
    const WITHDRAW_ON_DROP: bool = true;

    /// Whether a [cancel scope](crate::cancel_scope) in which the future is polled can stop the op. Not where the op serves
    /// others than who polls it.
    const STOPPABLE: bool = true;

    /// Whether [`attempt`](Self::attempt) may end the op.
    const MAY_END_AT_ONCE: bool = false;

    /// Ends the op at once, if that takes no waiting: where it is alone, a system call costs less than an entry. What it has done
    /// without coming to an end, it does not do again in [`prepare`](Self::prepare), which follows then. An op that has ended is
    /// [completed](Self::complete) right away, whether or not somebody waits.
    ///
    /// # Safety
    ///
    /// Called by the driver, once at most, before the op is in its slot. It does not move meanwhile.
    unsafe fn attempt(&mut self, driver: &Driver) -> Option<Completion> {
        let _ = driver;
        None
    }

    /// Makes the first entry, or ends the op at once. The driver is the one whose kernel will get the entry.
    ///
    /// # Safety
    ///
    /// Called by the driver, once, when the op is in its slot.
    unsafe fn prepare(&mut self, driver: &Driver) -> Step;

    /// Reads a completion. The default ends the op with the first one that has no more behind it.
    ///
    /// # Safety
    ///
    /// Called by the driver, with a completion of the op's own entry: what that says is true.
    unsafe fn step(&mut self, completion: Completion) -> Step {
        if completion.more() { Step::Pending } else { Step::Done(completion) }
    }

    /// Turns the answer into what the awaiter gets.
    ///
    /// # Safety
    ///
    /// Called by the driver, with the answer that a step or the driver has ended the op with.
    unsafe fn complete(self, answer: Completion) -> Self::Output;

    /// Disposes of an answer that nobody waits for. What the kernel made (a descriptor, bytes received) needs an owner here.
    ///
    /// # Safety
    ///
    /// As for [`complete`](Self::complete).
    unsafe fn discard(self, answer: Completion) {
        let _ = answer;
    }

    /// The op has ended, and its answer may wait for ever to be taken: lets go of what the answer doesn't need, such as the
    /// descriptor, whose owner may want to close it.
    fn release(&mut self) {}

    /// The runtime ends, and a cancel has not ended the op: does what else makes the kernel give it back. Touches nothing that
    /// an entry names.
    fn abort(&mut self) {}

    /// How many bytes of memory the kernel may touch, for the report of a shutdown that had to leak them.
    fn bytes(&self) -> usize {
        0
    }

    /// What the op is about, for a [dump](crate::dump()). Told from its own fields, while it is in its slot: calls nothing of the
    /// runtime's, and touches no memory that an entry names.
    fn describe(&self) -> Description {
        Description::default()
    }
}

/// The descriptor of an op that has not ended, as an entry names it.
#[inline]
fn target_of(fd: &Option<SharedFd>) -> types::Fd {
    types::Fd(fd.as_ref().expect("an op has its descriptor until it has ended").as_raw_fd())
}

/// The offset that means: at the file's own position, and move it.
const AT_POSITION: u64 = u64::MAX;

/// Whether ops of this type fit into a slot; others live in a box, and the box in the slot.
const fn is_inline<T>() -> bool {
    size_of::<T>() <= size_of::<Memory>() && align_of::<T>() <= align_of::<Memory>()
}

/// Moves an op into the memory of a slot.
#[inline]
fn move_in<T: Op>(memory: NonNull<Memory>, op: T) {
    if is_inline::<T>() {
        // SAFETY: the slot is vacant, large enough and aligned.
        unsafe { memory.cast::<T>().write(op) }
    } else {
        // SAFETY: as above, for a pointer.
        unsafe { memory.cast::<Box<T>>().write(Box::new(op)) }
    }
}

/// Moves an op out of the memory of a slot.
///
/// # Safety
///
/// An op of this type is there, and nobody will look for it again.
#[inline]
unsafe fn move_out<T: Op>(memory: NonNull<Memory>) -> T {
    if is_inline::<T>() {
        // SAFETY: the caller says so.
        unsafe { memory.cast::<T>().read() }
    } else {
        // SAFETY: the caller says so.
        let boxed = unsafe { memory.cast::<Box<T>>().read() };
        *boxed
    }
}

/// The op in the memory of a slot.
///
/// # Safety
///
/// An op of this type is there, and nobody else touches it for the lifetime.
#[inline]
unsafe fn op_in<'a, T: Op>(memory: NonNull<Memory>) -> &'a mut T {
    if is_inline::<T>() {
        // SAFETY: the caller says so.
        unsafe { memory.cast::<T>().as_mut() }
    } else {
        // SAFETY: the caller says so.
        unsafe { memory.cast::<Box<T>>().as_mut() }
    }
}

/// The code of a type of op, for the in-flight table.
fn kind_of<T: Op>() -> &'static OpKind {
    const {
        &OpKind {
            name: T::NAME,
            cancel_on_drop: T::CANCEL_ON_DROP,
            withdraw_on_drop: T::WITHDRAW_ON_DROP,
            start: start::<T>,
            complete: complete::<T>,
            tell: tell::<T>,
            discard: discard::<T>,
            withdraw: withdraw::<T>,
            release: release::<T>,
            abort: abort::<T>,
            bytes: bytes::<T>,
            describe: describe::<T>,
        }
    }
}

unsafe fn start<T: Op>(driver: &Driver, key: OpKey, slot: &Slot) -> Option<Lane> {
    driver.start_by(key, slot, |memory, driver| {
        // SAFETY: the slot's kind is that of `T`, and the slot is busy on our behalf.
        let op = unsafe { op_in::<T>(memory) };
        // SAFETY: the driver calls this once, for the op in its slot.
        let step = unsafe { op.prepare(driver) };
        released(op, step)
    })
}

unsafe fn complete<T: Op>(driver: &Driver, key: OpKey, slot: &Slot, completion: Cqe) -> Option<Lane> {
    driver.complete_by(key, slot, completion, |memory, completion| {
        // SAFETY: the slot's kind is that of `T`, and the slot is busy on our behalf.
        let op = unsafe { op_in::<T>(memory) };
        // SAFETY: the driver found the slot by the completion's key.
        let step = unsafe { op.step(completion) };
        released(op, step)
    })
}

/// Tells an op that has ended to let go.
#[inline]
fn released<T: Op>(op: &mut T, step: Step) -> Step {
    if let Step::Done(_) = step {
        op.release();
    }
    step
}

unsafe fn tell<T: Op>(memory: NonNull<Memory>, answer: Cqe) {
    // SAFETY: the slot's kind is that of `T`, and the slot is busy on our behalf.
    let op = unsafe { op_in::<T>(memory) };
    // SAFETY: the op is not going on, whatever it wants: the answer is as true as one of the kernel's.
    let step = unsafe { op.step(answer) };
    released(op, step);
}

unsafe fn discard<T: Op>(slots: &Slots, key: OpKey, answer: Cqe) {
    let slot = slots.get(key).expect("the caller holds a live key");
    // SAFETY: the slot's kind is that of `T`; the op has ended, and the slot is released in the next line.
    let op = unsafe { move_out::<T>(slot.memory()) };
    slots.release(key);
    // SAFETY: the op has ended with this answer.
    unsafe { op.discard(answer) };
}

unsafe fn withdraw<T: Op>(slots: &Slots, key: OpKey) {
    let slot = slots.get(key).expect("the caller holds a live key");
    // SAFETY: the slot's kind is that of `T`; the op never started, and the slot is released in the next line.
    let op = unsafe { move_out::<T>(slot.memory()) };
    slots.release(key);
    drop(op);
}

unsafe fn release<T: Op>(memory: NonNull<Memory>) {
    // SAFETY: the slot's kind is that of `T`, and the slot is busy on our behalf.
    unsafe { op_in::<T>(memory) }.release();
}

unsafe fn abort<T: Op>(memory: NonNull<Memory>) {
    // SAFETY: the slot's kind is that of `T`, and the driver is not running any of the op's code.
    unsafe { op_in::<T>(memory) }.abort();
}

unsafe fn bytes<T: Op>(memory: NonNull<Memory>) -> usize {
    // SAFETY: the slot's kind is that of `T`, and the driver is not running any of the op's code.
    unsafe { op_in::<T>(memory) }.bytes()
}

unsafe fn describe<T: Op>(memory: NonNull<Memory>) -> Description {
    // SAFETY: the slot's kind is that of `T`, and the driver is not running any of the op's code.
    unsafe { op_in::<T>(memory) }.describe()
}
