//! Who the peer is.

/// Process, user and group of a peer, as the kernel has noted them. Made by
/// [`UnixStream::peer_cred`](crate::UnixStream::peer_cred).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    /// 0 for one outside of our namespace of processes.
    pid: i32,
    uid: u32,
    gid: u32,
}

impl UCred {
    pub(super) fn new((pid, uid, gid): (i32, u32, u32)) -> Self {
        Self { pid, uid, gid }
    }

    /// The id of the process; `None` for one outside of our namespace of processes.
    pub fn pid(&self) -> Option<i32> {
        Some(self.pid).filter(|pid| *pid != 0)
    }

    /// The user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group.
    pub fn gid(&self) -> u32 {
        self.gid
    }
}
