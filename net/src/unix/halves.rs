//! The halves of a Unix stream.

use std::os::unix::net::SocketAddr;

use crate::stream::halves;
use crate::unix::UnixStream;

halves!(UnixStream, SocketAddr);
