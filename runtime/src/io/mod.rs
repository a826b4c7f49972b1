//! Reading and writing by what a thing can do, not by what it is.
//!
//! | file | noun |
//! |---|---|
//! | `traits.rs` | [`AsyncRead`], [`AsyncWrite`]: owned buffers, shared references |
//! | `read_ext.rs` `write_ext.rs` | what can be made of them |
//! | `copy.rs` | from one to another, or both ways |
//! | `buf_reader.rs` `lines.rs` | many small reads, and reads up to a byte |
//! | `buf_writer.rs` | many small writes |
//! | `reading.rs` `writing.rs` | the two sides of what is read and written at its own position |
//! | `pipe.rs` | pipes |
//! | `stdio.rs` | standard input, output and error |
//! | `async_fd.rs` | any descriptor, and its readiness |
//!
//! Sockets have the traits too, in their own crate.

mod async_fd;
mod buf_reader;
mod buf_writer;
mod copy;
mod lines;
mod pipe;
mod read_ext;
pub(crate) mod reading;
mod stdio;
mod traits;
mod write_ext;
mod writing;

pub use crate::io::async_fd::{AsyncFd, Interest, Ready};
pub use crate::io::buf_reader::BufReader;
pub use crate::io::buf_writer::BufWriter;
pub(crate) use crate::io::copy::try_both;
pub use crate::io::copy::{copy, copy_bidirectional};
pub use crate::io::lines::{Lines, Split};
pub use crate::io::pipe::{PipeReader, PipeWriter, pipe};
pub use crate::io::read_ext::{AsyncReadExt, Chain, Take};
pub use crate::io::stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use crate::io::traits::{AsyncRead, AsyncWrite};
pub use crate::io::write_ext::AsyncWriteExt;
