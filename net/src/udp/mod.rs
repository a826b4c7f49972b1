//! UDP.

mod options;
mod recv_msgs;
mod socket;

pub use crate::udp::recv_msgs::RecvMsgs;
pub use crate::udp::socket::{RecvMeta, UdpSocket};
