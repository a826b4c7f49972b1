//! The halves of a TCP stream.

use std::net::SocketAddr;

use crate::stream::halves;
use crate::tcp::TcpStream;

halves!(TcpStream, SocketAddr);
