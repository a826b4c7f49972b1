//! The public methods of streams and of their halves, written once for all of them.
//!
//! Where a method only hands on to the core, it answers the future of that: an `async fn` around it would move the buffer once
//! more, and keep room for it twice.

/// What can be read: `recv`, `read` and their kin, for a type with a method `core`.
macro_rules! reading_methods {
    () => {
        /// The next bytes, in a buffer of the ring that goes back to it when it is dropped. `None` at the end of the stream.
        ///
        /// # Cancel safety
        ///
        /// Loses nothing: what a dropped or forgotten future would have had goes to the next call.
        ///
        /// # Errors
        ///
        /// Those of [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html), such as `ECONNRESET`. An error that was
        /// told is told again by every later call: a reset never looks like an end. (A peer that ends its stream and then
        /// resets it while a write is under way may look like a reset only.)
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn recv(&self) -> impl Future<Output = ::std::io::Result<Option<::quoit_runtime::buf::RecvBuf>>> {
            self.core().recv()
        }

        /// Reads what is there into the room of a buffer, at least one byte; waits for it where nothing is. 0 at the end of
        /// the stream. A `Vec` is filled from its length on, a `Box` from its start.
        ///
        /// # Cancel safety
        ///
        /// Loses no byte: the next call gets them. The buffer is dropped with the future.
        ///
        /// # Errors
        ///
        /// `InvalidInput` for a buffer without room; else as [`recv`](Self::recv).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn read<B: ::quoit_runtime::buf::IoBufMut>(
            &self,
            buf: B,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, B>> {
            self.core().read(buf)
        }

        /// Reads until a buffer is full, and answers how many bytes that took.
        ///
        /// # Cancel safety
        ///
        /// Loses no byte: what had arrived stays with the stream, in order.
        ///
        /// # Errors
        ///
        /// `UnexpectedEof` where the stream ends before; the bytes that are there can still be read. Stopped midway by a
        /// cancel scope, the part that had arrived is in the buffer, and the error tells how much it is. Else as
        /// [`read`](Self::read).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn read_exact<B: ::quoit_runtime::buf::IoBufMut>(
            &self,
            buf: B,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, B>> {
            self.core().read_exact(buf)
        }

        /// Reads what is there into several buffers, one after another. As [`read`](Self::read) otherwise.
        ///
        /// # Cancel safety
        ///
        /// Loses no byte: the next call gets them.
        ///
        /// # Errors
        ///
        /// As [`read`](Self::read).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn read_vectored<V: ::quoit_runtime::buf::IoVectoredBufMut>(
            &self,
            bufs: V,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, V>> {
            self.core().read_vectored(bufs)
        }

        /// Copies what is there into the room of a buffer, and leaves it there for the next read. As [`read`](Self::read)
        /// otherwise.
        ///
        /// # Cancel safety
        ///
        /// Takes nothing, so loses nothing.
        ///
        /// # Errors
        ///
        /// As [`read`](Self::read).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn peek<B: ::quoit_runtime::buf::IoBufMut>(
            &self,
            buf: B,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, B>> {
            self.core().peek(buf)
        }

        /// Waits until the next read need not wait: bytes are there, or the end, or an error.
        ///
        /// # Cancel safety
        ///
        /// Takes nothing, so loses nothing.
        ///
        /// # Errors
        ///
        /// Only that of a cancel scope which ends it.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn readable(&self) -> impl Future<Output = ::std::io::Result<()>> {
            self.core().readable()
        }
    };
}

