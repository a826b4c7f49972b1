//! What the two kinds of datagram sockets have in common, written once: types with a field `core` and a method `fd`.

/// The public methods that know no addresses.
macro_rules! datagram_methods {
    () => {
        /// Receives a datagram into the room of a buffer, and answers its length, which may be 0.
        ///
        /// # Cancel safety
        ///
        /// Loses nothing: the next call gets the datagram. The buffer is dropped with the future.
        ///
        /// # Errors
        ///
        /// `EMSGSIZE` where the datagram was longer than the room: what fits is in the buffer, the rest of it is gone. (Of
        /// a Unix socket, that may also happen to one that arrives while a larger buffer follows a smaller one of more than 64 KiB.)
        /// `InvalidInput` for a buffer without room. Else those of [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html);
        /// each is told once, and the socket goes on.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub async fn recv<B: ::quoit_runtime::buf::IoBufMut>(
            &self,
            buf: B,
        ) -> ::quoit_runtime::buf::BufResult<usize, B> {
            let (received, buf) = self.core.receive(buf, $crate::datagram::Portion::One).await;
            (received.and_then(|received| $crate::datagram::whole(&received)), buf)
        }

        /// Copies the next datagram into the room of a buffer, as far as it fits, and leaves it to the next receiver. Answers how
        /// many bytes that is.
        ///
        /// # Cancel safety
        ///
        /// Loses nothing.
        ///
        /// # Errors
        ///
        /// As [`recv`](Self::recv), but no `EMSGSIZE`: nothing is gone.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub async fn peek<B: ::quoit_runtime::buf::IoBufMut>(
            &self,
            buf: B,
        ) -> ::quoit_runtime::buf::BufResult<usize, B> {
            let (received, buf) = self.core.receive(buf, $crate::datagram::Portion::Peek).await;
            (received.map(|received| received.len), buf)
        }

        /// Waits until there is a datagram or an error to be received. Another receiver may be faster.
        ///
        /// # Cancel safety
        ///
        /// Loses nothing.
        ///
        /// # Errors
        ///
        /// Those of a runtime that is gone.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub async fn readable(&self) -> ::std::io::Result<()> {
            self.core.readable().await
        }

        /// Waits until there is room for a datagram. (Sending waits for it by itself.)
        ///
        /// # Cancel safety
        ///
        /// Loses nothing.
        ///
        /// # Errors
        ///
        /// Those of a runtime that is gone.
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub async fn writable(&self) -> ::std::io::Result<()> {
            self.core.writable().await
        }

        /// Waits until what is being sent has gone out, closes the socket, and tells how that went.
        ///
        /// # Cancel safety
        ///
        /// Dropped early, it goes on as if the socket had been dropped.
        ///
        /// # Errors
        ///
        /// `TimedOut` where what is being sent found no room before
        /// [`Builder::close_deadline`](quoit_runtime::Builder::close_deadline); else those of
        /// [`close(2)`](https://man7.org/linux/man-pages/man2/close.2.html).
        ///
        /// # Panics
        ///
        /// Outside a runtime.
        pub async fn close(self) -> ::std::io::Result<()> {
            let finished = self.core.finish().await;
            // The receive that was cancelled still names the descriptor.
            let fd = self.fd().clone();
            drop(self);
            fd.close().await.and(finished)
        }
    };
}

/// How a socket is dropped, lent and given away.
macro_rules! datagram_handle {
    ($socket:ident) => {
        impl Drop for $socket {
            fn drop(&mut self) {
                self.core.abandon();
            }
        }

        impl ::std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.fd().as_fd()
            }
        }

        impl ::std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                self.fd().as_raw_fd()
            }
        }

        impl From<$socket> for ::std::os::fd::OwnedFd {
            /// Datagrams that were received and not claimed are lost. A duplicate where operations are under way.
            fn from(socket: $socket) -> Self {
                // A receive that was dropped needs no duplicate.
                let _ = socket.core.quiesce();
                let fd = socket.fd().clone();
                drop(socket);
                fd.into_owned()
            }
        }
    };
}

pub(crate) use {datagram_handle, datagram_methods};
