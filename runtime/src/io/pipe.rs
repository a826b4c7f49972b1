//! Pipes.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Stdio;
use std::rc::Rc;

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::fd::SharedFd;
use crate::io::reading::Reading;
use crate::io::traits::{AsyncRead, AsyncWrite};
use crate::io::writing::Writing;
use crate::kernel::file;

/// A pipe: what is written to one end can be read from the other.
///
/// # Errors
///
/// Those of [`pipe(2)`](https://man7.org/linux/man-pages/man2/pipe.2.html).
///
/// # Examples
///
/// ```
/// quoit_runtime::block_on(async {
///     let (reader, writer) = quoit_runtime::io::pipe()?;
///     writer.write_all("hello").await.0?;
///     drop(writer);
///     let (res, buf) = reader.read(Vec::with_capacity(16)).await;
///     assert_eq!((res?, &buf[..]), (5, &b"hello"[..]));
///     assert_eq!(reader.read(buf).await.0?, 0);
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = file::pipe()?;
    Ok((PipeReader::from(reader), PipeWriter::from(writer)))
}

/// The end of a pipe that is read from; also of a FIFO, or of anything else that is read at its own position.
///
/// What a read asks for and its future does not take is kept for the next read. When this is dropped, what had arrived is
/// dropped with it; what nobody had asked for stays in the pipe.
#[derive(Debug)]
pub struct PipeReader {
    side: Rc<Reading>,
}

impl PipeReader {
    /// See [`AsyncRead::read`].
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: the next call gets them. The buffer is dropped with the future.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room; else those of
    /// [`read(2)`](https://man7.org/linux/man-pages/man2/read.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        self.side.read(buf).await
    }

    /// See [`AsyncRead::read_exact`].
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: what had arrived is kept, in order.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the writers are gone before; the bytes that are there can still be read. Else as
    /// [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read_exact<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        self.side.read_exact(buf).await
    }
}

impl AsyncRead for PipeReader {
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.side.read(buf)
    }

    fn read_exact<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.side.read_exact(buf)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.side.leave();
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.side.fd().as_fd()
    }
}

impl AsRawFd for PipeReader {
    fn as_raw_fd(&self) -> RawFd {
        self.side.fd().as_raw_fd()
    }
}

impl From<OwnedFd> for PipeReader {
    /// Takes over the end of a pipe, in whatever mode it is.
    fn from(fd: OwnedFd) -> Self {
        Self { side: Reading::new(SharedFd::new(fd)) }
    }
}

impl From<io::PipeReader> for PipeReader {
    fn from(pipe: io::PipeReader) -> Self {
        Self::from(OwnedFd::from(pipe))
    }
}

impl TryFrom<PipeReader> for OwnedFd {
    type Error = io::Error;

    /// The descriptor, or a duplicate where a read is under way. Bytes that had arrived and nobody took are lost.
    fn try_from(pipe: PipeReader) -> io::Result<Self> {
        file::duplicate(pipe.as_fd())
    }
}

impl TryFrom<PipeReader> for Stdio {
    type Error = io::Error;

    /// For a child process to read from.
    fn try_from(pipe: PipeReader) -> io::Result<Self> {
        OwnedFd::try_from(pipe).map(Self::from)
    }
}

/// The end of a pipe that is written to; also of a FIFO, or of anything else that is written at its own position.
///
/// Writes of several tasks follow one another whole, first come first served. When this is dropped, writes that have begun
/// finish behind it, and then it is closed; a pipe that nobody reads from is given up after
/// [`Builder::close_deadline`](crate::Builder::close_deadline).
#[derive(Debug)]
pub struct PipeWriter {
    side: Writing,
}

impl PipeWriter {
    /// See [`AsyncWrite::write`].
    ///
    /// # Cancel safety
    ///
    /// A write has begun once it was polled and no earlier one is under way. Dropped before, it leaves no trace; dropped
    /// later, it is finished behind your back.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` where all readers are gone; else those of
    /// [`write(2)`](https://man7.org/linux/man-pages/man2/write.2.html). No signal is raised.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.side.write(buf).await
    }

    /// See [`AsyncWrite::write_all`].
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write): what has begun is finished whole and in order.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn write_all<B: IoBuf>(&self, buf: B) -> BufResult<(), B> {
        self.side.write_all(buf).await
    }

    /// Nothing is held back, so this is done at once.
    ///
    /// # Errors
    ///
    /// None.
    pub async fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Closes this end behind the writes that are under way, and tells how that went: the reader comes to the end. Later
    /// writes are a `BrokenPipe`.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, it goes on as if the writer had been dropped.
    ///
    /// # Errors
    ///
    /// The error that broke a write, if there was one; `TimedOut` where nobody took what was written before
    /// [`Builder::close_deadline`](crate::Builder::close_deadline).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.side.close().await
    }
}

impl AsyncWrite for PipeWriter {
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.side.write(buf)
    }

    fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> {
        self.side.write_all(buf)
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> {
        self.side.close()
    }
}

impl From<OwnedFd> for PipeWriter {
    /// Takes over the end of a pipe, in whatever mode it is.
    fn from(fd: OwnedFd) -> Self {
        Self { side: Writing::new(SharedFd::new(fd)) }
    }
}

impl From<io::PipeWriter> for PipeWriter {
    fn from(pipe: io::PipeWriter) -> Self {
        Self::from(OwnedFd::from(pipe))
    }
}

impl TryFrom<PipeWriter> for OwnedFd {
    type Error = io::Error;

    /// The descriptor, or a duplicate where a write is under way.
    fn try_from(pipe: PipeWriter) -> io::Result<Self> {
        pipe.side.into_fd()
    }
}

impl TryFrom<PipeWriter> for Stdio {
    type Error = io::Error;

    /// For a child process to write to.
    fn try_from(pipe: PipeWriter) -> io::Result<Self> {
        OwnedFd::try_from(pipe).map(Self::from)
    }
}
