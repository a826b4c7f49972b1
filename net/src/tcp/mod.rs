//! TCP: listeners, streams, and the halves of a stream.

mod halves;
mod listener;
mod options;
mod socket;
mod stream;

pub use crate::tcp::halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use crate::tcp::listener::{Incoming, TcpListener};
pub use crate::tcp::socket::TcpSocket;
pub use crate::tcp::stream::TcpStream;
