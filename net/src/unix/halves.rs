//! The halves of a Unix stream.

use std::os::unix::net::SocketAddr;

use crate::stream::{halves, io_traits};
use crate::unix::UnixStream;

halves!(UnixStream, SocketAddr);
io_traits!(UnixStream);
