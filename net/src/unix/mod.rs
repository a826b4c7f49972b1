//! Unix sockets: between processes of one machine.
//!
//! They have addresses of std: paths, abstract names, which are gone with the last socket that has them, and none. A path
//! stays in the file system when its socket is gone, as with std: remove it before it is bound again, or after.

mod datagram;
mod recv_msgs;

pub use crate::unix::datagram::UnixDatagram;
pub use crate::unix::recv_msgs::RecvMsgs;
