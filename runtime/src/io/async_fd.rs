//! Any descriptor: when it is ready, and reading and writing it at its own position.

use std::fmt;
use std::future::Future;
use std::io;
use std::net;
use std::ops::BitOr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::fd::SharedFd;
use crate::io::reading::Reading;
use crate::io::traits::{AsyncRead, AsyncWrite};
use crate::io::writing::Writing;
use crate::kernel::file;
use crate::op::{PollOnce, Shutdown, submit_to};

/// Any descriptor: a device, a serial line, an `eventfd`, a socket of another library.
///
/// It tells when the descriptor is [readable](Self::readable) and [writable](Self::writable), for libraries that read and
/// write themselves, and it is [`AsyncRead`] and [`AsyncWrite`], for those who let the ring do it. Its mode is not changed.
///
/// Each wait asks anew ([`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html), level-triggered), so there is no
/// readiness to clear. Errors and hang-ups end every wait, as both make a read or a write answer at once.
///
/// The operations use a duplicate of the descriptor, so whatever `T` does with its own, they never hit a stranger's.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
///
/// use quoit_runtime::io::{AsyncFd, Interest};
///
/// quoit_runtime::block_on(async {
///     let (reader, mut writer) = std::io::pipe()?;
///     let reader = AsyncFd::new(reader)?;
///     writer.write_all(b"x")?;
///     let byte = reader
///         .async_io(Interest::READABLE, |mut pipe| {
///             let mut byte = [0];
///             pipe.read_exact(&mut byte).map(|()| byte[0])
///         })
///         .await?;
///     assert_eq!(byte, b'x');
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct AsyncFd<T: AsFd> {
    inner: T,
    sides: Sides,
}

/// The descriptor as the ring knows it.
struct Sides {
    fd: SharedFd,
    reading: Rc<Reading>,
    writing: Writing,
}

impl Drop for Sides {
    fn drop(&mut self) {
        self.reading.leave();
    }
}

impl<T: AsFd> AsyncFd<T> {
    /// Takes a descriptor over, or borrows it.
    ///
    /// # Errors
    ///
    /// Those of duplicating it, such as `EMFILE`; `Unsupported` on a simulated machine.
    pub fn new(inner: T) -> io::Result<Self> {
        file::real_world_only("descriptors but those of its own sockets and files")?;
        let fd = SharedFd::new(file::duplicate(inner.as_fd())?);
        let (reading, writing) = (Reading::new(fd.clone()), Writing::new(fd.clone()));
        Ok(Self { inner, sides: Sides { fd, reading, writing } })
    }

    /// Waits until a read would not wait: there are bytes, or the end, or an error.
    ///
    /// # Cancel safety
    ///
    /// Takes nothing, so that nothing can be lost.
    ///
    /// # Errors
    ///
    /// Those of the poll itself. An error of the descriptor makes it readable, and the read tells it.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write would not wait: there is room, or an error.
    ///
    /// # Cancel safety
    ///
    /// Takes nothing, so that nothing can be lost.
    ///
    /// # Errors
    ///
    /// As [`readable`](Self::readable).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Waits until one of several things holds, and tells which.
    ///
    /// # Cancel safety
    ///
    /// Takes nothing, so that nothing can be lost.
    ///
    /// # Errors
    ///
    /// As [`readable`](Self::readable).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let fd = &self.sides.fd;
        submit_to(fd.driver(), None, PollOnce::new(fd.clone(), interest.0)).await.map(Ready)
    }

    /// Does `io` if the descriptor is ready for it now, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where it is not ready, and those of `io`.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::io::{AsyncFd, Interest};
    ///
    /// let (reader, _writer) = std::io::pipe()?;
    /// let reader = AsyncFd::new(reader)?;
    /// let result = reader.try_io(Interest::READABLE, |_| -> std::io::Result<()> { unreachable!("not ready") });
    /// assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_io<R>(&self, interest: Interest, io: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        if file::ready_events(self.sides.fd.as_fd(), interest.0)? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        io(&self.inner)
    }

    /// Does `io` when the descriptor is ready for it, and again where it says `WouldBlock`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: `io` is either not called, or its answer is returned.
    ///
    /// # Errors
    ///
    /// Those of [`ready`](Self::ready), and of `io`.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn async_io<R>(&self, interest: Interest, mut io: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match io(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// See [`AsyncRead::read`].
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: the next call gets them. (A read that is in flight when this is dropped may have taken some.)
    ///
    /// # Errors
    ///
    /// Those of [`read(2)`](https://man7.org/linux/man-pages/man2/read.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        self.sides.reading.read(buf).await
    }

    /// See [`AsyncWrite::write`].
    ///
    /// # Cancel safety
    ///
    /// What has begun is finished; what still waited behind another write leaves no trace.
    ///
    /// # Errors
    ///
    /// Those of [`write(2)`](https://man7.org/linux/man-pages/man2/write.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.sides.writing.write(buf).await
    }

    /// What it was made of, to look at.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// What it was made of.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// What it was made of. Waits that are under way end.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsFd> AsyncRead for AsyncFd<T> {
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.sides.reading.read(buf)
    }

    fn read_exact<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.sides.reading.read_exact(buf)
    }
}

impl<T: AsFd> AsyncWrite for AsyncFd<T> {
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.sides.writing.write(buf)
    }

    fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> {
        self.sides.writing.write_all(buf)
    }

    /// Shuts down the sending side of a socket; of what is no socket nothing can be shut down, and nothing happens.
    async fn shutdown(&self) -> io::Result<()> {
        let Sides { fd, writing, .. } = &self.sides;
        let result = writing.submit(fd, Shutdown::new(fd.clone(), net::Shutdown::Write)).await;
        match result {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTSOCK | libc::ENOTCONN)) => Ok(()),
            result => result,
        }
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("fd", &self.inner.as_fd()).finish_non_exhaustive()
    }
}

/// What to wait for. Several are joined by `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(u32);

impl Interest {
    /// Bytes to read, or the end of them.
    pub const READABLE: Self = Self((libc::POLLIN | libc::POLLRDHUP) as u32);
    /// Room to write to.
    pub const WRITABLE: Self = Self(libc::POLLOUT as u32);
    /// What the descriptor calls exceptional: urgent bytes of a socket, an edge of a GPIO line.
    pub const PRIORITY: Self = Self(libc::POLLPRI as u32);
    /// Nothing but errors and hang-ups, which every wait tells.
    pub const ERROR: Self = Self(libc::POLLERR as u32);
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What holds. Told by [`AsyncFd::ready`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready(u32);

impl Ready {
    fn has(self, events: i16) -> bool {
        self.0 & events as u32 != 0
    }

    /// A read will not wait.
    pub fn is_readable(self) -> bool {
        self.has(libc::POLLIN | libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR)
    }

    /// A write will not wait.
    pub fn is_writable(self) -> bool {
        self.has(libc::POLLOUT | libc::POLLHUP | libc::POLLERR)
    }

    /// Nobody writes to the other end any more.
    pub fn is_read_closed(self) -> bool {
        self.has(libc::POLLRDHUP | libc::POLLHUP)
    }

    /// Nobody reads from the other end any more.
    pub fn is_write_closed(self) -> bool {
        self.has(libc::POLLHUP | libc::POLLERR)
    }

    /// Something exceptional.
    pub fn is_priority(self) -> bool {
        self.has(libc::POLLPRI)
    }

    /// An error.
    pub fn is_error(self) -> bool {
        self.has(libc::POLLERR)
    }
}
