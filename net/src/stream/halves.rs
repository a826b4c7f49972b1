//! The halves of a stream, written once for all streams.

/// `ReadHalf`, `WriteHalf`, `OwnedReadHalf`, `OwnedWriteHalf` and `ReuniteError` of a stream type with a method `core`, whose
/// addresses have the type `$address`.
macro_rules! halves {
    ($stream:ident, $address:ty) => {
        /// The reading side of a stream, borrowed. Made by `split`.
        #[derive(Clone, Copy, Debug)]
        pub struct ReadHalf<'a> {
            pub(crate) stream: &'a $stream,
        }

        /// The writing side of a stream, borrowed. Made by `split`.
        #[derive(Clone, Copy, Debug)]
        pub struct WriteHalf<'a> {
            pub(crate) stream: &'a $stream,
        }

        /// The reading side of a stream. Made by `into_split`.
        #[derive(Debug)]
        pub struct OwnedReadHalf {
            stream: ::std::rc::Rc<$stream>,
        }

        /// The writing side of a stream. Made by `into_split`.
        ///
        /// Dropping it shuts down the sending side, behind the writes that have begun: the peer sees the end of the stream.
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: ::std::rc::Rc<$stream>,
            /// Whether dropping it is to end the sending side.
            ends_on_drop: bool,
        }

        impl ReadHalf<'_> {
            fn core(&self) -> &$crate::stream::StreamSocket {
                self.stream.core()
            }

            $crate::stream::reading_methods!();
        }

        impl WriteHalf<'_> {
            fn core(&self) -> &$crate::stream::StreamSocket {
                self.stream.core()
            }

            $crate::stream::writing_methods!();

            /// Shuts down the sending side, behind the writes that are under way.
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
            pub async fn shutdown(&self) -> ::std::io::Result<()> {
                self.core().shutdown(::std::net::Shutdown::Write).await
            }
        }

        impl OwnedReadHalf {
            pub(crate) fn pair(stream: $stream) -> (Self, OwnedWriteHalf) {
                let stream = ::std::rc::Rc::new(stream);
                let reader = Self { stream: ::std::rc::Rc::clone(&stream) };
                (reader, OwnedWriteHalf { stream, ends_on_drop: true })
            }

            fn core(&self) -> &$crate::stream::StreamSocket {
                self.stream.core()
            }

            $crate::stream::reading_methods!();

            /// The whole stream again.
            ///
            /// # Errors
            ///
            /// Gives both back where they are the halves of two streams.
            pub fn reunite(self, writer: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                if !::std::rc::Rc::ptr_eq(&self.stream, &writer.stream) {
                    return Err(ReuniteError(self, writer));
                }
                writer.forget();
                Ok(::std::rc::Rc::into_inner(self.stream).expect("a stream has two halves, and one of them is gone"))
            }
        }

        impl OwnedWriteHalf {
            fn core(&self) -> &$crate::stream::StreamSocket {
                self.stream.core()
            }

            $crate::stream::writing_methods!();

            /// Shuts down the sending side, behind the writes that are under way.
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
            pub async fn shutdown(&self) -> ::std::io::Result<()> {
                self.core().shutdown(::std::net::Shutdown::Write).await
            }

            /// The whole stream again; see [`OwnedReadHalf::reunite`].
            ///
            /// # Errors
            ///
            /// Gives both back where they are the halves of two streams.
            pub fn reunite(self, reader: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                reader.reunite(self)
            }

            /// Drops it without shutting down the sending side.
            pub fn forget(mut self) {
                self.ends_on_drop = false;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                // Without the other half the stream closes, which tells the peer as well.
                if self.ends_on_drop && ::std::rc::Rc::strong_count(&self.stream) > 1 {
                    self.core().shutdown_later();
                }
            }
        }

        $crate::stream::halves!(@addresses $address: ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf);

        impl AsRef<$stream> for OwnedReadHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        impl AsRef<$stream> for OwnedWriteHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        impl AsRef<$stream> for ReadHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.stream
            }
        }

        impl AsRef<$stream> for WriteHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.stream
            }
        }

        /// Two halves that do not belong together; it gives them back.
        #[derive(Debug)]
        pub struct ReuniteError(
            /// The reading half.
            pub OwnedReadHalf,
            /// The writing half.
            pub OwnedWriteHalf,
        );

        impl ::std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str("the halves belong to two streams")
            }
        }

        impl ::std::error::Error for ReuniteError {}
    };
    (@addresses $address:ty: $($half:ty),*) => {
        $(
            impl $half {
                /// The address at this end.
                ///
                /// # Errors
                ///
                /// Those of [`getsockname(2)`](https://man7.org/linux/man-pages/man2/getsockname.2.html).
                pub fn local_addr(&self) -> ::std::io::Result<$address> {
                    self.stream.local_addr()
                }

                /// The address at the other end.
                ///
                /// # Errors
                ///
                /// Those of [`getpeername(2)`](https://man7.org/linux/man-pages/man2/getpeername.2.html).
                pub fn peer_addr(&self) -> ::std::io::Result<$address> {
                    self.stream.peer_addr()
                }
            }
        )*
    };
}

pub(crate) use halves;
