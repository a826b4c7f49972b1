//! Memory that is lent to the kernel, and how it comes back.
//!
//! A completion-based read or write names memory that the kernel uses until it answers, so the memory has to belong to
//! the operation and not to the future that waits. Hence buffers are passed by value, as [`IoBuf`] (bytes that are
//! there: to be written) or [`IoBufMut`] (room: to be read into), and come back with the answer in a [`BufResult`].
//!
//! | file | noun |
//! |---|---|
//! | `traits.rs` `impls.rs` | what may be lent, and the types that may |
//! | `slice.rs` | a window of a buffer |
//! | `vectored.rs` | several buffers as one |
//! | `fill.rs` | putting bytes into a buffer, without unsafe code at the caller |
//!
//! For a receive it is better that the kernel picks the buffer, once there are bytes: an idle connection then holds none.
//! Such buffers belong to a `BufferPool` and are lent as [`RecvBuf`].
//!
//! | file | noun |
//! |---|---|
//! | `buf_ring.rs` | the ring through which buffers go to the kernel |
//! | `pool.rs` | who has which buffer |
//! | `recv_buf.rs` | received bytes: a buffer on loan |
//! | `returns.rs` | the way home from other threads |

mod buf_ring;
mod fill;
mod impls;
mod pool;
mod recv_buf;
mod returns;
mod slice;
mod traits;
mod vectored;

#[cfg(test)]
mod tests;

pub use fill::{Filler, Scatter, fill, scatter, spare, spare_vectored};
pub(crate) use fill::{commit, sqe_len, target};
pub use pool::BufferPool;
pub(crate) use pool::PoolConfig;
pub use recv_buf::RecvBuf;
pub use slice::Slice;
pub use traits::{BufResult, IoBuf, IoBufMut};
pub use vectored::{IoVectoredBuf, IoVectoredBufMut};
