//! Signals of the process.
//!
//! Each listener has an [`eventfd(2)`](https://man7.org/linux/man-pages/man2/eventfd.2.html) of its own that the handler of
//! the signal adds one to, and that the listener's runtime reads. So there may be any number of listeners, in any number of
//! runtimes, and what comes while nobody polls is there later.

use std::fmt;
use std::io::{self, Read as _};
use std::os::raw::c_int;
use std::rc::Rc;
use std::thread;

use crate::fd::SharedFd;
use crate::io::reading::Reading;
use crate::kernel::file;
use crate::sys;
use crate::sys::signal::Handler;

/// Which signal.
///
/// # Examples
///
/// ```
/// use quoit_runtime::signal::SignalKind;
///
/// assert_eq!(SignalKind::from_raw(15), SignalKind::terminate());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(c_int);

impl SignalKind {
    /// The signal of this number.
    pub const fn from_raw(number: c_int) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_raw_value(self) -> c_int {
        self.0
    }

    /// `SIGALRM`: a timer of the process.
    pub const fn alarm() -> Self {
        Self(libc::SIGALRM)
    }

    /// `SIGCHLD`: a child process has ended, or stopped.
    pub const fn child() -> Self {
        Self(libc::SIGCHLD)
    }

    /// `SIGHUP`: the terminal is gone; by custom, read the configuration again.
    pub const fn hangup() -> Self {
        Self(libc::SIGHUP)
    }

    /// `SIGINT`: Ctrl-C.
    pub const fn interrupt() -> Self {
        Self(libc::SIGINT)
    }

    /// `SIGIO`: a descriptor is ready.
    pub const fn io() -> Self {
        Self(libc::SIGIO)
    }

    /// `SIGPIPE`: a write to a pipe that nobody reads.
    pub const fn pipe() -> Self {
        Self(libc::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\\.
    pub const fn quit() -> Self {
        Self(libc::SIGQUIT)
    }

    /// `SIGTERM`: the process is asked to end.
    pub const fn terminate() -> Self {
        Self(libc::SIGTERM)
    }

    /// `SIGUSR1`.
    pub const fn user_defined1() -> Self {
        Self(libc::SIGUSR1)
    }

    /// `SIGUSR2`.
    pub const fn user_defined2() -> Self {
        Self(libc::SIGUSR2)
    }

    /// `SIGWINCH`: the terminal has another size.
    pub const fn window_change() -> Self {
        Self(libc::SIGWINCH)
    }
}

impl From<c_int> for SignalKind {
    fn from(number: c_int) -> Self {
        Self(number)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> c_int {
        kind.0
    }
}

/// Listens to a signal from now on.
///
/// The signal's default action, such as the end of the process, does not happen any more, not even when the listener is gone.
/// Handlers that other code has installed are called as well.
///
/// # Errors
///
/// `InvalidInput` for a signal that no handler can have (`SIGKILL`, `SIGSTOP`) or should (`SIGSEGV` and its kind); `EMFILE`; `Unsupported` on a simulated machine.
///
/// # Examples
///
/// ```no_run
/// use quoit_runtime::signal::{SignalKind, signal};
///
/// # async fn read_configuration() {}
/// # quoit_runtime::block_on(async {
/// let mut hangup = signal(SignalKind::hangup())?;
/// while hangup.recv().await.is_some() {
///     read_configuration().await;
/// }
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    file::real_world_only("signals")?;
    let event = sys::event::event()?;
    let handler = sys::signal::count(kind.0, event.try_clone()?)?;
    Ok(Signal { kind, reading: Reading::new(SharedFd::new(event)), _handler: handler })
}

/// A listener. Made by [`signal()`].
pub struct Signal {
    kind: SignalKind,
    /// Reads the count of signals.
    reading: Rc<Reading>,
    _handler: Handler,
}

impl Signal {
    /// Waits for a signal. Those that came since the last call, while nobody waited, are told as one.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: the next call tells.
    ///
    /// `None` where no signal will come any more, because the runtime in which it was first awaited is gone; or where a cancel
    /// scope ends the wait.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn recv(&mut self) -> Option<()> {
        // The kernel gives the whole count, and begins anew.
        self.wait().await.ok()
    }

    async fn wait(&self) -> io::Result<()> {
        self.reading.read_exact(Box::new([0; 8])).await.0.map(drop)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.reading.leave();
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Waits for Ctrl-C (`SIGINT`), from the first poll on.
///
/// Once it was polled, Ctrl-C does not end the process by itself any more, also when this has been dropped: see
/// [`signal()`].
///
/// # Cancel safety
///
/// A Ctrl-C between two calls is not told, as nobody listens then; [`signal()`] keeps it.
///
/// # Errors
///
/// Those of [`signal()`], and of a cancel scope.
///
/// # Panics
///
/// Outside a runtime.
pub async fn ctrl_c() -> io::Result<()> {
    let listener = signal(SignalKind::interrupt())?;
    listener.wait().await
}

/// Calls `begin` when the process is first asked to end, by `SIGINT` or `SIGTERM`; the next of these ends it at once.
///
/// A thread of its own waits for the first, and needs no runtime; the end needs nobody, so that it comes also where the
/// program is stuck. To be called once in a process.
///
/// # Errors
///
/// Where the thread or the handlers cannot be made.
///
/// # Examples
///
/// ```
/// quoit_runtime::signal::on_first_request_to_end(|| eprintln!("ending; once more to end at once"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn on_first_request_to_end(begin: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (mut told, teller) = io::pipe()?;
    let wait = move || {
        if told.read_exact(&mut [0; 8]).is_ok() {
            begin();
        }
    };
    thread::Builder::new().name(String::from("quoit-signal")).spawn(wait)?;
    sys::signal::first_and_last(&[libc::SIGINT, libc::SIGTERM], teller.into())
}
