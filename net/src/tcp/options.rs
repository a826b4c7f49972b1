//! The options of TCP sockets, written once for streams and for sockets that are not connected yet. They cost a system
//! call each, and work outside a runtime, too.

/// The options, for a type with a method `fd`.
macro_rules! tcp_options {
    () => {
        /// Whether small writes are sent at once (`TCP_NODELAY`), instead of being held back for more (Nagle's algorithm). Off
        /// by default, as with std. Who answers in several small writes wants it on: the peer may delay its acknowledgement of the
        /// first one for 40 ms, and the second waits for that. One write for each answer is better still.
        ///
        /// # Errors
        ///
        /// Those of [`getsockopt(2)`](https://man7.org/linux/man-pages/man2/getsockopt.2.html), as all options.
        pub fn nodelay(&self) -> ::std::io::Result<bool> {
            self.fd().no_delay()
        }

        /// Sets [`nodelay`](Self::nodelay).
        ///
        /// # Errors
        ///
        /// Those of [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html), as all options.
        pub fn set_nodelay(&self, nodelay: bool) -> ::std::io::Result<()> {
            self.fd().set_option(::quoit_runtime::socket::SocketOption::NoDelay(nodelay))
        }

        /// The time without traffic after which the peer is probed (`SO_KEEPALIVE`, `TCP_KEEPIDLE`); `None`: it isn't.
        ///
        /// # Errors
        ///
        /// As [`nodelay`](Self::nodelay).
        pub fn keepalive(&self) -> ::std::io::Result<Option<::std::time::Duration>> {
            self.fd().keep_alive()
        }

        /// Sets [`keepalive`](Self::keepalive), in whole seconds.
        ///
        /// # Errors
        ///
        /// As [`set_nodelay`](Self::set_nodelay).
        pub fn set_keepalive(&self, time: Option<::std::time::Duration>) -> ::std::io::Result<()> {
            self.fd().set_option(::quoit_runtime::socket::SocketOption::KeepAlive(time))
        }

        /// How long closing waits for unsent bytes (`SO_LINGER`); `None`: they are sent in the background.
        ///
        /// # Errors
        ///
        /// As [`nodelay`](Self::nodelay).
        pub fn linger(&self) -> ::std::io::Result<Option<::std::time::Duration>> {
            self.fd().linger()
        }

        /// Sets [`linger`](Self::linger), in whole seconds. Zero makes closing a reset.
        ///
        /// The wait of a longer time is one of the thread that closes, and with it of everything else that runs there. So a
        /// socket that is dropped or closed here does not wait, and its bytes are sent in the background all the same; the
        /// option is kept for who gets the socket by `into_std`. To know that the peer has got everything, wait for its answer
        /// or its end. (Where the option was set behind the back of this type, by its descriptor, the kernel does wait.)
        ///
        /// # Errors
        ///
        /// As [`set_nodelay`](Self::set_nodelay).
        pub fn set_linger(&self, time: Option<::std::time::Duration>) -> ::std::io::Result<()> {
            self.fd().set_option(::quoit_runtime::socket::SocketOption::Linger(time))
        }

        /// The most hops that a packet takes (`IP_TTL`, `IPV6_UNICAST_HOPS`).
        ///
        /// # Errors
        ///
        /// As [`nodelay`](Self::nodelay).
        pub fn ttl(&self) -> ::std::io::Result<u32> {
            self.fd().ttl()
        }

        /// Sets [`ttl`](Self::ttl).
        ///
        /// # Errors
        ///
        /// As [`set_nodelay`](Self::set_nodelay).
        pub fn set_ttl(&self, ttl: u32) -> ::std::io::Result<()> {
            self.fd().set_option(::quoit_runtime::socket::SocketOption::Ttl(ttl))
        }

        /// The kernel's receive buffer in bytes (`SO_RCVBUF`), as it counts them: twice of what was set.
        ///
        /// # Errors
        ///
        /// As [`nodelay`](Self::nodelay).
        pub fn recv_buffer_size(&self) -> ::std::io::Result<usize> {
            self.fd().recv_buffer_size()
        }

        /// Sets [`recv_buffer_size`](Self::recv_buffer_size).
        ///
        /// # Errors
        ///
        /// As [`set_nodelay`](Self::set_nodelay).
        pub fn set_recv_buffer_size(&self, bytes: usize) -> ::std::io::Result<()> {
            self.fd().set_option(::quoit_runtime::socket::SocketOption::RecvBufferSize(bytes))
        }

        /// The kernel's send buffer in bytes (`SO_SNDBUF`), as it counts them: twice of what was set.
        ///
        /// # Errors
        ///
        /// As [`nodelay`](Self::nodelay).
        pub fn send_buffer_size(&self) -> ::std::io::Result<usize> {
            self.fd().send_buffer_size()
        }

        /// Sets [`send_buffer_size`](Self::send_buffer_size).
        ///
        /// # Errors
        ///
        /// As [`set_nodelay`](Self::set_nodelay).
        pub fn set_send_buffer_size(&self, bytes: usize) -> ::std::io::Result<()> {
            self.fd().set_option(::quoit_runtime::socket::SocketOption::SendBufferSize(bytes))
        }
    };
}

pub(crate) use tcp_options;
