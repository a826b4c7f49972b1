//! The accepting side of a listener: a queue that the kernel's completions feed, and that acceptors take from.
//!
//! One multishot accept is in flight, and it belongs to the listener. So a connection is lost with no future, and goes to the
//! next caller.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{AcceptMulti, AcceptSink, GONE, InFlight, Rearm, submit_to};
use quoit_runtime::spawn;
use quoit_runtime::task::poll_budget;
use quoit_runtime::timer::{Instant, Timer};

use crate::in_place::cancel_in_place;
use crate::waiters::{Place, Waiters};

pub(crate) struct Accepting {
    fd: SharedFd,
    /// Connections that nobody has asked for yet. Bounded by [`MOST_QUEUED`] and what comes until a cancel takes effect.
    queue: RefCell<VecDeque<SharedFd>>,
    /// The accept that is in flight. Put here before its first completion can be, taken when it has ended.
    armed: RefCell<Option<InFlight<AcceptMulti>>>,
    /// The accept in flight was asked to stop, because the queue is full.
    is_stopping: Cell<bool>,
    /// An error that the next acceptor is to be told.
    error: Cell<Option<i32>>,
    /// The errno that ended this listener for good; 0 while none has.
    failure: Cell<i32>,
    /// Whether not to try again for a while, after the process or the system had run out of descriptors or memory.
    back_off: Cell<BackOff>,
    /// How long the next such pause is; zero while all is well.
    pause: Cell<Duration>,
    /// How often in a row the accept has ended without a connection, for reasons that seemed to be passing.
    idle_ends: Cell<u32>,
    /// No accept is to be armed now.
    is_held: Cell<bool>,
    /// The listener is gone.
    is_closed: Cell<bool>,
    waiters: Waiters,
}

/// A pause after a shortage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BackOff {
    /// None.
    Off,
    /// To begin when somebody wants to accept.
    Due,
    /// A task sleeps, and will end it.
    Running,
}

impl Accepting {
    pub(crate) fn new(fd: SharedFd) -> Rc<Self> {
        Rc::new(Self {
            fd,
            queue: RefCell::new(VecDeque::new()),
            armed: RefCell::new(None),
            is_stopping: Cell::new(false),
            error: Cell::new(None),
            failure: Cell::new(0),
            back_off: Cell::new(BackOff::Off),
            pause: Cell::new(Duration::ZERO),
            idle_ends: Cell::new(0),
            is_held: Cell::new(false),
            is_closed: Cell::new(false),
            waiters: Waiters::default(),
        })
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        &self.fd
    }

    /// A place for a future that is to wait here.
    pub(crate) fn place(&self) -> Place<'_> {
        self.waiters.place()
    }

    /// The next connection.
    pub(crate) fn poll_accept(self: &Rc<Self>, cx: &mut Context<'_>, place: &Place<'_>) -> Poll<io::Result<SharedFd>> {
        ready!(poll_budget(cx));
        if let Some(connection) = self.pop() {
            if self.is_stopping.get() && self.queue.borrow().len() <= MOST_QUEUED / 2 {
                self.arm();
            }
            return Poll::Ready(Ok(connection));
        }
        if let Some(errno) = self.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
        }
        self.fd.driver().assert_running("accept");
        place.wait(cx);
        if self.fd.driver().is_closed() {
            // A pause that was running has ended with its runtime.
            self.back_off.set(BackOff::Off);
        }
        match self.back_off.get() {
            BackOff::Off => self.arm(),
            BackOff::Due => self.begin_pause(),
            BackOff::Running => {}
        }
        match self.failure.get() {
            0 => Poll::Pending,
            errno => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
        }
    }

    /// The listener is gone: what is in flight is cancelled, and connections that nobody took are closed.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        let (armed, queue) = (self.armed.take(), self.queue.take());
        drop((armed, queue));
    }

    /// Ends the accept that is in flight, as far as it takes no waiting. Whether nothing is left of it, neither an operation
    /// nor connections that nobody has taken. It is armed again by whoever accepts next.
    pub(crate) fn quiesce(&self) -> bool {
        if let (true, Some(driver)) = (self.is_armed(), self.fd.bound_driver()) {
            self.is_held.set(true);
            self.is_stopping.set(true);
            self.cancel();
            driver.hurry();
            self.is_held.set(false);
        }
        !self.is_armed() && self.queue.borrow().is_empty()
    }

    /// An accept is in flight.
    fn is_armed(&self) -> bool {
        self.armed.borrow().is_some()
    }

    /// Asks the accept in flight to stop.
    fn cancel(&self) {
        cancel_in_place(&self.armed, |armed| Some(armed.canceller()));
    }

    fn pop(&self) -> Option<SharedFd> {
        self.queue.borrow_mut().pop_front()
    }

    /// Waits out the pause after a shortage, on behalf of all who want to accept.
    fn begin_pause(self: &Rc<Self>) {
        self.back_off.set(BackOff::Running);
        let accepting = Rc::downgrade(self);
        let mut timer = Timer::new(Instant::now() + self.pause.get());
        drop(spawn(async move {
            poll_fn(|cx| timer.poll_elapsed(cx)).await;
            if let Some(accepting) = accepting.upgrade() {
                accepting.back_off.set(BackOff::Off);
                accepting.waiters.wake();
            }
        }));
    }

    /// Sees to it that an accept is in flight.
    fn arm(self: &Rc<Self>) {
        if self.failure.get() != 0 || self.is_closed.get() || self.is_held.get() {
            return;
        }
        // Also one that is being stopped: it answers first, and then it is armed again.
        if self.is_armed() {
            return;
        }
        self.is_stopping.set(false);
        let driver = self.fd.driver();
        if driver.is_closed() {
            return self.failure.set(GONE);
        }
        let op = AcceptMulti::new(self.fd.clone(), Rc::<Self>::clone(self));
        let armed = submit_to(driver, None, op);
        self.armed.replace(Some(armed));
    }

    /// The listener is of no further use.
    fn fail(&self, errno: i32) {
        self.failure.set(errno);
        self.waiters.wake();
    }

    /// A shortage: the first one is told to an acceptor, and then we wait longer and longer until there is an end to it.
    fn suffer(&self, errno: i32) {
        let pause = self.pause.get();
        if pause.is_zero() && errno != 0 {
            self.error.set(Some(errno));
        }
        let pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.pause.set(pause);
        self.back_off.set(BackOff::Due);
        self.waiters.wake();
    }
}

