//! The receiving side of a datagram socket: a queue that the kernel's completions feed, and that receivers take from.
//!
//! One receive is in flight at a time, and it belongs to the socket, so a future that is dropped or forgotten swallows
//! nothing. There are two kinds of receives:
//!
//! - **single**, into memory of its own that any datagram fits into: for who receives into buffers;
//! - **multishot**, into buffers of the pool, which cut longer datagrams: for who takes loans, as long as there is a stream
//!   of loans.
//!
//! Neither an empty datagram nor an error is an end: the former ends a multishot receive, which is armed again, and the latter
//! takes its place in the queue and is told once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{
    Canceller, GONE, InFlight, Message, Rearm, RecvEnd, RecvMsg, RecvMsgMulti, Traffic, submit_to,
};
use quoit_runtime::task::poll_budget;

use crate::datagram::Datagrams;
use crate::in_place::cancel_in_place;
use crate::waiters::{Place, Waiters};

#[derive(Default)]
pub(crate) struct Receiving {
    /// What has arrived, in order. Bounded by [`MOST_QUEUED`] and what arrives until a cancel takes effect.
    queue: RefCell<VecDeque<Arrival>>,
    /// The receive that is in flight. Put here before its first completion can be, taken when it has ended.
    armed: RefCell<Option<Armed>>,
    /// The receive in flight was asked to stop.
    is_stopping: Cell<bool>,
    /// No receiver will come any more.
    is_closed: Cell<bool>,
    /// We have shut down receiving.
    is_shut: Cell<bool>,
    /// The runtime is gone.
    is_gone: Cell<bool>,
    /// The pool had no buffers for the last multishot receive: the next one does without.
    is_starved: Cell<bool>,
    /// The kernel puts datagrams together to more than a buffer of the pool holds.
    coalesces: Cell<bool>,
    /// How many streams of loans there are.
    loans: Cell<usize>,
    /// The most room that anybody has asked for; see [`single_bytes`].
    most_room: Cell<usize>,
    waiters: Waiters,
}

/// What the kernel had to tell.
#[derive(Debug)]
enum Arrival {
    Message(Message),
    /// An errno, such as that an earlier datagram could not be delivered.
    Error(i32),
}

#[derive(Debug)]
enum Armed {
    Multi(InFlight<RecvMsgMulti>),
    /// With so much room.
    Single(InFlight<RecvMsg>, usize),
}

impl Armed {
    /// What asks it to stop.
    fn canceller(&self) -> Canceller {
        match self {
            Self::Multi(receive) => receive.canceller(),
            Self::Single(receive, _) => receive.canceller(),
        }
    }
}

/// What a receiver wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Copies, into so much room.
    Room(usize),
    /// Loans, one after another.
    Loans,
}

/// A message while a receiver looks at it, whose buffer's code may be anybody's. What is left of it goes back.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    of: &'a Receiving,
    message: Option<Message>,
}

impl Taken<'_> {
    /// The message, to be taken out or shortened.
    pub(crate) fn message(&mut self) -> &mut Option<Message> {
        &mut self.message
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take().filter(|_| !self.of.is_closed.get()) {
            self.of.queue.borrow_mut().push_front(Arrival::Message(message));
            self.of.waiters.wake();
        }
    }
}

