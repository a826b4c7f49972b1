//! Who asks operations to stop, and the errors that tell of it.

use std::error::Error;
use std::fmt;
use std::io;

use crate::kernel::Cqe;

/// Who asks the operations of a scope to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A token: their error is `ECANCELED`, which [`is_cancelled`] knows.
    Token,
    /// A clock: the kind of their error is [`TimedOut`](io::ErrorKind::TimedOut).
    Clock,
}

impl Stop {
    /// The error of an operation that was stopped when it had transferred so many bytes.
    pub fn error(self, transferred: usize) -> io::Error {
        match self {
            // Nothing to be told but the errno.
            Self::Token if transferred == 0 => io::Error::from_raw_os_error(libc::ECANCELED),
            Self::Token => io::Error::other(Stopped { by: self, transferred }),
            Self::Clock => io::Error::new(io::ErrorKind::TimedOut, Stopped { by: self, transferred }),
        }
    }

    /// Who has stopped the operation that gave this error, if somebody has.
    fn of(error: &io::Error) -> Option<Self> {
        match stopped(error) {
            Some(stopped) => Some(stopped.by),
            None => (error.raw_os_error() == Some(libc::ECANCELED)).then_some(Self::Token),
        }
    }

    /// The answer of an op that was stopped: [`Cqe::value`] makes the right error of it.
    pub(crate) fn answer(self) -> Cqe {
        let answer = Cqe::made_up(-libc::ECANCELED);
        match self {
            Self::Token => answer,
            Self::Clock => Cqe { user_data: BY_CLOCK, ..answer },
        }
    }
}

/// The error of an answer which is one, of an op that had transferred so many bytes by then.
pub(crate) fn error_of(answer: &Cqe, transferred: usize) -> io::Error {
    match (-answer.result, answer.user_data) {
        (libc::ECANCELED, BY_CLOCK) => Stop::Clock.error(transferred),
        (libc::ECANCELED, _) => Stop::Token.error(transferred),
        (errno, _) => io::Error::from_raw_os_error(errno),
    }
}

/// Whether this is the error of an operation that was cancelled: by a token, or because its runtime ends.
///
/// # Examples
///
/// ```
/// use std::io;
///
/// assert!(quoit_runtime::cancel_scope::is_cancelled(&io::Error::from_raw_os_error(125)));
/// assert!(!quoit_runtime::cancel_scope::is_cancelled(&io::ErrorKind::TimedOut.into()));
/// ```
pub fn is_cancelled(error: &io::Error) -> bool {
    Stop::of(error) == Some(Stop::Token)
}

/// How many bytes an operation had transferred when a token or a clock stopped it; `None` for other errors.
///
/// A `write_all` that was stopped midway has sent so many bytes, and the next write of its stream follows them. A
/// `read_exact` has put so many into its buffer.
///
/// # Examples
///
/// ```
/// use quoit_runtime::cancel_scope::{Stop, transferred};
///
/// assert_eq!(transferred(&Stop::Clock.error(7)), Some(7));
/// assert_eq!(transferred(&std::io::ErrorKind::TimedOut.into()), None);
/// ```
pub fn transferred(error: &io::Error) -> Option<usize> {
    match stopped(error) {
        Some(stopped) => Some(stopped.transferred),
        None => Stop::of(error).map(|_| 0),
    }
}

/// The same error with another count, for an operation of several steps. An error that tells of no stop stays as it is.
pub fn with_transferred(error: io::Error, transferred: usize) -> io::Error {
    match Stop::of(&error) {
        Some(stop) => stop.error(transferred),
        None => error,
    }
}

fn stopped(error: &io::Error) -> Option<&Stopped> {
    error.get_ref()?.downcast_ref()
}

/// What such an error holds.
#[derive(Debug)]
struct Stopped {
    by: Stop,
    transferred: usize,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.by {
            Stop::Token => "cancelled",
            Stop::Clock => "timed out",
        })?;
        if self.transferred > 0 {
            write!(f, " after {} bytes", self.transferred)?;
        }
        Ok(())
    }
}

impl Error for Stopped {}

/// `user_data` of the answer of an op that a clock has stopped: no key, and no completion of the kernel's.
const BY_CLOCK: u64 = u64::MAX - 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_token_is_ecanceled_and_that_of_a_clock_is_timed_out() {
        for transferred in [0, 9] {
            let (token, clock) = (Stop::Token.error(transferred), Stop::Clock.error(transferred));
            assert!(is_cancelled(&token) && !is_cancelled(&clock));
            assert_eq!(clock.kind(), io::ErrorKind::TimedOut);
            assert_eq!([&token, &clock].map(super::transferred), [Some(transferred); 2]);
            assert_eq!([token, clock].map(|error| super::transferred(&with_transferred(error, 5))), [Some(5); 2]);
        }
        assert_eq!(Stop::Token.error(0).raw_os_error(), Some(libc::ECANCELED));
        assert_eq!(Stop::Token.error(9).to_string(), "cancelled after 9 bytes");
    }

    #[test]
    fn errors_of_the_network_are_nobodys_stop() {
        let timed_out = io::Error::from_raw_os_error(libc::ETIMEDOUT);
        assert_eq!((transferred(&timed_out), is_cancelled(&timed_out)), (None, false));
        assert_eq!(with_transferred(timed_out, 5).raw_os_error(), Some(libc::ETIMEDOUT));
    }

    #[test]
    fn answers_carry_who_stopped_the_op() {
        for stop in [Stop::Token, Stop::Clock] {
            assert_eq!(Stop::of(&error_of(&stop.answer(), 3)), Some(stop));
            assert_eq!(Stop::of(&stop.answer().value().unwrap_err()), Some(stop));
        }
    }
}
