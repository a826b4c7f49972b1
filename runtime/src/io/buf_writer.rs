//! A writer with a buffer in front: for many small writes.
//!
//! What a `write` has taken belongs to the writer, and must not get lost with the future of a later `flush`. So the buffer
//! goes out as a [`Chunk`], which knows whether the writer below has ever looked at its bytes: one that was taken back unseen,
//! since it still waited behind another write when its future was dropped, returns to the buffer by itself.
#![allow(unsafe_code, reason = "vouches for the bytes of a vector")]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;

use crate::buf::{BufResult, IoBuf};
use crate::cancel_scope::transferred;
use crate::io::traits::{AsyncRead, AsyncWrite};

/// Gathers small writes, and hands them on as one when the buffer is full or [flushed](Self::flush).
///
/// **Dropped, it loses what has not been flushed**: writing takes time, and a drop can't wait. Call
/// [`flush`](Self::flush) or [`shutdown`](Self::shutdown) before.
///
/// # Cancel safety
///
/// What a write has taken is not lost with any future. A dropped flush goes on behind your back if it has begun (where the
/// writer below promises that of its `write_all`, as all of quoit do); else its bytes are in the buffer again.
///
/// # Examples
///
/// ```
/// use quoit_runtime::io::{AsyncReadExt, BufWriter, pipe};
///
/// quoit_runtime::block_on(async {
///     let (reader, writer) = pipe()?;
///     let writer = BufWriter::new(writer);
///     for word in ["many ", "small ", "words"] {
///         writer.write_all(word).await.0?;
///     }
///     writer.shutdown().await?;
///     assert_eq!(reader.read_to_string(String::new()).await.1, "many small words");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct BufWriter<W> {
    writer: W,
    /// What has been taken and not handed on.
    buffer: Rc<RefCell<Vec<u8>>>,
    /// More than this does not wait in the buffer.
    capacity: usize,
}

impl<W: AsyncWrite> BufWriter<W> {
    /// With a buffer of 8 KiB.
    pub fn new(writer: W) -> Self {
        Self::with_capacity(CAPACITY, writer)
    }

    /// With a buffer of `capacity` bytes.
    pub fn with_capacity(capacity: usize, writer: W) -> Self {
        Self { writer, buffer: Rc::default(), capacity }
    }

    /// Takes all of a buffer, or, where it is larger than the writer's own, as much of it as the writer below does.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, it leaves no trace of `buf`, unless that is larger than the writer's own buffer: then it follows the
    /// writer below.
    ///
    /// # Errors
    ///
    /// Those of handing on what was there before; see [`flush`](Self::flush).
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        match self.make_room(buf.len()).await {
            Ok(true) => (Ok(self.take(&buf)), buf),
            Ok(false) => self.writer.write(buf).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// Takes all of a buffer; one that is larger than the writer's own goes by it.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn write_all<B: IoBuf>(&self, buf: B) -> BufResult<(), B> {
        match self.make_room(buf.len()).await {
            Ok(true) => {
                self.take(&buf);
                (Ok(()), buf)
            }
            Ok(false) => self.writer.write_all(buf).await,
            Err(error) => (Err(error), buf),
        }
    }

    /// Hands on what is in the buffer, and flushes the writer below.
    ///
    /// # Cancel safety
    ///
    /// Goes on behind your back if it has begun; else what is in the buffer stays there.
    ///
    /// # Errors
    ///
    /// Those of the writer below. What was in the buffer is gone then, as how much of it is out is not known; except where a
    /// cancel scope has ended the flush: then the rest is in the buffer.
    pub async fn flush(&self) -> io::Result<()> {
        self.hand_on().await?;
        self.writer.flush().await
    }

    /// Flushes, and then shuts down the writer below.
    ///
    /// # Cancel safety
    ///
    /// As [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush), and those of the shutdown, which happens in any case.
    pub async fn shutdown(&self) -> io::Result<()> {
        let flushed = self.flush().await;
        let shut = self.writer.shutdown().await;
        flushed.and(shut)
    }