impl Receiving {
    /// Those that wait here.
    pub(crate) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// A place for a future that is to wait here.
    pub(crate) fn place(&self) -> Place<'_> {
        self.waiters.place()
    }

    pub(crate) fn set_coalesces(&self, coalesces: bool) {
        self.coalesces.set(coalesces);
        if coalesces {
            self.stop_multishot();
        }
    }

    /// There is a datagram or an error.
    pub(crate) fn has_something(&self) -> bool {
        self.is_gone.get() || self.is_shut.get() || !self.queue.borrow().is_empty()
    }

    /// A receive is in flight.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.borrow().is_some()
    }

    /// We shut down receiving: the kernel would go on waiting for datagrams that cannot come.
    pub(crate) fn shut(&self) {
        self.is_shut.set(true);
        let armed = self.armed.take();
        drop(armed);
        self.waiters.wake();
    }

    /// Ends the receive that is in flight, as far as it takes no waiting. Whether nothing is left of it, neither an operation
    /// nor a datagram.
    pub(crate) fn quiesce(&self, fd: &SharedFd) -> bool {
        if let (true, Some(driver)) = (self.is_armed(), fd.bound_driver()) {
            self.is_stopping.set(true);
            self.cancel_if(|_| true);
            driver.hurry();
        }
        !self.is_armed() && self.queue.borrow().is_empty()
    }

    pub(crate) fn begin_loans(&self) {
        self.loans.set(self.loans.get() + 1);
    }

    pub(crate) fn end_loans(&self) {
        self.loans.set(self.loans.get() - 1);
        if self.loans.get() == 0 {
            // Who receives into a buffer from now on wants what fits into that, not into one of the pool.
            self.stop_multishot();
        }
    }

    /// The next message; `None` when receiving was shut down.
    pub(crate) fn poll_next<'a>(
        owner: &'a Rc<Datagrams>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
        want: Want,
    ) -> Poll<io::Result<Option<Taken<'a>>>> {
        let this = &owner.receiving;
        ready!(poll_budget(cx));
        let first = this.queue.borrow_mut().pop_front();
        match first {
            Some(Arrival::Message(message)) => {
                this.make_room(owner);
                return Poll::Ready(Ok(Some(Taken { of: this, message: Some(message) })));
            }
            Some(Arrival::Error(errno)) => return Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None if this.is_shut.get() => return Poll::Ready(Ok(None)),
            None => {}
        }
        if !this.is_gone.get() {
            owner.fd.driver().assert_running("recv");
            place.wait(cx);
            Self::arm(owner, want);
        }
        if this.is_gone.get() { Poll::Ready(Err(io::Error::from_raw_os_error(GONE))) } else { Poll::Pending }
    }

    /// The handle of the socket is gone: what is in flight is cancelled, what has arrived is dropped.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        let (armed, queue) = (self.armed.take(), self.queue.take());
        drop((armed, queue));
    }

    /// Sees to it that a receive is in flight.
    fn arm(owner: &Rc<Datagrams>, want: Want) {
        let this = &owner.receiving;
        if this.is_closed.get() || this.is_shut.get() {
            return;
        }
        if let Want::Room(room) = want {
            this.most_room.set(this.most_room.get().max(room));
        }
        let bytes = single_bytes(owner.traffic, this.most_room.get());
        if this.is_armed() {
            // Also one that is being stopped: it answers first, and then it is armed again. One with less room than this
            // receiver has must not cut what would fit.
            let is_too_small = |armed: &Armed| matches!(armed, Armed::Single(_, room) if *room < bytes);
            return this.cancel_if(|armed| is_too_small(armed) && !this.is_stopping.replace(true));
        }
        this.is_stopping.set(false);
        let driver = owner.fd.driver();
        if driver.is_closed() {
            return this.is_gone.set(true);
        }
        let is_starved = this.is_starved.replace(false);
        let suits = want == Want::Loans && !is_starved && !this.coalesces.get();
        let sink = Rc::<Datagrams>::clone(owner);
        let armed = if suits && driver.pool().is_ok_and(|pool| owner.traffic.room_in(pool.buffer_bytes()) >= LEAST_ROOM)
        {
            Armed::Multi(submit_to(driver, None, RecvMsgMulti::new(owner.fd.clone(), owner.traffic, sink)))
        } else {
            let op = RecvMsg::new(owner.fd.clone(), owner.traffic, bytes, sink);
            Armed::Single(submit_to(driver, None, op), bytes)
        };
        this.armed.replace(Some(armed));
    }

    /// A receiver has taken something: a multishot receive that was stopped for their slowness goes on.
    fn make_room(&self, owner: &Rc<Datagrams>) {
        if self.is_stopping.get() && self.loans.get() > 0 && self.queue.borrow().len() <= MOST_QUEUED / 2 {
            Self::arm(owner, Want::Loans);
        }
    }

    /// A message has arrived.
    pub(crate) fn received(&self, message: Message) {
        if self.is_closed.get() {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        queue.push_back(Arrival::Message(message));
        let is_full = queue.len() >= MOST_QUEUED;
        drop(queue);
        if is_full {
            // Receivers are slow: the rest waits in the socket, and when that is full, datagrams get lost as ever.
            self.stop_multishot();
        }
        self.waiters.wake();
    }

    fn stop_multishot(&self) {
        self.cancel_if(|armed| matches!(armed, Armed::Multi(_)) && !self.is_stopping.replace(true));
    }

    /// Asks the receive in flight to stop, if it is one of these.
    fn cancel_if(&self, is_meant: impl FnOnce(&Armed) -> bool) {
        cancel_in_place(&self.armed, |armed| is_meant(armed).then(|| armed.canceller()));
    }

    /// The receive in flight has ended.
    pub(crate) fn ended(owner: &Rc<Datagrams>, end: RecvEnd) -> Rearm {
        let this = &owner.receiving;
        if owner.fd.has_no_runtime() {
            let armed = this.armed.take();
            drop(armed);
            this.is_gone.set(true);
            this.waiters.wake();
            return Rearm::No;
        }
        match this.armed.take() {
            Some(Armed::Multi(armed)) if this.goes_on(owner, end) => {
                this.armed.replace(Some(Armed::Multi(armed)));
                return Rearm::Yes;
            }
            ended => drop(ended),
        }
        match end {
            RecvEnd::Failed(errno) if !this.is_closed.get() => {
                this.queue.borrow_mut().push_back(Arrival::Error(errno));
            }
            RecvEnd::NoBuffers => this.is_starved.set(true),
            _ => {}
        }
        // Whoever still waits arms the receive that suits them.
        this.waiters.wake();
        Rearm::No
    }

    /// Whether a multishot receive that has ended like this is to be armed again in its slot.
    fn goes_on(&self, owner: &Rc<Datagrams>, end: RecvEnd) -> bool {
        if self.is_closed.get() || self.is_shut.get() || self.is_stopping.get() {
            return false;
        }
        match end {
            // Also after an empty datagram.
            RecvEnd::Once => true,
            RecvEnd::NoBuffers => {
                let driver = owner.fd.driver();
                driver.count_no_buffers();
                driver.pool().is_ok_and(|pool| pool.reclaim() > 0 || pool.provided() > 0 || pool.grow())
            }
            RecvEnd::EndOfStream | RecvEnd::Failed(_) | RecvEnd::Cancelled => false,
        }
    }
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving")
            .field("queued", &self.queue.borrow().len())
            .field("loans", &self.loans.get())
            .finish_non_exhaustive()
    }
}

/// The room of a single receive, so that it cuts nothing that a receiver has room for.
fn single_bytes(traffic: Traffic, most_room: usize) -> usize {
    match traffic {
        Traffic::Internet => LONGEST_INTERNET,
        // As long as the sender's buffer allows.
        Traffic::UnixDatagrams | Traffic::UnixStream => most_room.clamp(LONGEST_INTERNET, MOST_SINGLE_BYTES),
    }
}

/// Datagrams that may wait in one socket for a receiver.
const MOST_QUEUED: usize = 64;
/// With less room in a buffer of the pool than this, multishot receives would cut too much.
const LEAST_ROOM: usize = 512;
/// No internet datagram is longer, nor what the kernel puts together of them.
const LONGEST_INTERNET: usize = 64 << 10;
/// More room than this no receiver can make use of.
const MOST_SINGLE_BYTES: usize = 16 << 20;
