//! What can be made of anything that can be read.

use std::cell::Cell;
use std::future::Future;
use std::io;

use crate::buf::{BufResult, IoBufMut, spare};
use crate::io::traits::{AsyncRead, no_room};

/// What everything that is [`AsyncRead`] can do.
pub trait AsyncReadExt: AsyncRead {
    /// Reads to the end, behind what the vector has already, and answers how many bytes that was.
    ///
    /// # Cancel safety
    ///
    /// The buffer is dropped with the future, and with it what had been read.
    ///
    /// # Errors
    ///
    /// Those of [`AsyncRead::read`]. What had been read by then is in the buffer.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::io::{AsyncReadExt, pipe};
    ///
    /// quoit_runtime::block_on(async {
    ///     let (reader, writer) = pipe()?;
    ///     writer.write_all("one two").await.0?;
    ///     drop(writer);
    ///     let (res, bytes) = reader.read_to_end(b"zero ".to_vec()).await;
    ///     assert_eq!((res?, &bytes[..]), (7, &b"zero one two"[..]));
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn read_to_end(&self, mut buf: Vec<u8>) -> impl Future<Output = BufResult<usize, Vec<u8>>> {
        async move {
            let start = buf.len();
            loop {
                if spare(&buf) == 0 {
                    buf.reserve(LEAST_GULP);
                }
                let (result, same) = self.read(buf).await;
                buf = same;
                match result {
                    Ok(0) => return (Ok(buf.len() - start), buf),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buf),
                }
            }
        }
    }

    /// Reads to the end, which must be UTF-8, behind what the string has already, and answers how many bytes that was.
    ///
    /// # Cancel safety
    ///
    /// As [`read_to_end`](Self::read_to_end).
    ///
    /// # Errors
    ///
    /// `InvalidData` where the bytes are not UTF-8, and those of [`AsyncRead::read`]. The string is as it was then, and the
    /// bytes are gone.
    fn read_to_string(&self, string: String) -> impl Future<Output = BufResult<usize, String>> {
        async move {
            let kept = string.len();
            let (result, bytes) = self.read_to_end(string.into_bytes()).await;
            match String::from_utf8(bytes) {
                Ok(mut string) => {
                    if result.is_err() {
                        string.truncate(kept);
                    }
                    (result, string)
                }
                Err(error) => {
                    let mut bytes = error.into_bytes();
                    bytes.truncate(kept);
                    let string = String::from_utf8(bytes).expect("it was a string before");
                    (result.and(Err(not_utf8())), string)
                }
            }
        }
    }

    /// This, and then `next`.
    ///
    /// # Examples
    ///
    /// ```
    /// use quoit_runtime::io::{AsyncReadExt, pipe};
    ///
    /// quoit_runtime::block_on(async {
    ///     let ((first, into_first), (second, into_second)) = (pipe()?, pipe()?);
    ///     into_first.write_all("head, ").await.0?;
    ///     into_second.write_all("body and more").await.0?;
    ///     drop((into_first, into_second));
    ///     let (res, text) = first.chain(second.take(4)).read_to_string(String::new()).await;
    ///     assert_eq!((res?, &text[..]), (10, "head, body"));
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn chain<R: AsyncRead>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
    {
        Chain { first: self, second: next, is_first_over: Cell::new(false) }
    }

    /// At most `limit` bytes of this; then the end.
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take { reader: self, limit: Cell::new(limit) }
    }
}

impl<R: AsyncRead> AsyncReadExt for R {}

/// One after the other. Made by [`AsyncReadExt::chain`].
///
/// # Cancel safety
///
/// A dropped `read` is as safe as those of its parts; of a dropped `read_exact` the bytes that it had read are lost.
#[derive(Debug)]
pub struct Chain<A, B> {
    first: A,
    second: B,
    is_first_over: Cell<bool>,
}

impl<A, B> Chain<A, B> {
    /// Both parts.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }

    /// Both parts, to look at.
    pub fn get_ref(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }
}

impl<A: AsyncRead, B: AsyncRead> AsyncRead for Chain<A, B> {
    async fn read<T: IoBufMut>(&self, mut buf: T) -> BufResult<usize, T> {
        if !self.is_first_over.get() {
            let (result, same) = self.first.read(buf).await;
            buf = same;
            if !matches!(result, Ok(0)) {
                return (result, buf);
            }
            self.is_first_over.set(true);
        }
        self.second.read(buf).await
    }
}

/// The beginning of something. Made by [`AsyncReadExt::take`].
///
/// # Cancel safety
///
/// A dropped `read` is as safe as that of what is read; of a dropped `read_exact` the bytes that it had read are lost.
#[derive(Debug)]
pub struct Take<R> {
    reader: R,
    limit: Cell<u64>,
}

impl<R> Take<R> {
    /// How many bytes may still come.
    pub fn limit(&self) -> u64 {
        self.limit.get()
    }

    /// Lets this many bytes come from now on, whatever has come before.
    pub fn set_limit(&self, limit: u64) {
        self.limit.set(limit);
    }

    /// What is read.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// What is read, to look at.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }
}

impl<R: AsyncRead> AsyncRead for Take<R> {
    async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        let room = spare(&buf);
        if room == 0 {
            return (Err(no_room()), buf);
        }
        let limit = self.limit.get();
        if limit == 0 {
            return (Ok(0), buf);
        }
        let start = buf.fill_from();
        let most = usize::try_from(limit).unwrap_or(usize::MAX).min(room);
        let (result, part) = self.reader.read(buf.slice(start..start + most)).await;
        if let Ok(count) = &result {
            // Another read may have taken its share meanwhile.
            self.limit.set(self.limit.get().saturating_sub(*count as u64));
        }
        (result, part.into_inner())
    }
}

pub(crate) fn not_utf8() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8")
}

/// A vector that is full grows by at least this.
const LEAST_GULP: usize = 4 << 10;
