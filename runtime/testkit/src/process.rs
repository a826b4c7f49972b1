//! What a process holds, as /proc tells it: a test compares before and after.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The open descriptors of this process at one moment, with what each is open on.
///
/// Other threads that open and close descriptors disturb the comparison: tests that use it run one at a time, or in a
/// process of their own.
///
/// # Examples
///
/// ```
/// use quoit_testkit::FdCount;
///
/// let before = FdCount::now();
/// drop(std::fs::File::open("/dev/null")?);
/// before.assert_same();
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdCount {
    /// Each descriptor and its link in /proc/self/fd, such as `socket:[4711]`.
    links: BTreeMap<i32, PathBuf>,
}

impl FdCount {
    /// Reads /proc/self/fd.
    ///
    /// # Panics
    ///
    /// If there is no /proc, or no descriptor left to read it with.
    #[track_caller]
    pub fn now() -> FdCount {
        // Asked of /proc, which may be that of another PID namespace.
        let own = fs::read_link("/proc/self").unwrap_or_else(|error| panic!("/proc/self: {error}"));
        let own = Path::new("/proc").join(own).join("fd");
        let mut links = BTreeMap::new();
        for entry in read_directory("/proc/self/fd") {
            let name = entry.file_name();
            let Some(fd) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // A descriptor that is gone again belongs to another thread; one on the directory itself to a reading of
            // it.
            match fs::read_link(entry.path()) {
                Ok(link) if link != own => links.insert(fd, link),
                _ => continue,
            };
        }
        FdCount { links }
    }

    /// How many descriptors were open.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// Compares with what is open now: the same descriptors must be open on the same things.
    ///
    /// # Panics
    ///
    /// At the caller, with all descriptors that differ.
    #[track_caller]
    pub fn assert_same(&self) {
        let difference = self.difference(&FdCount::now());
        assert!(difference.is_empty(), "the open descriptors have changed:{difference}");
    }

    /// A line for each descriptor that was opened, closed or replaced between the two.
    fn difference(&self, now: &FdCount) -> String {
        let mut lines = String::new();
        for (fd, link) in &self.links {
            let line = match now.links.get(fd) {
                Some(same) if same == link => continue,
                Some(other) => format!("replaced: {fd} -> {} is now {}", link.display(), other.display()),
                None => format!("closed: {fd} -> {}", link.display()),
            };
            write!(lines, "\n  {line}").expect("a String takes everything");
        }
        for (fd, link) in now.links.iter().filter(|(fd, _)| !self.links.contains_key(fd)) {
            write!(lines, "\n  opened: {fd} -> {}", link.display()).expect("a String takes everything");
        }
        lines
    }
}

/// How many descriptors this process has open.
///
/// # Panics
///
/// If there is no /proc, or no descriptor left to read it with.
#[track_caller]
pub fn open_fds() -> usize {
    FdCount::now().count()
}

/// How many threads this process has, those of the kernel's making (io_uring workers) included.
///
/// # Panics
///
/// If there is no /proc, or no descriptor left to read it with.
#[track_caller]
pub fn threads() -> usize {
    read_directory("/proc/self/task").count()
}

/// The memory of this process that is in RAM, in bytes, to the kernel's precision (it counts in batches a thread).
///
/// # Panics
///
/// If there is no /proc, or no descriptor left to read it with.
#[track_caller]
pub fn rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted and a descriptor is left");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has VmRSS");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number of kB");
    kib * 1024
}

#[track_caller]
fn read_directory(path: &str) -> impl Iterator<Item = fs::DirEntry> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    entries.map(|entry| entry.expect("a directory of /proc can be read to its end"))
}
