//! The driver: it owns every operation from submission to its final completion, and wakes who waits.
//!
//! The parts: [`slots`] is the table of operations, [`lifecycle`] the life of one as pure code, [`lane`] the order among
//! operations that must follow one another, [`entering`] the way into the kernel, [`completion`] what happens when it answers,
//! [`cancel`] what becomes of ops that are dropped or asked to stop, [`pools`] the buffers that the kernel picks from, [`files`] the
//! files that it knows by a place, [`shutdown`] the end.
//!
//! # Borrowing
//!
//! Nothing of anybody else's runs while a part of the driver is borrowed (I8): wakers, destructors and the code of ops are
//! called with everything released, and may call the driver again.
//!
//! # Safety
//!
//! An op's memory is handed to the code of its kind, in the stages that [`slots`] names.
#![allow(unsafe_code, reason = "the code of an op is called with a pointer to its slot")]

mod attempts;
mod cancel;
mod completion;
mod entering;
mod files;
mod guard;
pub(crate) mod lane;
pub(crate) mod lifecycle;
mod pools;
mod quiet;
mod report;
mod shutdown;
pub(crate) mod slots;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use io_uring::{opcode, types};

use crate::buf::PoolConfig;
use crate::driver::attempts::Attempts;
use crate::driver::files::Files;
use crate::driver::lane::Lane;
use crate::driver::lifecycle::Stage;
use crate::driver::pools::Pools;
use crate::driver::quiet::Silent;
use crate::driver::slots::{DetachedClose, Memory, OpKey, OpKind, Slot, Slots, WAKE};
use crate::executor::waker::{TaskKey, clone_of};
use crate::kernel::choice::KernelKind;
use crate::kernel::{Cqe, Kernel, Sqe};
use crate::metrics::DriverCounters;
use crate::op::Copies;

/// What an op wants next.
#[derive(Debug)]
pub enum Step {
    /// Push this entry: the op goes on in the kernel.
    Submit(Sqe),
    /// Push this entry, which ends while it is submitted and posts a completion only where it falls short: where there is
    /// none, its result is this one. For entries that never wait (`MSG_DONTWAIT`), and only where
    /// [`Driver::tells_by_silence`].
    SubmitQuiet(Sqe, i32),
    /// Nothing: more completions of the entry that is with the kernel follow.
    Pending,
    /// As `Pending`, but the op is over as far as the order in its lane goes: the next one begins.
    Passed,
    /// The op has ended, with this answer.
    Done(Cqe),
}

/// One thread's operations, and the kernel that performs them.
pub struct Driver {
    /// Unlike the id of any other driver that this process ever has.
    id: NonZeroU64,
    /// Where entries go and completions come from; gone once the driver has shut down.
    kernel: RefCell<Option<Kernel>>,
    /// Which one that is.
    kernel_kind: KernelKind,
    /// The operations.
    slots: Slots,
    /// Entries that did not fit into the submission queue, in order. Cancels stand here behind the ops that they name, so
    /// that none can be refused or come too early. Bounded by the slots: an op has one entry and one cancel at a time.
    spill: RefCell<VecDeque<Sqe>>,
    /// The ops with a quiet entry that was pushed, and what its silence says; see `quiet.rs`.
    silent: Cell<Vec<Silent>>,
    /// What ops may do without the ring.
    attempts: Attempts,
    /// Completions copied out and not yet dispatched; kept for its capacity.
    completions: Cell<Vec<Cqe>>,
    /// Entries whose final completion has not been seen.
    in_kernel: Cell<usize>,
    /// The buffers that the kernel picks from.
    pools: Pools,
    /// The files that the kernel knows by a place in a table.
    files: Files,
    /// How long a socket whose last handle is gone may go on sending.
    close_deadline: Duration,
    /// Turns are running: whatever is pushed will be submitted at the end of one.
    running: Cell<bool>,
    /// Lanes whose socket was dropped outside of `block_on`, where no task can watch over them; see `finish.rs`.
    pub(crate) unwatched: RefCell<Vec<Lane>>,
    /// Completions that were copied out are being dispatched: others must not overtake them.
    dispatching: Cell<bool>,
    /// No new operation is taken any more.
    closed: Cell<bool>,
    /// Closes that will be answered: those of files that are no sockets.
    closing: Cell<usize>,
    /// The poll of the wake descriptor is with the kernel.
    watching: Cell<bool>,
    /// What other threads write to; kept for re-arming the poll.
    wake_descriptor: Cell<Option<RawFd>>,
    /// Memory for messages that are sent as copies.
    copies: Rc<Copies>,
    pub(crate) counters: DriverCounters,
}

