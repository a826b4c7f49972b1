//! The halves of a TCP stream.

use std::net::SocketAddr;

use crate::stream::{halves, io_traits};
use crate::tcp::TcpStream;

halves!(TcpStream, SocketAddr);
io_traits!(TcpStream);
