//! TCP: listeners and streams.

mod accepting;
mod listener;
mod options;
mod receiving;
mod stream;

pub use crate::tcp::listener::{Incoming, TcpListener};
pub use crate::tcp::stream::TcpStream;
