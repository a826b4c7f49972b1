//! What can be made of anything that can be written to.

use std::future::Future;
use std::io;

use crate::io::traits::{AsyncRead, AsyncWrite};

/// What everything that is [`AsyncWrite`] can do.
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes everything that `reader` brings until its end, and answers how many bytes that was: as
    /// [`copy`](crate::io::copy()).
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::io::{AsyncReadExt, AsyncWriteExt, pipe};
    ///
    /// quoit_runtime::block_on(async {
    ///     let ((reader, into), (out, writer)) = (pipe()?, pipe()?);
    ///     into.write_all("all of it").await.0?;
    ///     drop(into);
    ///     assert_eq!(writer.write_from(&reader).await?, 9);
    ///     drop(writer);
    ///     assert_eq!(out.read_to_string(String::new()).await.1, "all of it");
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn write_from<R: AsyncRead>(&self, reader: &R) -> impl Future<Output = io::Result<u64>>
    where
        Self: Sized,
    {
        crate::io::copy(reader, self)
    }
}

impl<W: AsyncWrite> AsyncWriteExt for W {}
