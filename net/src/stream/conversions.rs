//! Streams and descriptors, written once for all streams.

/// The conversions of a stream type with a field `core`, which is a `$core` (one that has `fd`, `into_fd` and
/// `From<OwnedFd>`), from and to std's type and descriptors. Another way to make the core of a descriptor may be given.
macro_rules! stream_conversions {
    ($stream:ident, $core:ty, $std:ty) => {
        $crate::stream::stream_conversions!($stream, $core, $std, <$core>::from);
    };
    ($stream:ident, $core:ty, $std:ty, $make:expr) => {
        impl $stream {
            /// Takes over a socket of std, which may be non-blocking.
            ///
            /// # Errors
            ///
            /// None today.
            pub fn from_std(socket: $std) -> ::std::io::Result<Self> {
                Ok(Self::from(::std::os::fd::OwnedFd::from(socket)))
            }

            /// Gives the socket to std, in blocking mode.
            ///
            /// # Errors
            ///
            /// `ResourceBusy` where operations are under way, or where something has arrived that nobody has taken: it would
            /// be lost. The socket is then closed.
            pub fn into_std(self) -> ::std::io::Result<$std> {
                match self.core.into_fd() {
                    Ok(fd) => Ok(fd.into()),
                    Err(_) => Err(::std::io::Error::new(
                        ::std::io::ErrorKind::ResourceBusy,
                        "operations are under way, or something has arrived that nobody has taken",
                    )),
                }
            }
        }

        impl ::std::os::fd::AsFd for $stream {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.core.fd().as_fd()
            }
        }

        impl ::std::os::fd::AsRawFd for $stream {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                self.core.fd().as_raw_fd()
            }
        }

        impl From<::std::os::fd::OwnedFd> for $stream {
            /// Takes over a socket.
            fn from(fd: ::std::os::fd::OwnedFd) -> Self {
                Self { core: $make(fd) }
            }
        }

        impl From<$stream> for ::std::os::fd::OwnedFd {
            /// The descriptor, or a duplicate where operations are under way: writes that have begun are finished. What has
            /// arrived and was not taken is lost.
            ///
            /// # Panics
            ///
            /// Where a duplicate is needed and no descriptor is left for it.
            fn from(socket: $stream) -> Self {
                socket.core.into_fd().unwrap_or_else(|busy| {
                    let borrowed = ::std::os::fd::AsFd::as_fd(busy.fd());
                    borrowed.try_clone_to_owned().expect("no descriptor is left for a duplicate")
                })
            }
        }
    };
}

pub(crate) use stream_conversions;
