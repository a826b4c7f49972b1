//! A descriptor that stays open while any operation names it (I3).

mod place;

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::context;
use crate::driver::{Driver, wake};
pub(crate) use crate::fd::place::MOST_PLACES;
use crate::fd::place::Place;
use crate::kernel::attempt::is_direct;
use crate::kernel::socket::{self, SocketOption};
use crate::op::{Close, submit_to};

/// A shared descriptor: it is closed when the last clone is gone, and every operation holds one until the kernel has
/// answered.
///
/// It binds itself to a runtime at its first operation, and is closed through that runtime's ring. Outside a runtime it can
/// be made, asked for its options, and dropped.
#[derive(Clone)]
pub struct SharedFd(
    /// Dropped by hand, so that something can be done after it.
    ManuallyDrop<Rc<Descriptor>>,
);

/// A reference to a descriptor that does not keep it open.
#[derive(Clone)]
pub struct WeakFd(Weak<Descriptor>);

impl WeakFd {
    /// The descriptor, if it is open still.
    pub fn upgrade(&self) -> Option<SharedFd> {
        self.0.upgrade().map(|descriptor| SharedFd(ManuallyDrop::new(descriptor)))
    }
}

impl fmt::Debug for WeakFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakFd({:?})", self.upgrade())
    }
}

/// Whether calls that are told not to wait may serve a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempts {
    Untried,
    Possible,
    Vain,
}

struct Descriptor {
    /// Taken out when it is closed.
    fd: ManuallyDrop<OwnedFd>,
    /// Whether `fd` has been taken out.
    is_closed: Cell<bool>,
    /// It is a socket: the entry that closes it never goes to a worker thread.
    is_socket: bool,
    /// The driver of its operations, from the first one on.
    driver: OnceCell<Rc<Driver>>,
    /// The errno of the first send that failed for good; 0 while none has. What the socket would answer later may
    /// look harmless: an error that was told stays told.
    send_error: Cell<i32>,
    /// We have shut down the sending side.
    send_shut: Cell<bool>,
    /// Whether calls that don't wait may serve it.
    attempts: Cell<Attempts>,
    /// Whoever closes it is made to wait until its bytes are out (`SO_LINGER`), as far as we know.
    lingers: Cell<bool>,
    /// The number by which the kernel knows it beside its own.
    place: Cell<Place>,
    /// Who waits to be the last owner.
    closer: Cell<Option<Waker>>,
}

impl SharedFd {
    /// Takes ownership of a descriptor, which is to be a blocking one; see [`adopt`](Self::adopt).
    pub fn new(fd: OwnedFd) -> Self {
        Self::with(fd, false)
    }

    /// Takes ownership of a socket, which is to be a blocking one. Closing a socket is cheaper than closing other files.
    pub fn of_socket(fd: OwnedFd) -> Self {
        Self::with(fd, true)
    }

    fn with(fd: OwnedFd, is_socket: bool) -> Self {
        Self(ManuallyDrop::new(Rc::new(Descriptor {
            fd: ManuallyDrop::new(fd),
            is_closed: Cell::new(false),
            is_socket,
            driver: OnceCell::new(),
            send_error: Cell::new(0),
            send_shut: Cell::new(false),
            attempts: Cell::new(if is_socket { Attempts::Possible } else { Attempts::Untried }),
            lingers: Cell::new(false),
            place: Cell::new(if is_socket { Place::NEVER } else { Place::UNREAD }),
            closer: Cell::new(None),
        })))
    }

    /// A reference that does not keep it open.
    pub fn downgrade(&self) -> WeakFd {
        WeakFd(Rc::downgrade(self.descriptor()))
    }

    #[inline]
    fn descriptor(&self) -> &Rc<Descriptor> {
        &self.0
    }

    /// The driver of its operations; that of the current runtime, if there has been none yet.
    ///
    /// # Panics
    ///
    /// Outside a runtime, with the caller's location, if it has not been bound before.
    #[track_caller]
    #[inline]
    pub fn driver(&self) -> &Rc<Driver> {
        match self.descriptor().driver.get() {
            Some(driver) => driver,
            None => {
                let driver = context::driver();
                self.descriptor().driver.get_or_init(|| driver)
            }
        }
    }

    /// As [`driver`](Self::driver), without a panic.
    pub fn try_driver(&self) -> Option<&Rc<Driver>> {
        if self.bound_driver().is_none() {
            let driver = context::try_with(|core| Rc::clone(&core.driver))?;
            self.descriptor().driver.get_or_init(|| driver);
        }
        self.bound_driver()
    }

    /// The driver, if there has been an operation.
    #[inline]
    pub fn bound_driver(&self) -> Option<&Rc<Driver>> {
        self.descriptor().driver.get()
    }

    /// No runtime performs its operations: it has had none, or that is gone.
    #[inline]
    pub fn has_no_runtime(&self) -> bool {
        self.bound_driver().is_none_or(|driver| driver.is_closed())
    }

    /// The first error that ended the sending side for good.
    pub fn send_error(&self) -> Option<io::Error> {
        self.send_errno().map(io::Error::from_raw_os_error)
    }

    /// The errno of that.
    #[inline]
    pub(crate) fn send_errno(&self) -> Option<i32> {
        Some(self.descriptor().send_error.get()).filter(|errno| *errno != 0)
    }

    /// Whether we have shut down the sending side.
    #[inline]
    pub fn is_send_shut(&self) -> bool {
        self.descriptor().send_shut.get()
    }

