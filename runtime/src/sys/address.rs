//! Addresses of sockets, as the kernel lays them out and as std names them.
//!
//! Reading one takes the kernel's bytes at no word but their length, and loses nothing that std can name: ports, scope ids,
//! flow information, paths, abstract names.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use socket2::SockAddr;

/// The address of a socket of any family that quoit has sockets for.
#[derive(Clone, Debug, Default)]
pub enum Address {
    /// IPv4 or IPv6.
    Internet(SocketAddr),
    /// A Unix socket: a path, an abstract name, or none. In a box, as it is four times as large as the others.
    Unix(Box<UnixAddr>),
    /// None that has a name here: of another family, or not told.
    #[default]
    Unknown,
}

impl Address {
    /// Reads what the kernel has written.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let Some((family, rest)) = bytes.split_first_chunk() else { return Self::Unknown };
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET => internet_v4(rest).map_or(Self::Unknown, Self::Internet),
            libc::AF_INET6 => internet_v6(rest).map_or(Self::Unknown, Self::Internet),
            libc::AF_UNIX => unix(rest).map_or(Self::Unknown, |address| Self::Unix(Box::new(address))),
            _ => Self::Unknown,
        }
    }

    /// What `socket2` has read.
    pub(crate) fn of_socket2(address: &SockAddr) -> Self {
        let address = match (address.as_pathname(), address.as_abstract_namespace()) {
            (Some(path), _) => UnixAddr::from_pathname(path),
            (None, Some(name)) => UnixAddr::from_abstract_name(name),
            (None, None) if address.is_unnamed() => UnixAddr::from_pathname(""),
            (None, None) => return address.as_socket().map_or(Self::Unknown, Self::Internet),
        };
        address.map_or(Self::Unknown, |address| Self::Unix(Box::new(address)))
    }

    /// An internet address.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where it is none.
    pub fn internet(self) -> io::Result<SocketAddr> {
        match self {
            Self::Internet(address) => Ok(address),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not the address of an internet socket")),
        }
    }

    /// The address of a Unix socket. What the kernel has not told is that of a socket without a name.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where it is that of an internet socket.
    pub fn unix(self) -> io::Result<UnixAddr> {
        match self {
            Self::Unix(address) => Ok(*address),
            Self::Unknown => UnixAddr::from_pathname(""),
            Self::Internet(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not the address of a Unix socket")),
        }
    }
}

/// An address as the kernel reads it, for an operation to name.
#[derive(Clone, Debug)]
pub struct RawAddress(SockAddr);

impl RawAddress {
    /// The address of a Unix socket at a path.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a path that is too long (107 bytes at most), empty, or has a zero byte.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.contains(&0) {
            let text = "a Unix socket's path has at least one byte, and none that is zero";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        SockAddr::unix(path).map(Self)
    }

    /// The address of a Unix socket: a path or an abstract name.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for that of a socket without a name.
    pub fn of_unix(address: &UnixAddr) -> io::Result<Self> {
        if let Some(path) = address.as_pathname() {
            return Self::of_path(path);
        }
        let Some(name) = address.as_abstract_name() else {
            let text = "a Unix socket without a name cannot be reached by address";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let mut path = vec![0];
        path.extend_from_slice(name);
        SockAddr::unix(OsStr::from_bytes(&path)).map(Self)
    }

    pub(crate) fn as_socket2(&self) -> &SockAddr {
        &self.0
    }

    /// Where the kernel finds it, as long as this stays in place.
    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        self.0.as_ptr().cast()
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> libc::socklen_t {
        self.0.len()
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.into())
    }
}

fn internet_v4(rest: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = rest.split_first_chunk()?;
    let ip = rest.first_chunk::<4>()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(*ip), u16::from_be_bytes(*port)).into())
}

fn internet_v6(rest: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = rest.split_first_chunk()?;
    let (flow, rest) = rest.split_first_chunk()?;
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    let scope = rest.first_chunk()?;
    // Std keeps flow information as it lies in memory.
    let (flow, scope) = (u32::from_ne_bytes(*flow), u32::from_ne_bytes(*scope));
    Some(SocketAddrV6::new(Ipv6Addr::from(*ip), u16::from_be_bytes(*port), flow, scope).into())
}

