//! Streams and their halves as anything that can be read and written, written once for all streams.

/// [`AsyncRead`](quoit_runtime::io::AsyncRead) for types that have its methods of their own.
macro_rules! async_read {
    ($($type:ty),*) => {$(
        impl ::quoit_runtime::io::AsyncRead for $type {
            fn read<B: ::quoit_runtime::buf::IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, B>> {
                <$type>::read(self, buf)
            }

            fn read_exact<B: ::quoit_runtime::buf::IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, B>> {
                <$type>::read_exact(self, buf)
            }
        }
    )*};
}

/// [`AsyncWrite`](quoit_runtime::io::AsyncWrite) for types that have its methods of their own; their `shutdown` takes what is
/// told in brackets.
macro_rules! async_write {
    ($($type:ty [$($how:expr)?]),*) => {$(
        impl ::quoit_runtime::io::AsyncWrite for $type {
            fn write<B: ::quoit_runtime::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<usize, B>> {
                <$type>::write(self, buf)
            }

            fn write_all<B: ::quoit_runtime::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = ::quoit_runtime::buf::BufResult<(), B>> {
                <$type>::write_all(self, buf)
            }

            /// Shuts down the sending side. A connection that is gone already needs no end.
            async fn shutdown(&self) -> ::std::io::Result<()> {
                match <$type>::shutdown(self $(, $how)?).await {
                    Err(error) if error.kind() == ::std::io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                }
            }
        }
    )*};
}

/// Both traits for a stream and its halves: to be called where the halves are.
macro_rules! io_traits {
    ($stream:ident) => {
        $crate::stream::async_read!($stream, ReadHalf<'_>, OwnedReadHalf);
        $crate::stream::async_write!($stream [::std::net::Shutdown::Write], WriteHalf<'_> [], OwnedWriteHalf []);
    };
}

pub(crate) use {async_read, async_write, io_traits};
