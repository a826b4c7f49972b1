//! The descriptors of the simulated machines.
//!
//! Each is a real placeholder, one end of a pipe, so that everything which owns, borrows and duplicates descriptors works
//! unchanged. The world keeps the other end, and finds what a descriptor stands for by the number of the placeholder's file,
//! which duplicates share and which no other file has. What a world decides and traces depends on the simulated numbers
//! only: the lowest free one of its machine.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use crate::kernel::sim::disk::OpenFile;
use crate::kernel::sim::socket::Options;
use crate::kernel::sim::state::{HostId, State};
use crate::kernel::sim::tcp::Tcp;
use crate::kernel::sim::udp::Udp;
use crate::sys::placeholder;

/// Names a file of a world. None is used twice.
pub(crate) type FileId = u64;

/// What a descriptor stands for.
pub(super) struct File {
    pub(super) host: HostId,
    /// The simulated number of its descriptor.
    pub(super) number: u64,
    /// The world's end of the placeholder, and the number of the placeholder's file; gone once the descriptor is closed.
    far: Option<(OwnedFd, u64)>,
    /// How many operations in flight name it. What is closed lives on until they have ended.
    pub(super) uses: usize,
    pub(super) kind: Kind,
    pub(super) options: Options,
}

pub(super) enum Kind {
    Tcp(Tcp),
    Udp(Udp),
    Disk(OpenFile),
}

impl File {
    /// No descriptor stands for it any more.
    fn is_closed(&self) -> bool {
        self.far.is_none()
    }
}

impl State {
    /// A new descriptor of a machine.
    ///
    /// # Errors
    ///
    /// Where the process is short of descriptors for placeholders.
    pub(super) fn open(&mut self, host: HostId, kind: Kind) -> io::Result<(OwnedFd, FileId)> {
        let (near, far) = placeholder::placeholder()?;
        let id = self.name();
        self.watch.add(&far, id)?;
        let inode = placeholder::file_number(std::os::fd::AsRawFd::as_raw_fd(&near)).expect("it was just opened");
        let numbers = &mut self.hosts[host].numbers;
        let number = (3..).find(|number| !numbers.contains(number)).expect("fewer than 2^64 descriptors");
        numbers.insert(number);
        self.placeholders.insert(inode, id);
        let options = Options::default();
        self.files.insert(id, File { host, number, far: Some((far, inode)), uses: 0, kind, options });
        self.note(host, "open", number, 0);
        Ok((near, id))
    }

    /// What a descriptor stands for in this world.
    pub(super) fn file_of(&self, fd: RawFd) -> Option<FileId> {
        self.placeholders.get(&placeholder::file_number(fd)?).copied()
    }

    /// Closes a descriptor by its number, as the kernel does.
    pub(super) fn close(&mut self, host: HostId, fd: RawFd) -> i32 {
        if placeholder::file_number(fd).is_none() {
            self.note(host, "close of nothing", 0, 0);
            return -libc::EBADF;
        }
        placeholder::close(fd);
        self.reap();
        0
    }

    /// Lets go of what no descriptor stands for any more.
    pub(super) fn reap(&mut self) {
        loop {
            let mut closed = self.watch.closed();
            if closed.is_empty() {
                return;
            }
            closed.sort_unstable();
            for id in closed {
                let Some(file) = self.files.get_mut(&id) else { continue };
                let Some((far, inode)) = file.far.take() else { continue };
                drop(far);
                let (host, number) = (file.host, file.number);
                self.placeholders.remove(&inode);
                self.hosts[host].numbers.remove(&number);
                self.note(host, "closed", number, 0);
                self.bury(id);
            }
        }
    }

    /// An operation that names the file has ended.
    pub(super) fn end_use(&mut self, id: FileId) {
        if let Some(file) = self.files.get_mut(&id) {
            file.uses -= 1;
            self.bury(id);
        }
    }

    /// Ends a file that is closed and that no operation names.
    fn bury(&mut self, id: FileId) {
        let Some(file) = self.files.get(&id) else { return };
        if !file.is_closed() || file.uses > 0 {
            return;
        }
        let file = self.files.remove(&id).expect("looked up just now");
        match file.kind {
            Kind::Tcp(tcp) => self.close_tcp(tcp, &file.options),
            Kind::Udp(_) | Kind::Disk(_) => {}
        }
    }

    /// How many descriptors a machine has open.
    pub(super) fn open_files(&self, host: HostId) -> usize {
        self.hosts[host].numbers.len()
    }
}
