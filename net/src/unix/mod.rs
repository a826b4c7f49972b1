//! Unix sockets: between processes of one machine.
//!
//! They have addresses of std: paths, abstract names, which are gone with the last socket that has them, and none. A path
//! stays in the file system when its socket is gone, as with std: remove it before it is bound again, or after.

mod credentials;
mod datagram;
mod halves;
mod listener;
mod recv_msgs;
mod stream;

pub use crate::unix::credentials::UCred;
pub use crate::unix::datagram::UnixDatagram;
pub use crate::unix::halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use crate::unix::listener::{Incoming, UnixListener};
pub use crate::unix::recv_msgs::RecvMsgs;
pub use crate::unix::stream::UnixStream;