fn unix(name: &[u8]) -> Option<UnixAddr> {
    match name.split_first() {
        Some((0, name)) => UnixAddr::from_abstract_name(name).ok(),
        // A path ends with a zero byte, unless it is so long that none fits; std has no name for that one.
        _ => {
            let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
            UnixAddr::from_pathname(OsStr::from_bytes(path)).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use quoit_testkit::Rng;

    use super::*;

    /// What the kernel would write for an address.
    fn bytes_of(address: &RawAddress) -> Vec<u8> {
        let storage = address.as_socket2();
        let mut bytes = storage.family().to_ne_bytes().to_vec();
        if let Some(SocketAddr::V4(v4)) = storage.as_socket() {
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.extend([0; 8]);
        } else if let Some(SocketAddr::V6(v6)) = storage.as_socket() {
            bytes.extend(v6.port().to_be_bytes());
            bytes.extend(v6.flowinfo().to_ne_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
        } else if let Some(path) = storage.as_pathname() {
            bytes.extend(path.as_os_str().as_bytes());
            bytes.push(0);
        } else if let Some(name) = storage.as_abstract_namespace() {
            bytes.push(0);
            bytes.extend(name);
        }
        assert_eq!(bytes.len(), address.len() as usize);
        bytes
    }

    #[test]
    fn addresses_of_every_family_survive_the_way_to_the_kernel_and_back() {
        let mut rng = Rng::new(0xADD2);
        for _case in 0..2_000 {
            let mut octets = [0; 16];
            rng.bytes(&mut octets);
            let port = rng.below(1 << 16) as u16;
            let v4 = SocketAddr::from((Ipv4Addr::from(*octets.first_chunk::<4>().unwrap()), port));
            let (flow, scope) = (rng.below(1 << 32) as u32, rng.below(1 << 32) as u32);
            let v6 = SocketAddr::from(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope));
            for address in [v4, v6] {
                assert_eq!(Address::parse(&bytes_of(&address.into())).internet().unwrap(), address);
            }
            let mut name = vec![0; 1 + rng.below(107) as usize];
            rng.bytes(&mut name);
            let address = UnixAddr::from_abstract_name(&name).unwrap();
            let read = Address::parse(&bytes_of(&RawAddress::of_unix(&address).unwrap())).unix().unwrap();
            assert_eq!(read.as_abstract_name(), Some(&name[..]));
            name.iter_mut().for_each(|byte| *byte = (*byte).max(1));
            let path = Path::new(OsStr::from_bytes(&name));
            let read = Address::parse(&bytes_of(&RawAddress::of_path(path).unwrap())).unix().unwrap();
            assert_eq!(read.as_pathname(), Some(path));
        }
    }

    #[test]
    fn bytes_that_are_no_address_are_read_as_none() {
        let mut rng = Rng::new(0xBAD);
        for _case in 0..20_000 {
            let mut bytes = vec![0; rng.below(140) as usize];
            rng.bytes(&mut bytes);
            if let (Some(family), 0..8) = (bytes.first_chunk_mut(), rng.below(10)) {
                let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX];
                *family = (families[rng.below(3) as usize] as u16).to_ne_bytes();
            }
            match (Address::parse(&bytes), bytes.len()) {
                (Address::Internet(SocketAddr::V4(_)), 8..) | (Address::Internet(SocketAddr::V6(_)), 28..) => {}
                (Address::Internet(address), len) => panic!("{address} out of {len} bytes"),
                _ => {}
            }
        }
        assert!(Address::parse(&[]).unix().unwrap().is_unnamed());
        assert!(Address::parse(&(libc::AF_UNIX as u16).to_ne_bytes()).unix().unwrap().is_unnamed());
    }

    #[test]
    fn paths_that_name_no_socket_are_refused() {
        for wrong in [&b""[..], b"a\0b", &[b'x'; 108]] {
            let error = RawAddress::of_path(Path::new(OsStr::from_bytes(wrong))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        let unnamed = UnixAddr::from_pathname("").unwrap();
        assert_eq!(RawAddress::of_unix(&unnamed).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(RawAddress::of_path(Path::new(OsStr::from_bytes(&[b'x'; 107]))).is_ok());
    }
}
