//! The writing side of what is written at its own position: pipes, terminals, devices.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use crate::buf::{BufResult, IoBuf};
use crate::cancel_scope::stoppable;
use crate::driver::Driver;
use crate::fd::SharedFd;
use crate::kernel::file;
use crate::op::{InFlight, Lane, Op, Write, submit_to};

/// The writing side of one descriptor. When it is dropped, what has begun is finished behind it, up to the
/// [deadline](crate::Builder::close_deadline), and then the descriptor is closed.
#[derive(Debug)]
pub(crate) struct Writing {
    /// Taken when the side is shut.
    fd: RefCell<Option<SharedFd>>,
    /// The order of the writes.
    lane: Lane,
    /// The driver of the writes, once there has been one.
    driver: OnceCell<Rc<Driver>>,
}

impl Writing {
    pub(crate) fn new(fd: SharedFd) -> Self {
        Self { fd: RefCell::new(Some(fd)), lane: Lane::new(), driver: OnceCell::new() }
    }

    /// The descriptor, unless the side has been shut.
    pub(crate) fn fd(&self) -> Option<SharedFd> {
        self.fd.borrow().clone()
    }

    /// See [`AsyncWrite::write`](crate::io::AsyncWrite::write).
    pub(crate) async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        match self.fd() {
            Some(fd) => {
                // The future holds no descriptor: forgotten, it must not keep it open.
                let written = self.submit(&fd.clone(), Write::some(fd, buf));
                written.await
            }
            None => (Err(shut()), buf),
        }
    }

    /// See [`AsyncWrite::write_all`](crate::io::AsyncWrite::write_all).
    pub(crate) async fn write_all<B: IoBuf>(&self, buf: B) -> BufResult<(), B> {
        match self.fd() {
            Some(fd) => {
                let written = self.submit(&fd.clone(), Write::all(fd, buf));
                let (result, buf) = written.await;
                (result.map(drop), buf)
            }
            None => (Err(shut()), buf),
        }
    }

    /// Starts an operation behind the writes that are under way.
    pub(crate) fn submit<T: Op>(&self, fd: &SharedFd, op: T) -> InFlight<T> {
        let driver = self.driver.get_or_init(|| Rc::clone(fd.driver()));
        submit_to(driver, Some(&self.lane), op)
    }

    /// Waits until what has begun is out, also where nobody waits for it any more.
    pub(crate) async fn settle(&self) -> io::Result<()> {
        let place = self.lane.place();
        stoppable(|cx| self.lane.poll_idle(cx, &place).map(Ok)).await
    }

    /// Closes the descriptor behind the writes that are under way. Later writes are refused.
    pub(crate) async fn close(&self) -> io::Result<()> {
        let Some(fd) = self.fd.take() else { return Ok(()) };
        if let Some(driver) = self.driver.get() {
            driver.finish(&self.lane).await?;
        }
        let failed = fd.send_error();
        let closed = fd.close().await;
        failed.map_or(closed, Err)
    }

    /// The descriptor, or a duplicate where operations are under way.
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        let fd = self.fd.take().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        fd.try_unwrap().or_else(|shared| {
            let duplicate = file::duplicate(shared.as_fd());
            self.fd.replace(Some(shared));
            duplicate
        })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.get() {
            driver.finish_later(&self.lane);
        }
    }
}

/// The answer of a write to what has been shut: that of a pipe whose other end is gone.
fn shut() -> io::Error {
    io::Error::from_raw_os_error(libc::EPIPE)
}