    /// How many bytes are in the buffer.
    pub fn buffered(&self) -> usize {
        self.buffer.borrow().len()
    }

    /// The writer below. What is written to it directly may overtake what is in the buffer.
    pub fn get_ref(&self) -> &W {
        &self.writer
    }

    /// The writer below. What is in the buffer is lost.
    pub fn into_inner(self) -> W {
        self.writer
    }

    /// Whether the buffer takes this many bytes, now that it has handed on what was in the way.
    async fn make_room(&self, bytes: usize) -> io::Result<bool> {
        let fits = || self.buffered() + bytes <= self.capacity;
        // Others may fill it again meanwhile.
        while !fits() && self.buffered() > 0 {
            self.hand_on().await?;
        }
        Ok(fits())
    }

    fn take<B: IoBuf>(&self, buf: &B) -> usize {
        // The code of a buffer is the user's: it runs with nothing borrowed.
        let bytes = buf.as_bytes();
        let mut buffer = self.buffer.borrow_mut();
        if buffer.capacity() == 0 {
            buffer.reserve_exact(self.capacity);
        }
        buffer.extend_from_slice(bytes);
        bytes.len()
    }

    async fn hand_on(&self) -> io::Result<()> {
        let bytes = self.buffer.take();
        if bytes.is_empty() {
            return Ok(());
        }
        let chunk = Chunk { bytes, is_seen: Cell::new(false), home: Rc::clone(&self.buffer) };
        let (result, mut chunk) = self.writer.write_all(chunk).await;
        match result.as_ref().err().and_then(transferred) {
            // Stopped by a cancel scope, and told how much is out: the rest returns to the buffer.
            Some(out) => {
                chunk.bytes.drain(..out.min(chunk.bytes.len()));
                chunk.is_seen.set(false);
            }
            None => {
                chunk.is_seen.set(true);
                chunk.recycle();
            }
        }
        result
    }
}

impl<W: AsyncWrite> AsyncWrite for BufWriter<W> {
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        BufWriter::write(self, buf)
    }

    fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<(), B>> {
        BufWriter::write_all(self, buf)
    }

    fn flush(&self) -> impl Future<Output = io::Result<()>> {
        BufWriter::flush(self)
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> {
        BufWriter::shutdown(self)
    }
}

/// What is written through a buffer can be read from without one.
impl<W: AsyncRead> AsyncRead for BufWriter<W> {
    fn read<B: crate::buf::IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.writer.read(buf)
    }

    fn read_exact<B: crate::buf::IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
        self.writer.read_exact(buf)
    }
}

impl<W: fmt::Debug> fmt::Debug for BufWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufWriter")
            .field("writer", &self.writer)
            .field("buffered", &self.buffer.borrow().len())
            .finish_non_exhaustive()
    }
}

/// What was in the buffer, on its way out.
struct Chunk {
    bytes: Vec<u8>,
    /// Somebody has asked where the bytes are: they are his now.
    is_seen: Cell<bool>,
    /// The buffer that it came from.
    home: Rc<RefCell<Vec<u8>>>,
}

impl Chunk {
    /// The memory serves again, if the buffer has none.
    fn recycle(mut self) {
        let mut home = self.home.borrow_mut();
        if home.capacity() == 0 {
            *home = std::mem::take(&mut self.bytes);
            home.clear();
        }
        drop(home);
    }
}

// SAFETY: the bytes are those of a `Vec`, which stay where they are while it moves; nobody mutates it before it is dropped.
unsafe impl IoBuf for Chunk {
    fn as_ptr(&self) -> *const u8 {
        self.is_seen.set(true);
        self.bytes.as_ptr()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if !self.is_seen.get() {
            let late = self.home.replace(std::mem::take(&mut self.bytes));
            self.home.borrow_mut().extend(late);
        }
    }
}

/// The size of the buffer, unless told otherwise.
const CAPACITY: usize = 8 << 10;
