//! From one to another, or both ways.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use crate::io::traits::{AsyncRead, AsyncWrite};

/// Reads from one to its end and writes everything to another. Answers how many bytes that was. The writer is flushed, and not
/// shut down.
///
/// # Cancel safety
///
/// Dropped while it waits for bytes, it loses nothing. Dropped while it writes, it loses what waited behind somebody else's
/// write; a write that had begun follows the writer's own promise: those of quoit finish it.
///
/// # Errors
///
/// The first one of either.
///
/// # Examples
///
/// ```
/// use quoit_runtime::io::{AsyncReadExt, copy, pipe};
///
/// quoit_runtime::block_on(async {
///     let ((reader, into), (out, writer)) = (pipe()?, pipe()?);
///     into.write_all("all of it").await.0?;
///     drop(into);
///     assert_eq!(copy(&reader, &writer).await?, 9);
///     drop(writer);
///     assert_eq!(out.read_to_string(String::new()).await.1, "all of it");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn copy<R: AsyncRead, W: AsyncWrite>(reader: &R, writer: &W) -> io::Result<u64> {
    let mut copied = 0;
    let mut buf = Vec::with_capacity(SMALL);
    loop {
        let (result, mut filled) = reader.read(buf).await;
        match result {
            Ok(0) => break,
            Ok(count) => copied += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                buf = filled;
                continue;
            }
            Err(error) => return Err(error),
        }
        let was_full = filled.len() == filled.capacity();
        let (result, written);
        (result, written) = writer.write_all(filled).await;
        result?;
        filled = written;
        filled.clear();
        // There is more where that came from: larger gulps cost fewer entries.
        if was_full && filled.capacity() < LARGE {
            filled = Vec::with_capacity(LARGE);
        }
        buf = filled;
    }
    writer.flush().await?;
    Ok(copied)
}

/// Copies both ways at once, as a proxy does. Where one side comes to its end, the other one's writing side is shut down, and
/// the way back goes on. Answers how many bytes went from `a` to `b`, and how many from `b` to `a`.
///
/// # Cancel safety
///
/// As [`copy`](copy()), for either direction.
///
/// # Errors
///
/// The first one, from either direction, ends both.
///
/// # Examples
///
/// ```no_run
/// use quoit_runtime::io::{AsyncRead, AsyncWrite, copy_bidirectional};
///
/// async fn proxy<S: AsyncRead + AsyncWrite>(client: &S, server: &S) -> std::io::Result<()> {
///     let (up, down) = copy_bidirectional(client, server).await?;
///     println!("{up} bytes up, {down} bytes down");
///     Ok(())
/// }
/// ```
pub async fn copy_bidirectional<A, B>(a: &A, b: &B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    try_both(copy_and_shut_down(a, b), copy_and_shut_down(b, a)).await
}

async fn copy_and_shut_down<R: AsyncRead, W: AsyncWrite>(reader: &R, writer: &W) -> io::Result<u64> {
    let copied = copy(reader, writer).await?;
    writer.shutdown().await?;
    Ok(copied)
}

/// Waits for both, or for the first error.
pub(crate) async fn try_both<T, U>(
    first: impl Future<Output = io::Result<T>>,
    second: impl Future<Output = io::Result<U>>,
) -> io::Result<(T, U)> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    poll_fn(|cx| {
        if one.is_none()
            && let Poll::Ready(result) = first.as_mut().poll(cx)
        {
            one = Some(result?);
        }
        if other.is_none()
            && let Poll::Ready(result) = second.as_mut().poll(cx)
        {
            other = Some(result?);
        }
        match (one.take(), other.take()) {
            (Some(first), Some(second)) => Poll::Ready(Ok((first, second))),
            unfinished => {
                (one, other) = unfinished;
                Poll::Pending
            }
        }
    })
    .await
}

/// What is asked for at first.
const SMALL: usize = 8 << 10;
/// What is asked for where much comes: a pipe holds as much.
const LARGE: usize = 64 << 10;