/// What can be written: `write`, `write_all` and their kin, for a type with a method `core`.
macro_rules! writing_methods {
    () => {
        /// Whether short writes answer before they are out; off by default.
        ///
        /// A [`write`](Self::write) or [`write_all`](Self::write_all) that is awaited costs two entries into the kernel: one
        /// that sends, so that the task can go on, and one that waits for what comes next. With write-behind a message of up
        /// to 4 KiB is copied and answered at once, and leaves at the end of the turn, in the same entry that then waits:
        /// a server that answers requests one by one needs one system call for each, and fewer where several come
        /// together. The price:
        ///
        /// - The message leaves when the task awaits something that is not ready, not before. A task that computes for long, or
        ///   blocks its thread, after it has answered delays its answer.
        /// - An error of a message is told by the next write, and by `close`; an answer of `Ok` tells
        ///   that the message will be sent, as far as that is up to us.
        ///
        /// Order, half-close, close and the end of the runtime are as ever: what was written comes first. While a message is
        /// under way, the next one waits for it, so a peer that reads nothing is felt. What the process has written in a turn that
        /// it doesn't end, because it exits or is killed, is lost.
        ///
        /// # Kernel
        ///
        /// It has no effect with [`Builder::sqpoll`](quoit_runtime::Builder::sqpoll).
        ///
        /// # Examples
        ///
        /// ```no_run
        /// # quoit_runtime::block_on(async {
        /// let stream = quoit_net::TcpStream::connect("localhost:7000").await?;
        /// stream.set_write_behind(true);
        /// while let Some(request) = stream.recv().await? {
        ///     stream.write_all(request).await.0?;
        /// }
        /// stream.close().await
        /// # })?;
        /// # Ok::<(), std::io::Error>(())
        /// ```
        pub fn set_write_behind(&self, on: bool) {
            self.core().set_write_behind(on);
        }

        /// Whether short writes answer before they are out: see [`set_write_behind`](Self::set_write_behind).
        pub fn write_behind(&self) -> bool {
            self.core().write_behind()
        }

        /// Writes as much of a buffer as the kernel takes at once, and answers how much.
        ///
        /// # Cancel safety
        ///
        /// A write has begun once it was polled and no earlier one is under way. Dropped before, it leaves no trace; dropped
        /// later, it is finished behind your back.
        ///
        /// # Errors
        ///
        /// Those of [`send(2)`](https://man7.org/linux/man-pages/man2/send.2.html), such as `EPIPE` and `ECONNRESET`. An
        /// error that was told is told again by every later call.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn write<B: ::quoit_runtime::buf::IoBuf>(
            &self,
            buf: B,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, B>> {
            self.core().write(buf)
        }

        /// Writes all of a buffer.
        ///
        /// # Cancel safety
        ///
        /// As [`write`](Self::write): what has begun is finished whole and in order, so no message is ever cut in two by a
        /// future that is dropped.
        ///
        /// A cancel scope (`with_cancel` and its kin) does cut it, on request: the error tells how much is out, the buffer
        /// is back, and the next write, also one that waited behind it, follows those bytes. Whoever stops writes on a
        /// stream that others write to sends the rest first, or closes the stream.
        ///
        /// # Errors
        ///
        /// As [`write`](Self::write).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn write_all<B: ::quoit_runtime::buf::IoBuf>(
            &self,
            buf: B,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<(), B>> {
            self.core().write_all(buf)
        }

        /// Writes all of a buffer without copying it into the kernel. It pays for large buffers on real networks; short ones
        /// are copied all the same, and so are those of sockets and kernels that can't do without.
        ///
        /// The buffer comes back when the peer has acknowledged its bytes, so this waits longer than
        /// [`write_all`](Self::write_all). Writes behind it don't wait for that.
        ///
        /// # Cancel safety
        ///
        /// As [`write_all`](Self::write_all). A peer that takes nothing keeps the kernel from giving the buffer up: a second
        /// after such a write was stopped by a cancel scope, when the close deadline of a dropped stream has passed, or
        /// when the runtime ends, the connection is reset.
        ///
        /// # Errors
        ///
        /// As [`write`](Self::write).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn write_all_zc<B: ::quoit_runtime::buf::IoBuf>(
            &self,
            buf: B,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<(), B>> {
            self.core().write_all_zc(buf)
        }

        /// Writes as much of several buffers as the kernel takes at once, and answers how much.
        ///
        /// # Cancel safety
        ///
        /// As [`write`](Self::write).
        ///
        /// # Errors
        ///
        /// As [`write`](Self::write).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn write_vectored<V: ::quoit_runtime::buf::IoVectoredBuf>(
            &self,
            bufs: V,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, V>> {
            self.core().write_vectored(bufs)
        }

        /// Writes all of several buffers, one after another.
        ///
        /// # Cancel safety
        ///
        /// As [`write_all`](Self::write_all).
        ///
        /// # Errors
        ///
        /// As [`write`](Self::write).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn write_all_vectored<V: ::quoit_runtime::buf::IoVectoredBuf>(
            &self,
            bufs: V,
        ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<(), V>> {
            self.core().write_all_vectored(bufs)
        }

        /// Waits until the next write need not wait: earlier ones are out, and the socket has room, or an error.
        ///
        /// # Cancel safety
        ///
        /// It may be dropped at any time.
        ///
        /// # Errors
        ///
        /// Those of [`poll(2)`](https://man7.org/linux/man-pages/man2/poll.2.html), and that of a cancel scope which ends it.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub fn writable(&self) -> impl Future<Output = ::std::io::Result<()>> {
            self.core().writable()
        }
    };
}

/// What only a whole stream has, for a type with a field and a method `core`, and a method `from_core`; its halves are in
/// the module `$halves`.
macro_rules! whole_stream_methods {
    ($($halves:ident)::+) => {
        /// Shuts down a direction, or both. The sending side is shut down behind the writes that are under way: the peer
        /// sees the end after all of their bytes.
        ///
        /// # Cancel safety
        ///
        /// It happens also if the future is dropped once it was polled.
        ///
        /// # Errors
        ///
        /// Those of [`shutdown(2)`](https://man7.org/linux/man-pages/man2/shutdown.2.html).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub async fn shutdown(&self, how: ::std::net::Shutdown) -> ::std::io::Result<()> {
            self.core().shutdown(how).await
        }

        /// Waits until writes that have begun are finished, closes the socket, and tells how that went.
        ///
        /// # Cancel safety
        ///
        /// Dropped early, it goes on as if the stream had been dropped.
        ///
        /// # Errors
        ///
        /// The error that broke a write, if there was one; `TimedOut` where the peer did not take what was written before
        /// [`Builder::close_deadline`](quoit_runtime::Builder::close_deadline); that of a cancel scope, which cuts the
        /// writes off at once; else those of [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html). The socket
        /// is closed in any case.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub async fn close(self) -> ::std::io::Result<()> {
            self.core.close().await
        }

        /// The reading and the writing side, borrowed. All I/O takes `&self`, so this only tells who does what.
        pub fn split(&self) -> ($($halves)::+::ReadHalf<'_>, $($halves)::+::WriteHalf<'_>) {
            ($($halves)::+::ReadHalf { stream: self }, $($halves)::+::WriteHalf { stream: self })
        }

        /// The reading and the writing side, for two tasks. Dropping the writing side shuts it down: the peer sees the end
        /// of the stream. When both are gone the stream is closed.
        pub fn into_split(self) -> ($($halves)::+::OwnedReadHalf, $($halves)::+::OwnedWriteHalf) {
            $($halves)::+::OwnedReadHalf::pair(self)
        }
    };
}

pub(crate) use {reading_methods, whole_stream_methods, writing_methods};
