//! A reader with a buffer in front: for many small reads, and for reads up to a byte.
//!
//! The buffer belongs to the reader, not to a future: a line that has arrived in part stays there until its end has come. No
//! borrow of the buffer is held while anything is awaited.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;

use crate::buf::{BufResult, Filler, IoBuf, IoBufMut, spare};
use crate::io::lines::{Lines, Split};
use crate::io::read_ext::not_utf8;
use crate::io::traits::{AsyncRead, AsyncWrite, no_room};

/// Reads in gulps, and gives out what is asked for.
///
/// # Cancel safety
///
/// No method loses a byte: what a dropped future had found stays in the buffer. (That holds if the reader below is as safe in
/// its `read`; all of quoit are.)
///
/// # Examples
///
/// ```
/// use quoit_runtime::io::{BufReader, pipe};
///
/// quoit_runtime::block_on(async {
///     let (reader, writer) = pipe()?;
///     writer.write_all("name: quoit\n\nbody").await.0?;
///     let reader = BufReader::new(reader);
///     let mut line = String::new();
///     assert_eq!(reader.read_line(&mut line).await?, 12);
///     assert_eq!(line, "name: quoit\n");
///     let (res, rest) = reader.read_exact(Box::new([0; 3])).await;
///     assert_eq!((res?, &*rest), (3, b"\nbo"));
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct BufReader<R> {
    reader: R,
    /// What has been read and not given out.
    buffer: RefCell<Buffer>,
    /// How much a gulp is.
    capacity: usize,
    /// The memory of the last gulp, for the next.
    spare: Cell<Vec<u8>>,
}

