//! Standard input, output and error: files, pipes and terminals alike.
//!
//! Their modes are never changed, so a terminal stays as it is for the shell and for everybody else who shares it. All
//! handles of one stream in one runtime share a side, and so an order; other runtimes, and std's own handles, have theirs.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Mutex;

use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::context;
use crate::driver::Driver;
use crate::fd::SharedFd;
use crate::io::reading::Reading;
use crate::io::traits::{AsyncRead, AsyncWrite};
use crate::io::writing::Writing;
use crate::kernel::file::{self, Standard};

/// A handle of standard input.
///
/// # Examples
///
/// ```no_run
/// use quoit_runtime::io::{BufReader, stdin};
///
/// quoit_runtime::block_on(async {
///     let mut lines = BufReader::new(stdin()).lines();
///     while let Some(line) = lines.next_line().await? {
///         println!("{line}");
///     }
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn stdin() -> Stdin {
    Stdin { std: io::stdin(), side: RefCell::new(None) }
}

/// A handle of standard output. Nothing is buffered.
///
/// # Examples
///
/// ```
/// quoit_runtime::block_on(async {
///     quoit_runtime::io::stdout().write_all("hello\n").await.0
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn stdout() -> Stdout {
    Stdout { std: io::stdout(), side: RefCell::new(None) }
}

/// A handle of standard error. Nothing is buffered.
///
/// # Examples
///
/// See [`stdout`].
pub fn stderr() -> Stderr {
    Stderr { std: io::stderr(), side: RefCell::new(None) }
}

/// Standard input. Made by [`stdin`].
///
/// Bytes are the process's: what one handle has asked for and nobody has taken goes to the next, also when that is made in
/// another runtime after this one has gone.
pub struct Stdin {
    /// Lends its descriptor.
    std: io::Stdin,
    /// That of the runtime in which it was used last.
    side: RefCell<Option<Rc<Reading>>>,
}

impl Stdin {
    /// See [`AsyncRead::read`].
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: the next call gets them, also that of another handle. The buffer is dropped with the future.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room; `EBADF` where the process has no standard input; else those of
    /// [`read(2)`](https://man7.org/linux/man-pages/man2/read.2.html).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        match self.side() {
            Ok(side) => side.read(buf).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// See [`AsyncRead::read_exact`].
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the end comes before; the bytes that are there can still be read. Else as [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn read_exact<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        match self.side() {
            Ok(side) => side.read_exact(buf).await,
            Err(error) => (Err(error), buf),
        }
    }

    fn side(&self) -> io::Result<Rc<Reading>> {
        let driver = context::driver();
        if let Some(side) = self.side.borrow().as_ref().filter(|side| Rc::ptr_eq(side.fd().driver(), &driver)) {
            return Ok(Rc::clone(side));
        }
        // First, as what it has not given out goes to the one that follows.
        self.leave();
        let found = INPUT.try_with(|sides| find(sides, |side| is_of(side.fd(), &driver))).ok().flatten();
        let side = match found {
            Some(side) => {
                side.join();
                side
            }
            None => {
                let fd = bound(Standard::Input)?;
                let side = Reading::with_leftovers(fd, &LEFTOVERS);
                let _ = INPUT.try_with(|sides| sides.borrow_mut().push(Rc::downgrade(&side)));
                side
            }
        };
        self.side.replace(Some(Rc::clone(&side)));
        Ok(side)
    }

    fn leave(&self) {
        let side = self.side.take();
        if let Some(side) = side {
            side.leave();
        }
    }
}

impl AsyncRead for Stdin {
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        Stdin::read(self, buf)
    }

    fn read_exact<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        Stdin::read_exact(self, buf)
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.leave();
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

