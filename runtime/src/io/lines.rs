//! Line by line, or part by part.

use std::io;

use crate::io::buf_reader::BufReader;
use crate::io::traits::AsyncRead;

/// The lines of something. Made by [`BufReader::lines`].
///
/// # Examples
///
/// ```
/// use quoit_runtime::io::{BufReader, pipe};
///
/// quoit_runtime::block_on(async {
///     let (reader, writer) = pipe()?;
///     writer.write_all("one\r\n\ntwo").await.0?;
///     drop(writer);
///     let mut lines = BufReader::new(reader).lines();
///     let mut seen = Vec::new();
///     while let Some(line) = lines.next_line().await? {
///         seen.push(line);
///     }
///     assert_eq!(seen, ["one", "", "two"]);
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
}

impl<R: AsyncRead> Lines<R> {
    pub(crate) fn new(reader: BufReader<R>) -> Self {
        Self { reader }
    }

    /// The next line, without its `\n` or `\r\n`; `None` at the end. A last line need not have an end.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: the next call gets the line.
    ///
    /// # Errors
    ///
    /// Those of [`BufReader::read_line`].
    pub async fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.ends_with('\n') {
            line.pop();
            if line.ends_with('\r') {
                line.pop();
            }
        }
        Ok(Some(line))
    }

    /// The reader below, to look at.
    pub fn get_ref(&self) -> &R {
        self.reader.get_ref()
    }

    /// The reader with its buffer.
    pub fn into_inner(self) -> BufReader<R> {
        self.reader
    }
}

/// The parts of something between bytes of one value. Made by [`BufReader::split`].
///
/// # Examples
///
/// ```
/// use quoit_runtime::io::{BufReader, pipe};
///
/// quoit_runtime::block_on(async {
///     let (reader, writer) = pipe()?;
///     writer.write_all("one\0two\0").await.0?;
///     drop(writer);
///     let mut parts = BufReader::new(reader).split(0);
///     assert_eq!(parts.next_segment().await?.as_deref(), Some(&b"one"[..]));
///     assert_eq!(parts.next_segment().await?.as_deref(), Some(&b"two"[..]));
///     assert_eq!(parts.next_segment().await?, None);
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Split<R> {
    reader: BufReader<R>,
    byte: u8,
}

impl<R: AsyncRead> Split<R> {
    pub(crate) fn new(reader: BufReader<R>, byte: u8) -> Self {
        Self { reader, byte }
    }

    /// The next part, without the byte that ends it; `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte: the next call gets the part.
    ///
    /// # Errors
    ///
    /// Those of [`BufReader::read_until`].
    pub async fn next_segment(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut part = Vec::new();
        if self.reader.read_until(self.byte, &mut part).await? == 0 {
            return Ok(None);
        }
        if part.last() == Some(&self.byte) {
            part.pop();
        }
        Ok(Some(part))
    }

    /// The reader below, to look at.
    pub fn get_ref(&self) -> &R {
        self.reader.get_ref()
    }

    /// The reader with its buffer.
    pub fn into_inner(self) -> BufReader<R> {
        self.reader
    }
}