impl Driver {
    pub(crate) fn new(kernel: Kernel, pool_config: PoolConfig, most_files: u16, close_deadline: Duration) -> Rc<Self> {
        let (attempts, files) = (Attempts::new(&kernel), Files::new(&kernel, most_files));
        Rc::new(Self {
            id: next_id(),
            kernel_kind: kernel.kind(),
            kernel: RefCell::new(Some(kernel)),
            slots: Slots::new(),
            spill: RefCell::new(VecDeque::new()),
            silent: Cell::new(Vec::new()),
            attempts,
            completions: Cell::new(Vec::new()),
            in_kernel: Cell::new(0),
            pools: Pools::new(pool_config),
            files,
            close_deadline,
            running: Cell::new(false),
            unwatched: RefCell::new(Vec::new()),
            dispatching: Cell::new(false),
            closed: Cell::new(false),
            closing: Cell::new(0),
            watching: Cell::new(false),
            wake_descriptor: Cell::new(None),
            copies: Rc::default(),
            counters: DriverCounters::default(),
        })
    }

    /// How many entries the kernel has, or will get, that have not had their final completion.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_kernel.get()
    }

    /// The kernel that performs the operations.
    pub(crate) fn kernel_kind(&self) -> KernelKind {
        self.kernel_kind
    }

    /// No operation is taken any more: the runtime has been shut down.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How long a socket whose last handle is gone may go on sending.
    pub fn close_deadline(&self) -> Duration {
        self.close_deadline
    }

    /// Turns are running, and the end has not begun: what is pushed now is carried through.
    #[inline]
    pub(crate) fn is_at_work(&self) -> bool {
        self.is_running() && !self.is_closed()
    }

    /// The runtime that this driver belongs to is inside `block_on`.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.running.get()
    }

    pub(crate) fn set_running(&self, running: bool) {
        self.running.set(running);
    }

    /// Takes a slot for an op that is to run in this lane. The caller moves the op in, and lets it [`begin`](Self::begin).
    /// `None` where no operation is taken any more.
    ///
    /// # Panics
    ///
    /// Where the driver's runtime is not running: the operation could never complete.
    #[inline]
    pub(crate) fn reserve(&self, kind: &'static OpKind, lane: Option<&Lane>) -> Option<(OpKey, &Slot)> {
        if self.closed.get() {
            return None;
        }
        self.assert_running(kind.name);
        if let Some(lane) = lane {
            assert!(lane.join(self.id), "{}: a lane orders the operations of one runtime", kind.name);
        }
        Some(self.slots.reserve(kind))
    }

    /// Starts an op that has just been moved into its slot, or parks it behind the others of its lane.
    #[inline]
    pub(crate) fn begin(&self, key: OpKey, slot: &Slot, lane: Option<&Lane>) {
        slot.stage.set(Stage::Parked { abandoned: false });
        if let Some(lane) = lane {
            slot.lane.set(Some(lane.clone()));
            if !lane.enter(key) {
                return;
            }
        }
        if let Some(ended) = self.start(key, slot) {
            self.advance(ended);
        }
    }

    /// # Panics
    ///
    /// Where the driver's runtime is not running: what somebody is about to wait for could never come.
    #[inline]
    pub fn assert_running(&self, what: &str) {
        if !self.running.get() && !self.closed.get() {
            not_running(what);
        }
    }

    /// Has an op that has ended moved out of its slot's memory, frees the slot, and gives the op out with its answer. Until then,
    /// registers who waits for that.
    #[inline]
    pub(crate) fn poll<T>(
        &self,
        key: OpKey,
        cx: &mut Context<'_>,
        move_out: impl FnOnce(NonNull<Memory>) -> T,
    ) -> Poll<(T, Cqe)> {
        let slot = self.slots.get(key).expect("the future of an op keeps it in its slot");
        if slot.stage.get() == Stage::Done {
            let answer = slot.answer.get();
            let op = move_out(slot.memory());
            self.slots.vacate(key, slot);
            return Poll::Ready((op, answer));
        }
        match slot.waker.take() {
            Some(waker) if waker.will_wake(cx.waker()) => slot.waker.set(Some(waker)),
            replaced => {
                slot.waker.set(Some(clone_of(cx.waker())));
                drop(replaced);
                // A waker may be anybody's code, and its clone may have ended the op when nobody could have been woken.
                if slot.stage.get() == Stage::Done {
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }

    /// Closes a descriptor that no op names any more. Errors have nobody to go to: they are counted.
    ///
    /// Sockets are closed by the entry itself, so success may be silent. Other files may go to a worker thread of the
    /// kernel; these are waited for by the shutdown, as they could still be cancelled.
    pub(crate) fn close(&self, fd: OwnedFd, is_socket: bool) {
        if self.closed.get() {
            return drop(fd);
        }
        // The entry owns the descriptor from here on.
        let descriptor = fd.into_raw_fd();
        let close = DetachedClose { descriptor, is_silent: is_socket };
        let sqe = Sqe::from(opcode::Close::new(types::Fd(descriptor)).build()).keyed(close.user_data());
        if is_socket {
            self.push(sqe.silent());
        } else {
            self.closing.set(self.closing.get() + 1);
            self.push(sqe);
        }
        self.settle();
    }

    /// How many operations live in slots.
    pub(crate) fn operations(&self) -> usize {
        self.slots.occupied()
    }

    pub(crate) fn copies(&self) -> &Rc<Copies> {
        &self.copies
    }

    /// Counts that a receive found no buffer.
    pub fn count_no_buffers(&self) {
        self.counters.no_buffers.add(1);
    }

    /// Lets writes to `descriptor` end a wait. The caller keeps it open until the driver has shut down.
    pub(crate) fn watch(&self, descriptor: RawFd) {
        self.wake_descriptor.set(Some(descriptor));
        let entry = opcode::PollAdd::new(types::Fd(descriptor), libc::POLLIN as u32).multi(true).build();
        self.watching.set(true);
        self.push(Sqe::from(entry).keyed(WAKE));
    }

    /// Starts an op whose turn has come. The answer is the lane that the op has left, where it ended at once.
    #[must_use]
    #[inline]
    fn start(&self, key: OpKey, slot: &Slot) -> Option<Lane> {
        // SAFETY: the op is in its slot, and parked.
        unsafe { (slot.kind.get().start)(self, key, slot) }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("in_flight", &self.in_kernel.get())
            .field("slots", &self.slots)
            .field("closed", &self.closed.get())
            .finish_non_exhaustive()
    }
}

fn next_id() -> NonZeroU64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).expect("fewer than 2^64 drivers")
}

#[cold]
fn not_running(what: &str) -> ! {
    panic!(
        "{what}: the runtime that this socket or file belongs to is not running: operations are awaited inside its own \
         `block_on`",
    )
}

/// The error of everything that needs a runtime which is gone.
pub(crate) fn gone() -> io::Error {
    io::Error::from_raw_os_error(GONE)
}

/// The errno of operations on a runtime that has been shut down.
pub const GONE: i32 = libc::ESHUTDOWN;

/// Wakes a waker that may be anybody's code: a panic of it must not take the driver along.
#[inline]
pub(crate) fn wake(waker: Waker) {
    match TaskKey::of_waker(&waker) {
        // One of our own: it does not panic, and needs no drop.
        Some(key) => {
            std::mem::forget(waker);
            key.wake();
        }
        None => shield(|| waker.wake()),
    }
}

/// Runs code of users inside the driver. Its panic has been reported by the panic hook; it ends here.
pub(crate) fn shield(code: impl FnOnce()) {
    if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)) {
        // The payload's own destructor could panic as well.
        std::mem::forget(payload);
    }
}