/// The two streams that are written to differ in their names only.
macro_rules! output {
    ($(#[$doc:meta])* $name:ident, $standard:expr, $sides:ident, $std:ty) => {
        $(#[$doc])*
        ///
        /// Writes of all handles in one runtime follow one another whole, first come first served.
        pub struct $name {
            /// Lends its descriptor.
            std: $std,
            /// That of the runtime in which it was used last.
            side: RefCell<Option<Rc<Writing>>>,
        }

        impl $name {
            /// See [`AsyncWrite::write`].
            ///
            /// # Cancel safety
            ///
            /// A write has begun once it was polled and no earlier one is under way. Dropped before, it leaves no trace;
            /// dropped later, it is finished behind your back.
            ///
            /// # Errors
            ///
            /// `BrokenPipe` where nobody reads any more; else those of
            /// [`write(2)`](https://man7.org/linux/man-pages/man2/write.2.html).
            ///
            /// # Panics
            ///
            /// Outside a runtime.
            pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
                match self.side() {
                    Ok(side) => side.write(buf).await,
                    Err(error) => (Err(error), buf),
                }
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
                match self.side() {
                    Ok(side) => side.write_all(buf).await,
                    Err(error) => (Err(error), buf),
                }
            }

            /// Waits until what has begun is out, also where nobody waits for it any more.
            ///
            /// # Errors
            ///
            /// Those of finding the stream.
            ///
            /// # Panics
            ///
            /// Outside a runtime.
            pub async fn flush(&self) -> io::Result<()> {
                self.side()?.settle().await
            }

            fn side(&self) -> io::Result<Rc<Writing>> {
                let driver = context::driver();
                let is_ours = |side: &Rc<Writing>| side.fd().is_some_and(|fd| is_of(&fd, &driver));
                if let Some(side) = self.side.borrow().as_ref().filter(|side| is_ours(side)) {
                    return Ok(Rc::clone(side));
                }
                let side = match $sides.try_with(|sides| find(sides, is_ours)).ok().flatten() {
                    Some(side) => side,
                    None => {
                        let side = Rc::new(Writing::new(bound($standard)?));
                        let _ = $sides.try_with(|sides| sides.borrow_mut().push(Rc::downgrade(&side)));
                        side
                    }
                };
                let before = self.side.replace(Some(Rc::clone(&side)));
                drop(before);
                Ok(side)
            }
        }

        impl AsyncWrite for $name {
            fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                $name::write(self, buf)
            }

            fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> {
                $name::write_all(self, buf)
            }

            fn flush(&self) -> impl Future<Output = io::Result<()>> {
                $name::flush(self)
            }

            /// As `flush`: the stream is the process's, and stays open.
            fn shutdown(&self) -> impl Future<Output = io::Result<()>> {
                $name::flush(self)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.std.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

output!(
    /// Standard output. Made by [`stdout`].
    Stdout,
    Standard::Output,
    OUTPUT,
    io::Stdout
);
output!(
    /// Standard error. Made by [`stderr`].
    Stderr,
    Standard::Error,
    ERROR,
    io::Stderr
);

/// A descriptor of our own of a stream, bound to the current runtime.
fn bound(stream: Standard) -> io::Result<SharedFd> {
    let fd = SharedFd::new(file::standard(stream)?);
    fd.driver();
    Ok(fd)
}

fn is_of(fd: &SharedFd, driver: &Rc<Driver>) -> bool {
    Rc::ptr_eq(fd.driver(), driver)
}

/// The side that answers to `is_wanted`; those that are gone are forgotten.
fn find<T>(sides: &RefCell<Vec<Weak<T>>>, is_wanted: impl Fn(&Rc<T>) -> bool) -> Option<Rc<T>> {
    sides.borrow_mut().retain(|side| side.strong_count() > 0);
    let there: Vec<_> = sides.borrow().iter().filter_map(Weak::upgrade).collect();
    there.into_iter().find(is_wanted)
}

thread_local! {
    /// The sides of this thread, one a runtime.
    static INPUT: RefCell<Vec<Weak<Reading>>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<Weak<Writing>>> = const { RefCell::new(Vec::new()) };
    static ERROR: RefCell<Vec<Weak<Writing>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of standard input that were asked for and not taken.
static LEFTOVERS: Mutex<Vec<u8>> = Mutex::new(Vec::new());