impl AcceptSink for Accepting {
    fn accepted(&self, connection: OwnedFd) {
        let connection = self.fd.accepted(connection);
        if self.is_closed.get() {
            return;
        }
        self.pause.set(Duration::ZERO);
        self.idle_ends.set(0);
        let mut queue = self.queue.borrow_mut();
        queue.push_back(connection);
        let is_full = queue.len() >= MOST_QUEUED;
        drop(queue);
        if is_full && !self.is_stopping.replace(true) {
            // Nobody takes them: the rest waits in the backlog, where the peers can see it.
            self.cancel();
        }
        self.waiters.wake();
    }

    fn ended(self: Rc<Self>, errno: i32) -> Rearm {
        let cause = Cause::of(errno);
        let is_gone = self.fd.has_no_runtime();
        let may_go_on = !is_gone && !self.is_closed.get() && !self.is_stopping.get();
        if cause == Cause::Nothing && may_go_on && self.idle_ends.get() < MOST_IDLE_ENDS {
            self.idle_ends.set(self.idle_ends.get() + 1);
            return Rearm::Yes;
        }
        let armed = self.armed.take();
        drop(armed);
        match cause {
            _ if is_gone => self.fail(GONE),
            Cause::Shortage => self.suffer(errno),
            Cause::Fatal => self.fail(errno),
            // Passing trouble that does not pass.
            Cause::Nothing if may_go_on => self.suffer(errno),
            // Acceptors arm it again when they have made room; they may just have done so.
            Cause::Nothing | Cause::Cancelled => {
                if self.queue.borrow().len() <= MOST_QUEUED / 2 && !self.waiters.is_empty() {
                    self.arm();
                }
            }
        }
        Rearm::No
    }

    fn waiters(&self) -> Option<&Waiters> {
        Some(&self.waiters)
    }
}

impl fmt::Debug for Accepting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting")
            .field("fd", &self.fd)
            .field("queued", &self.queue.borrow().len())
            .finish_non_exhaustive()
    }
}

/// Why an accept ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A connection that was gone before it was accepted, or the network's passing trouble: see *Error handling* in
    /// [`accept(2)`](https://man7.org/linux/man-pages/man2/accept.2.html). The next connection is another matter.
    Nothing,
    Cancelled,
    /// No descriptors or no memory left.
    Shortage,
    /// The listener is of no further use.
    Fatal,
}

impl Cause {
    fn of(errno: i32) -> Self {
        match errno {
            0 | ECONNABORTED | EPERM | EPROTO | ENONET | ENOPROTOOPT | ENETDOWN | ENETUNREACH | EHOSTDOWN
            | EHOSTUNREACH | ETIMEDOUT => Self::Nothing,
            ECANCELED => Self::Cancelled,
            _ if is_shortage(errno) => Self::Shortage,
            _ => Self::Fatal,
        }
    }
}

/// No descriptors or no memory left: an error that passes.
pub(crate) fn is_shortage(errno: i32) -> bool {
    matches!(errno, EMFILE | ENFILE | ENOBUFS | ENOMEM)
}

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENONET: i32 = 64;
const EPROTO: i32 = 71;
const ENOPROTOOPT: i32 = 92;
const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;
const ECONNABORTED: i32 = 103;
const ENOBUFS: i32 = 105;
const ETIMEDOUT: i32 = 110;
const EHOSTDOWN: i32 = 112;
const EHOSTUNREACH: i32 = 113;
const ECANCELED: i32 = 125;

/// See `idle_ends`.
const MOST_IDLE_ENDS: u32 = 16;
/// Connections that may wait in a listener.
const MOST_QUEUED: usize = 256;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
