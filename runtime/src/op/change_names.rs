//! Changing the names in directories: to remove, move, make and link files and directories.
//!
//! The kernel does these on its worker threads, so they do not hold up the ring. What has been submitted is done whether or
//! not anybody waits for it: asking the kernel to stop would only make it unknown which.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use io_uring::{opcode, types};

use crate::op::{Completion, Driver, Op, Step};

/// One change of names (`IORING_OP_UNLINKAT`, `RENAMEAT`, `MKDIRAT`, `LINKAT`, `SYMLINKAT`). Relative paths begin at the
/// working directory.
pub struct ChangeNames {
    change: Change,
    path: CString,
    /// The second name, where there is one; else empty.
    other: CString,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    RemoveFile,
    RemoveDirectory,
    Rename,
    /// With these permissions, less those of the process's mask.
    MakeDirectory(u32),
    HardLink,
    /// `path` is what the link says, and need not exist.
    Symlink,
}

impl ChangeNames {
    /// Removes a name of a file, as [`unlink(2)`](https://man7.org/linux/man-pages/man2/unlink.2.html).
    ///
    /// # Errors
    ///
    /// Here and below: `InvalidInput` for a path with a zero byte in it.
    pub fn remove_file(path: &Path) -> io::Result<Self> {
        Self::of(Change::RemoveFile, path, Path::new(""))
    }

    /// Removes an empty directory, as [`rmdir(2)`](https://man7.org/linux/man-pages/man2/rmdir.2.html).
    pub fn remove_directory(path: &Path) -> io::Result<Self> {
        Self::of(Change::RemoveDirectory, path, Path::new(""))
    }

    /// Moves a name, as [`rename(2)`](https://man7.org/linux/man-pages/man2/rename.2.html).
    pub fn rename(from: &Path, to: &Path) -> io::Result<Self> {
        Self::of(Change::Rename, from, to)
    }

    /// Makes a directory, as [`mkdir(2)`](https://man7.org/linux/man-pages/man2/mkdir.2.html).
    pub fn make_directory(path: &Path, mode: u32) -> io::Result<Self> {
        Self::of(Change::MakeDirectory(mode), path, Path::new(""))
    }

    /// Gives a file another name, as [`linkat(2)`](https://man7.org/linux/man-pages/man2/link.2.html) without flags.
    pub fn hard_link(original: &Path, link: &Path) -> io::Result<Self> {
        Self::of(Change::HardLink, original, link)
    }

    /// Makes a symbolic link, as [`symlink(2)`](https://man7.org/linux/man-pages/man2/symlink.2.html).
    pub fn symlink(original: &Path, link: &Path) -> io::Result<Self> {
        Self::of(Change::Symlink, original, link)
    }

    fn of(change: Change, path: &Path, other: &Path) -> io::Result<Self> {
        let terminated = |path: &Path| {
            CString::new(path.as_os_str().as_bytes())
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path has a zero byte in it"))
        };
        Ok(Self { change, path: terminated(path)?, other: terminated(other)? })
    }
}

// SAFETY: the entries name the bytes of `path` and `other`, which the op owns until the completion is there (I1).
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for ChangeNames {
    type Output = io::Result<()>;

    const NAME: &'static str = "change of names";
    const CANCEL_ON_DROP: bool = false;

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        let here = types::Fd(libc::AT_FDCWD);
        let (path, other) = (self.path.as_ptr(), self.other.as_ptr());
        let entry = match self.change {
            Change::RemoveFile => opcode::UnlinkAt::new(here, path).build(),
            Change::RemoveDirectory => opcode::UnlinkAt::new(here, path).flags(libc::AT_REMOVEDIR).build(),
            Change::Rename => opcode::RenameAt::new(here, path, here, other).build(),
            Change::MakeDirectory(mode) => opcode::MkDirAt::new(here, path).mode(mode).build(),
            Change::HardLink => opcode::LinkAt::new(here, path, here, other).build(),
            Change::Symlink => opcode::SymlinkAt::new(here, path, other).build(),
        };
        Step::Submit(entry.into())
    }

    unsafe fn complete(self, answer: Completion) -> Self::Output {
        answer.value().map(drop)
    }

    fn bytes(&self) -> usize {
        self.path.as_bytes_with_nul().len() + self.other.as_bytes_with_nul().len()
    }
}

impl fmt::Debug for ChangeNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeNames")
            .field("change", &self.change)
            .field("path", &self.path)
            .field("other", &self.other)
            .finish()
    }
}
