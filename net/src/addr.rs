//! Addresses and names: what a socket can be bound or connected to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::Pin;
use std::vec;

use quoit_runtime::cancel_scope::stoppable;
use quoit_runtime::{blocking, sim};

/// What can be turned into socket addresses: addresses, pairs of a host and a port, and `"host:port"`.
///
/// A name is resolved on a helper thread, never on the thread of the ring. The trait is sealed.
///
/// # Examples
///
/// ```
/// use quoit_net::{ToSocketAddrs, lookup_host};
///
/// async fn first(target: impl ToSocketAddrs) -> std::io::Result<Option<std::net::SocketAddr>> {
///     Ok(lookup_host(target).await?.next())
/// }
/// # quoit_runtime::block_on(async {
/// assert_eq!(first(("127.0.0.1", 80)).await?, Some(([127, 0, 0, 1], 80).into()));
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs: sealed::Target {}

impl<T: sealed::Target + ?Sized> ToSocketAddrs for T {}

/// Resolves a name to its addresses, in the order in which they are to be tried.
///
/// # Cancel safety
///
/// Dropped early, the helper thread finishes the look-up and its answer is dropped.
///
/// # Errors
///
/// `InvalidInput` for a text that is no `"host:port"`; else those of the system's resolver.
///
/// # Panics
///
/// Where a name has to be resolved and no helper thread can be started.
///
/// # Examples
///
/// ```
/// # quoit_runtime::block_on(async {
/// for address in quoit_net::lookup_host("localhost:80").await? {
///     assert!(address.ip().is_loopback());
/// }
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<impl Iterator<Item = SocketAddr>> {
    resolve(&host).await.map(Vec::into_iter)
}

/// The first address of a target. Of one that is a single address nothing is allocated.
pub(crate) async fn resolve_first(target: &impl ToSocketAddrs) -> io::Result<SocketAddr> {
    match target.address() {
        Some(address) => Ok(address),
        None => Ok(resolve(target).await?[0]),
    }
}

/// The addresses of a target; at least one.
pub(crate) async fn resolve(target: &impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let addresses = match target.host()? {
        sealed::Host::Known(addresses) => addresses,
        sealed::Host::Name(name, port) => {
            if let Some(found) = sim::lookup(&name) {
                return Ok(vec![SocketAddr::new(found?, port)]);
            }
            let look_up = move || std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port));
            let mut looking_up = blocking::run(look_up);
            stoppable(|cx| Pin::new(&mut looking_up).poll(cx)).await.map(vec::IntoIter::collect)?
        }
    };
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any address"));
    }
    Ok(addresses)
}

mod sealed {
    use std::io;
    use std::net::SocketAddr;

    pub trait Target {
        fn host(&self) -> io::Result<Host>;

        /// The address that the target is, where it is a single one.
        fn address(&self) -> Option<SocketAddr> {
            None
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    pub enum Host {
        /// Nothing to look up.
        Known(Vec<SocketAddr>),
        /// A name and a port.
        Name(String, u16),
    }
}

use sealed::{Host, Target};

/// Targets that are one address.
macro_rules! one_address {
    ($($target:ty),* $(,)?) => {
        $(impl Target for $target {
            fn host(&self) -> io::Result<Host> {
                Ok(Host::Known(vec![(*self).into()]))
            }

            fn address(&self) -> Option<SocketAddr> {
                Some((*self).into())
            }
        })*
    };
}

one_address!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl Target for [SocketAddr] {
    fn host(&self) -> io::Result<Host> {
        Ok(Host::Known(self.to_vec()))
    }
}

impl Target for (&str, u16) {
    fn host(&self) -> io::Result<Host> {
        let (name, port) = *self;
        Ok(match name.parse::<IpAddr>() {
            Ok(ip) => Host::Known(vec![SocketAddr::new(ip, port)]),
            Err(_) => Host::Name(name.to_owned(), port),
        })
    }
}

impl Target for (String, u16) {
    fn host(&self) -> io::Result<Host> {
        (self.0.as_str(), self.1).host()
    }
}

impl Target for str {
    fn host(&self) -> io::Result<Host> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(Host::Known(vec![address]));
        }
        let wrong = || {
            let text =
                format!("{self:?} is not an address with a port, such as 127.0.0.1:80, [::1]:80 or localhost:80");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let (name, port) = self.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        (name, port).host()
    }
}

impl Target for String {
    fn host(&self) -> io::Result<Host> {
        self.as_str().host()
    }
}

impl<T: Target + ?Sized> Target for &T {
    fn host(&self) -> io::Result<Host> {
        (**self).host()
    }

    fn address(&self) -> Option<SocketAddr> {
        (**self).address()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_look_up_and_keep_scope_and_flow() {
        let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 7, 3);
        assert_eq!(address.host().unwrap(), Host::Known(vec![SocketAddr::V6(address)]));
        assert_eq!(Target::address(&&address), Some(SocketAddr::V6(address)));
        assert_eq!("[::1]:80".host().unwrap(), ("::1", 80).host().unwrap());
        assert_eq!("127.0.0.1:80".host().unwrap(), (Ipv4Addr::LOCALHOST, 80).host().unwrap());
    }

    #[test]
    fn names_are_split_from_their_ports() {
        assert_eq!("localhost:80".host().unwrap(), Host::Name("localhost".into(), 80));
        assert_eq!(("localhost", 80).host().unwrap(), Host::Name("localhost".into(), 80));
    }

    #[test]
    fn a_text_without_a_port_is_refused_with_an_example() {
        for wrong in ["localhost", "", "localhost:http", "localhost:70000"] {
            let error = wrong.host().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("127.0.0.1:80"), "{error}");
        }
    }
}
