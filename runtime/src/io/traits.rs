//! What can be read, and what can be written.
//!
//! Buffers go in by value and come back with the answer, since the kernel may have them meanwhile. The methods take `&self`, so
//! that one task can read what another writes to. Both traits can be implemented outside of this crate.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use crate::buf::{BufResult, IoBuf, IoBufMut, spare};

/// Something that bytes can be read from.
///
/// # Cancel safety
///
/// Each implementation tells its own. The ones of quoit lose nothing: bytes belong to the object until a future has returned
/// them, so what a dropped [`read`](Self::read) or [`read_exact`](Self::read_exact) would have had goes to the next one.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
///
/// use quoit_runtime::buf::{BufResult, IoBufMut, fill};
/// use quoit_runtime::io::{AsyncRead, AsyncReadExt};
///
/// /// Counts down.
/// struct Countdown(Cell<u8>);
///
/// impl AsyncRead for Countdown {
///     async fn read<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
///         let left = self.0.get();
///         if left == 0 {
///             return (Ok(0), buf);
///         }
///         self.0.set(left - 1);
///         (Ok(fill(&mut buf, &[left])), buf)
///     }
/// }
///
/// quoit_runtime::block_on(async {
///     let countdown = Countdown(Cell::new(5));
///     let (res, buf) = countdown.read_exact(Box::new([0; 3])).await;
///     assert_eq!((res.unwrap(), *buf), (3, [5, 4, 3]));
///     let (res, rest) = countdown.read_to_end(Vec::new()).await;
///     assert_eq!((res.unwrap(), &rest[..]), (2, &[2, 1][..]));
/// });
/// ```
pub trait AsyncRead {
    /// Reads what is there into the room of a buffer, at least one byte; waits for it where nothing is. 0 at the end. A `Vec`
    /// is filled from its length on, a `Box` from its start.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room.
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>>;

    /// Reads until a buffer is full, and answers how many bytes that took.
    ///
    /// # Cancel safety
    ///
    /// As it is provided here, over [`read`](Self::read), a dropped future takes along what it has read. An implementation
    /// that can keep these bytes for the next read overrides it; all of quoit do.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the end comes before; `InvalidInput` for a buffer without room; else those of `read`.
    fn read_exact<B: IoBufMut>(&self, mut buf: B) -> impl Future<Output = BufResult<usize, B>> {
        async move {
            let (start, wanted) = (buf.fill_from(), spare(&buf));
            let mut filled = 0;
            loop {
                // A slice, since a `Box` would be read into from its start again. The first one finds out about no room.
                let (result, part) = self.read(buf.slice(start + filled..)).await;
                buf = part.into_inner();
                match result {
                    Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), buf),
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buf),
                }
                if filled >= wanted {
                    return (Ok(filled), buf);
                }
            }
        }
    }
}

/// Something that bytes can be written to.
///
/// # Cancel safety
///
/// Each implementation tells its own. The ones of quoit finish what has begun: a dropped [`write_all`](Self::write_all) that
/// has begun is brought out whole, and one that still waited behind another leaves no trace.
///
/// # Examples
///
/// A writer of one's own:
///
/// ```
/// use std::cell::RefCell;
///
/// use quoit_runtime::buf::{BufResult, IoBuf};
/// use quoit_runtime::io::{AsyncWrite, AsyncWriteExt};
///
/// /// Writes in capitals.
/// struct Shout(RefCell<String>);
///
/// impl AsyncWrite for Shout {
///     async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
///         let text = String::from_utf8_lossy(buf.as_bytes()).to_uppercase();
///         self.0.borrow_mut().push_str(&text);
///         (Ok(buf.len()), buf)
///     }
///
///     async fn shutdown(&self) -> std::io::Result<()> {
///         Ok(())
///     }
/// }
///
/// quoit_runtime::block_on(async {
///     let shout = Shout(RefCell::default());
///     shout.write_all("hello").await.0?;
///     shout.flush().await?;
///     assert_eq!(*shout.0.borrow(), "HELLO");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait AsyncWrite {
    /// Writes as much of a buffer as can be taken at once, and answers how much. 0 for an empty buffer only.
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>>;

    /// Writes all of a buffer.
    ///
    /// # Cancel safety
    ///
    /// As it is provided here, over [`write`](Self::write), a dropped future may leave a part written and the rest not. An
    /// implementation that finishes what has begun overrides it; all of quoit do.
    ///
    /// # Errors
    ///
    /// `WriteZero` where nothing more is taken; else those of `write`.
    fn write_all<B: IoBuf>(&self, mut buf: B) -> impl Future<Output = BufResult<(), B>> {
        async move {
            let mut written = 0;
            while written < buf.len() {
                let (result, part) = self.write(buf.slice(written..)).await;
                buf = part.into_inner();
                match result {
                    Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buf),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buf),
                }
            }
            (Ok(()), buf)
        }
    }

    /// Hands on what the writer itself holds back. Those that hold nothing, such as sockets and pipes, are done at once.
    fn flush(&self) -> impl Future<Output = io::Result<()>> {
        async { Ok(()) }
    }

    /// Ends the writing side, behind all that has been written: who reads at the other end comes to the end.
    fn shutdown(&self) -> impl Future<Output = io::Result<()>>;
}

/// What reads or writes, behind a pointer.
macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<T: AsyncRead> AsyncRead for $pointer {
            fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                T::read(self, buf)
            }

            fn read_exact<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                T::read_exact(self, buf)
            }
        }

        impl<T: AsyncWrite> AsyncWrite for $pointer {
            fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                T::write(self, buf)
            }

            fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> {
                T::write_all(self, buf)
            }

            fn flush(&self) -> impl Future<Output = io::Result<()>> {
                T::flush(self)
            }

            fn shutdown(&self) -> impl Future<Output = io::Result<()>> {
                T::shutdown(self)
            }
        }
    )*};
}

pointers!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

/// The answer to a read into a buffer without room: the kernel would answer 0, which looks like an end.
pub(crate) fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the buffer has no room: give a Vec a capacity beyond its length")
}
