//! Sockets on quoit's completion driver, which lose nothing.
//!
//! What the kernel hands out (connections, bytes) belongs to the *socket*, not to the future that waits for it. So every
//! await may be dropped, in a `select!` or under a timeout, and the next call gets what the dropped one would have had.
//!
//! ```
//! use quoit_net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! quoit_runtime::Runtime::new()?.block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (server, _peer) = listener.accept().await?;
//!
//!     client.write_all("hello").await.0?;
//!     let received = server.recv().await?.expect("not the end yet");
//!     assert_eq!(&received[..], b"hello");
//!     Ok(())
//! })
//! # }
//! ```
#![forbid(unsafe_code)]

mod accepting;
mod addr;
mod datagram;
mod in_place;
mod listening;
mod serve;
mod stream;
pub mod tcp;
pub mod udp;
pub mod unix;

use quoit_runtime::waiters;

pub use crate::addr::{ToSocketAddrs, lookup_host};
pub use crate::serve::{Listener, serve};
pub use crate::tcp::{Incoming, TcpListener, TcpSocket, TcpStream};
pub use crate::udp::UdpSocket;
pub use crate::unix::{UnixDatagram, UnixListener, UnixStream};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[cfg(test)]
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();