    /// A connection that this listener has accepted, which has got its options.
    pub fn accepted(&self, connection: OwnedFd) -> Self {
        let connection = Self::of_socket(connection);
        connection.note_linger(self.descriptor().lingers.get());
        connection
    }

    /// Whether closing it would wait.
    pub(crate) fn note_linger(&self, lingers: bool) {
        self.descriptor().lingers.set(lingers);
    }

    pub(crate) fn latch_send_shut(&self) {
        self.descriptor().send_shut.set(true);
    }

    pub(crate) fn latch_send_error(&self, errno: i32) {
        if self.descriptor().send_error.get() == 0 {
            self.descriptor().send_error.set(errno);
        }
    }

    /// Whether a call that is told not to wait may serve it, as far as we know. Not where it would wait all the same, for a
    /// disk without a cache.
    #[inline]
    pub(crate) fn takes_attempts(&self) -> bool {
        let attempts = &self.descriptor().attempts;
        match attempts.get() {
            Attempts::Possible => true,
            Attempts::Vain => false,
            Attempts::Untried => self.learn_whether_it_waits(),
        }
    }

    #[cold]
    fn learn_whether_it_waits(&self) -> bool {
        let is_possible = is_direct(self.as_fd()).is_ok_and(|is_direct| !is_direct);
        self.descriptor().attempts.set(if is_possible { Attempts::Possible } else { Attempts::Vain });
        is_possible
    }

    /// Such a call has turned out not to be possible.
    pub(crate) fn refuse_attempts(&self) {
        self.descriptor().attempts.set(Attempts::Vain);
    }

    /// Whether this is the only owner: no operation names the descriptor.
    pub fn is_unshared(&self) -> bool {
        Rc::strong_count(self.descriptor()) == 1
    }

    /// The descriptor, or a duplicate of it where operations are under way.
    ///
    /// # Panics
    ///
    /// Where a duplicate is needed and the process has no room for it.
    pub fn into_owned(self) -> OwnedFd {
        self.try_unwrap().unwrap_or_else(|shared| {
            shared.as_fd().try_clone_to_owned().expect("a descriptor for the duplicate of a socket that is in use")
        })
    }

    /// Waits until this is the only owner. One waiter at a time.
    pub fn poll_unshared(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_unshared() {
            return Poll::Ready(());
        }
        drop(self.descriptor().closer.replace(Some(cx.waker().clone())));
        // A waker may be anybody's code, and the others may have gone when nobody could have been woken.
        if self.is_unshared() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Closes the descriptor, once all operations that name it have ended, and tells how that went.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the descriptor is closed behind the caller's back.
    ///
    /// # Errors
    ///
    /// Those of [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html). The descriptor is gone either way.
    pub async fn close(self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_unshared(cx)).await;
        let driver = Rc::clone(self.driver());
        self.descriptor().stop_lingering();
        match self.try_unwrap() {
            Ok(fd) => submit_to(&driver, None, Close::new(fd)).await,
            Err(_) => unreachable!("nobody else had the descriptor a moment ago, and nothing ran since"),
        }
    }

    /// The descriptor itself, if this is the only owner.
    ///
    /// # Errors
    ///
    /// Gives `self` back where operations are under way.
    pub fn try_unwrap(self) -> Result<OwnedFd, Self> {
        if !self.is_unshared() {
            return Err(self);
        }
        let descriptor = Rc::clone(self.descriptor());
        drop(self);
        match Rc::try_unwrap(descriptor) {
            Ok(mut descriptor) => Ok(descriptor.take()),
            Err(_) => unreachable!("counted just above"),
        }
    }
}

impl Drop for SharedFd {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "what was shared is dropped by hand")]
        // SAFETY: this is the drop, and `self.0` is not used afterwards.
        let descriptor = unsafe { ManuallyDrop::take(&mut self.0) };
        // The one that is left may be waiting for that: it is woken when it really is the only one.
        let closer = if Rc::strong_count(&descriptor) == 2 { descriptor.closer.take() } else { None };
        drop(descriptor);
        if let Some(closer) = closer {
            wake(closer);
        }
    }
}

impl Descriptor {
    /// It is to be closed by a thread that has other things to do than to wait. The kernel goes on sending as ever.
    fn stop_lingering(&self) {
        if self.lingers.replace(false) {
            // Where it can't be told so, it is gone, or nothing that lingers.
            let _ = socket::set_option(self.fd.as_fd(), SocketOption::Linger(None));
        }
    }

    #[expect(unsafe_code, reason = "the descriptor moves out of a struct that has a destructor")]
    fn take(&mut self) -> OwnedFd {
        assert!(!self.is_closed.replace(true), "a descriptor is taken out once");
        self.leave_place();
        // SAFETY: taken once, as was just checked, and not used afterwards.
        unsafe { ManuallyDrop::take(&mut self.fd) }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.is_closed.get() {
            return;
        }
        self.stop_lingering();
        let fd = self.take();
        match self.driver.get() {
            Some(driver) => driver.close(fd, self.is_socket),
            None => drop(fd),
        }
    }
}

impl AsFd for SharedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor().fd.as_fd()
    }
}

impl AsRawFd for SharedFd {
    #[inline]
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor().fd.as_raw_fd()
    }
}

impl fmt::Debug for SharedFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedFd({})", self.as_raw_fd())
    }
}
