//! Why a message was not sent or not received.

use std::error::Error;
use std::fmt;

/// There is no receiver; the message comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl<T: fmt::Debug> Error for SendError<T> {}

/// No message was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are dropped and all their messages received.
    Closed,
    /// So many messages were dropped from the full channel before they were received. The next is the oldest there is.
    Lagged(u64),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("channel closed"),
            Self::Lagged(missed) => write!(f, "channel lagged by {missed}"),
        }
    }
}

impl Error for RecvError {}

/// There is no message now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// All messages are received, but there may be one later.
    Empty,
    /// All senders are dropped and all their messages received.
    Closed,
    /// So many messages were dropped from the full channel before they were received. The next is the oldest there is.
    Lagged(u64),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("channel empty"),
            Self::Closed => f.write_str("channel closed"),
            Self::Lagged(missed) => write!(f, "channel lagged by {missed}"),
        }
    }
}

impl Error for TryRecvError {}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Self::Closed,
            RecvError::Lagged(missed) => Self::Lagged(missed),
        }
    }
}