/// Bytes, of which those before `start` have been given out.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        // What has been given out makes room before the buffer grows.
        if self.start > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl<R: AsyncRead> BufReader<R> {
    /// With gulps of 8 KiB.
    pub fn new(reader: R) -> Self {
        Self::with_capacity(CAPACITY, reader)
    }

    /// With gulps of `capacity` bytes.
    ///
    /// # Panics
    ///
    /// Where `capacity` is 0.
    #[track_caller]
    pub fn with_capacity(capacity: usize, reader: R) -> Self {
        assert!(capacity > 0, "a buffer needs room for a byte");
        Self { reader, buffer: RefCell::default(), capacity, spare: Cell::default() }
    }

    /// Reads what is there, at least one byte, at most what the buffer takes: see [`AsyncRead::read`]. A read that is larger
    /// than the buffer goes by it.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a buffer without room; else those of the reader.
    pub async fn read<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        let room = spare(&buf);
        if room == 0 {
            return (Err(no_room()), buf);
        }
        if self.is_empty() {
            if room >= self.capacity {
                return self.reader.read(buf).await;
            }
            match self.gulp().await {
                Ok(0) => return (Ok(0), buf),
                Ok(_) => {}
                Err(error) => return (Err(error), buf),
            }
        }
        let count = self.give(&mut buf);
        (Ok(count), buf)
    }

    /// Reads until a buffer is full: see [`AsyncRead::read_exact`].
    ///
    /// # Cancel safety
    ///
    /// Loses no byte.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the end comes before; the bytes that are there can still be read. Else as [`read`](Self::read).
    pub async fn read_exact<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        let wanted = spare(&buf);
        if wanted == 0 {
            return (Err(no_room()), buf);
        }
        while self.buffered() < wanted {
            match self.gulp().await {
                Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), buf),
                Ok(_) => {}
                Err(error) => return (Err(error), buf),
            }
        }
        let count = self.give(&mut buf);
        (Ok(count), buf)
    }

    /// Reads up to a byte, and that byte too, behind what the vector has. Answers how many bytes that was; fewer than up to
    /// the byte only at the end, and 0 where nothing is left.
    ///
    /// A line that never ends is read into memory as long as it goes on: [`take`](crate::io::AsyncReadExt::take) bounds it.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte, and the vector is as it was.
    ///
    /// # Errors
    ///
    /// Those of the reader. What has been found stays in the buffer.
    pub async fn read_until(&self, byte: u8, into: &mut Vec<u8>) -> io::Result<usize> {
        let count = self.find(byte).await?;
        let mut buffer = self.buffer.borrow_mut();
        // Somebody else may have read meanwhile, but not since `find` has answered.
        into.extend_from_slice(&buffer.rest()[..count]);
        buffer.consume(count);
        Ok(count)
    }

    /// Reads a line, with its end, behind what the string has. Answers how many bytes that was; 0 at the end.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte, and the string is as it was.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a line that is not UTF-8, which is gone then: the next call reads the next line. Else as
    /// [`read_until`](Self::read_until).
    pub async fn read_line(&self, into: &mut String) -> io::Result<usize> {
        let count = self.find(b'\n').await?;
        let mut buffer = self.buffer.borrow_mut();
        let line = std::str::from_utf8(&buffer.rest()[..count]).map(|line| into.push_str(line));
        buffer.consume(count);
        line.map_or_else(|_| Err(not_utf8()), |()| Ok(count))
    }

    /// The lines, without their ends.
    ///
    /// # Examples
    ///
    /// See [`Lines`].
    pub fn lines(self) -> Lines<R> {
        Lines::new(self)
    }

    /// The parts between bytes like this one.
    ///
    /// # Examples
    ///
    /// See [`Split`].
    pub fn split(self, byte: u8) -> Split<R> {
        Split::new(self, byte)
    }

    /// What is in the buffer; where that is nothing, reads. Empty at the end. [`consume`](Self::consume) takes it.
    ///
    /// # Cancel safety
    ///
    /// Loses no byte.
    ///
    /// # Errors
    ///
    /// Those of the reader.
    pub async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.is_empty() {
            self.gulp().await?;
        }
        Ok(self.buffer())
    }

    /// What is in the buffer.
    pub fn buffer(&mut self) -> &[u8] {
        self.buffer.get_mut().rest()
    }

    /// Takes bytes out of the buffer, as many as are there at most.
    pub fn consume(&self, count: usize) {
        self.buffer.borrow_mut().consume(count);
    }

    /// The reader below.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The reader below. What is in the buffer is lost.
    pub fn into_inner(self) -> R {
        self.reader
    }

    fn is_empty(&self) -> bool {
        self.buffered() == 0
    }

    fn buffered(&self) -> usize {
        self.buffer.borrow().rest().len()
    }

    /// Fills a buffer of the user's, whose code may do anything: with nothing borrowed.
    fn give<B: IoBufMut>(&self, buf: &mut B) -> usize {
        let mut filler = Filler::new(buf);
        let mut given = Given { of: self, buffer: self.buffer.take() };
        let count = filler.fill(buf, given.buffer.rest());
        given.buffer.consume(count);
        count
    }

    /// Reads once, behind what is in the buffer. Answers how many bytes came.
    async fn gulp(&self) -> io::Result<usize> {
        let mut memory = self.spare.take();
        memory.clear();
        memory.reserve_exact(self.capacity);
        loop {
            let result;
            // A window, as a vector may have more room than it was asked for.
            let (answer, part) = self.reader.read(memory.slice(..self.capacity)).await;
            (result, memory) = (answer, part.into_inner());
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    // In the same poll in which they came: nothing can be dropped in between.
                    self.buffer.borrow_mut().append(&memory[..count]);
                    self.spare.set(memory);
                    return Ok(count);
                }
            }
        }
    }

    /// Reads until the buffer has a byte like this one. Answers how many bytes go up to it, or to the end.
    async fn find(&self, byte: u8) -> io::Result<usize> {
        let mut searched = 0;
        loop {
            let before = {
                let buffer = self.buffer.borrow();
                let rest = buffer.rest();
                // Another reader may have taken some meanwhile.
                searched = searched.min(rest.len());
                if let Some(position) = rest[searched..].iter().position(|found| *found == byte) {
                    return Ok(searched + position + 1);
                }
                rest.len()
            };
            searched = before;
            if self.gulp().await? == 0 {
                return Ok(self.buffered());
            }
        }
    }
}

impl<R: AsyncRead> AsyncRead for BufReader<R> {
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        BufReader::read(self, buf)
    }

    fn read_exact<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        BufReader::read_exact(self, buf)
    }
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("reader", &self.reader)
            .field("buffered", &self.buffer.borrow().rest().len())
            .finish_non_exhaustive()
    }
}

/// What is read through a buffer can be written to without one.
impl<R: AsyncWrite> AsyncWrite for BufReader<R> {
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.reader.write(buf)
    }

    fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> {
        self.reader.write_all(buf)
    }

    fn flush(&self) -> impl Future<Output = io::Result<()>> {
        self.reader.flush()
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> {
        self.reader.shutdown()
    }
}

/// The buffer, while a buffer of the user's is filled from it; put back also if that panics.
struct Given<'a, R> {
    of: &'a BufReader<R>,
    buffer: Buffer,
}

impl<R> Drop for Given<'_, R> {
    fn drop(&mut self) {
        let late = self.of.buffer.replace(std::mem::take(&mut self.buffer));
        self.of.buffer.borrow_mut().append(late.rest());
    }
}

/// How much a gulp is, unless told otherwise.
const CAPACITY: usize = 8 << 10;
