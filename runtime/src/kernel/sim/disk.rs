//! Virtual disks: what was written is there, but only what was synced survives a crash.
//!
//! Of what was not synced, a crash keeps any part: each write since the last sync may be there, be lost, or be torn at a
//! sector.

use std::collections::BTreeMap;

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::memory::{self, Piece};
use crate::kernel::sim::perform::Verdict;
use crate::kernel::sim::ring::{Operation, RingId};
use crate::kernel::sim::state::{HostId, State};

use Verdict::Done;

/// The files of a machine, by their paths.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<Vec<u8>, Content>,
}

#[derive(Debug, Default)]
struct Content {
    /// What a reader sees.
    bytes: Vec<u8>,
    /// What survives a crash for certain; none while the file's own existence does not.
    durable: Option<Vec<u8>>,
    /// What has been done since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Cut,
    Write { offset: usize, bytes: Vec<u8> },
}

/// An open file of a disk.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: Vec<u8>,
    /// Where the next read or write without an offset goes.
    position: usize,
    flags: i32,
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        write_to(&mut self.bytes, offset, bytes);
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }
}

fn write_to(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[offset..end].copy_from_slice(bytes);
}

impl State {
    fn opened(&mut self, file: Option<FileId>) -> Option<(HostId, &mut OpenFile)> {
        let file = self.files.get_mut(&file?)?;
        match &mut file.kind {
            Kind::Disk(open) => Some((file.host, open)),
            _ => None,
        }
    }

    /// The fault of a disk, if it has one this time.
    fn disk_fault(&mut self) -> Option<Verdict> {
        let probability = self.faults.disk_error;
        self.rng.with_probability(probability).then_some(Done(-libc::EIO, 0))
    }

    pub(super) fn open_path(&mut self, ring: RingId, path: &[u8], flags: i32) -> Verdict {
        if let Some(verdict) = self.disk_fault() {
            return verdict;
        }
        let host = self.rings[ring].host;
        let files = &mut self.hosts[host].disk.files;
        match files.get_mut(path) {
            None if flags & libc::O_CREAT == 0 => return Done(-libc::ENOENT, 0),
            None => _ = files.insert(path.to_vec(), Content::default()),
            Some(_) if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL => {
                return Done(-libc::EEXIST, 0);
            }
            Some(content) if flags & libc::O_TRUNC != 0 => {
                content.bytes.clear();
                content.pending.push(Change::Cut);
            }
            Some(_) => {}
        }
        match self.open(host, Kind::Disk(OpenFile { path: path.to_vec(), position: 0, flags })) {
            Ok((fd, _)) => Done(std::os::fd::IntoRawFd::into_raw_fd(fd), 0),
            Err(error) => Done(-error.raw_os_error().unwrap_or(libc::EMFILE), 0),
        }
    }

    pub(super) fn read_file(&mut self, operation: &Operation, into: &[Piece], offset: u64) -> Verdict {
        if matches!(
            operation.file.and_then(|file| self.files.get(&file)).map(|f| &f.kind),
            Some(Kind::Tcp(_) | Kind::Udp(_))
        ) {
            return Done(-libc::EOPNOTSUPP, 0);
        }
        if let Some(verdict) = self.disk_fault() {
            return verdict;
        }
        let Some((host, open)) = self.opened(operation.file) else { return Done(-libc::EBADF, 0) };
        if open.flags & libc::O_ACCMODE == libc::O_WRONLY {
            return Done(-libc::EBADF, 0);
        }
        let start = if offset == CURRENT { open.position } else { offset as usize };
        let path = open.path.clone();
        let Some(content) = self.hosts[host].disk.files.get(&path) else { return Done(-libc::EIO, 0) };
        let rest = content.bytes.get(start..).unwrap_or_default();
        let mut bytes = rest[..rest.len().min(memory::total(into))].to_vec();
        bytes.truncate(self.cut(bytes.len(), 16));
        let count = memory::scatter(into, &bytes);
        if let (CURRENT, Some((_, open))) = (offset, self.opened(operation.file)) {
            open.position = start + count;
        }
        Done(count as i32, 0)
    }

    pub(super) fn write_file(&mut self, operation: &Operation, from: &[Piece], offset: u64) -> Verdict {
        if let Some(verdict) = self.disk_fault() {
            return verdict;
        }
        let Some((host, open)) = self.opened(operation.file) else { return Done(-libc::EBADF, 0) };
        if open.flags & libc::O_ACCMODE == libc::O_RDONLY {
            return Done(-libc::EBADF, 0);
        }
        let (is_append, position, path) = (open.flags & libc::O_APPEND != 0, open.position, open.path.clone());
        let mut bytes = memory::gather(from, 0, usize::MAX);
        bytes.truncate(self.cut(bytes.len(), 16));
        let Some(content) = self.hosts[host].disk.files.get_mut(&path) else { return Done(-libc::EIO, 0) };
        let start = match offset {
            _ if is_append => content.bytes.len(),
            CURRENT => position,
            offset => offset as usize,
        };
        content.write(start, &bytes);
        if let (CURRENT, Some((_, open))) = (offset, self.opened(operation.file)) {
            open.position = start + bytes.len();
        }
        Done(bytes.len() as i32, 0)
    }

    pub(super) fn sync_file(&mut self, operation: &Operation) -> Verdict {
        if let Some(verdict) = self.disk_fault() {
            return verdict;
        }
        let Some((host, open)) = self.opened(operation.file) else { return Done(-libc::EINVAL, 0) };
        let path = open.path.clone();
        let Some(content) = self.hosts[host].disk.files.get_mut(&path) else { return Done(-libc::EIO, 0) };
        content.durable = Some(content.bytes.clone());
        content.pending.clear();
        Done(0, 0)
    }

    /// The power fails: what was not synced is there, or not, or in part.
    pub(super) fn crash_disk(&mut self, host: HostId) {
        let mut files = std::mem::take(&mut self.hosts[host].disk.files);
        files.retain(|_, content| {
            // A file that was never synced may not even exist.
            if content.durable.is_none() && self.rng.once_in(2) {
                return false;
            }
            let mut bytes = content.durable.take().unwrap_or_default();
            for change in content.pending.drain(..) {
                match (self.rng.below(3), change) {
                    (0, _) => {}
                    (_, Change::Cut) => bytes.clear(),
                    (1, Change::Write { offset, bytes: written }) => {
                        let sectors = written.len().div_ceil(SECTOR) as u64;
                        let count = (self.rng.below(sectors + 1) as usize * SECTOR).min(written.len());
                        write_to(&mut bytes, offset, &written[..count]);
                    }
                    (_, Change::Write { offset, bytes: written }) => write_to(&mut bytes, offset, &written),
                }
            }
            *content = Content { durable: Some(bytes.clone()), bytes, pending: Vec::new() };
            true
        });
        self.hosts[host].disk.files = files;
    }
}

/// The offset that stands for the file's own position.
const CURRENT: u64 = u64::MAX;
/// A disk writes this much at once, or not.
const SECTOR: usize = 512;
