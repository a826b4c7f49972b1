//! Which CPUs a thread may run on: [`sched_setaffinity(2)`](https://man7.org/linux/man-pages/man2/sched_setaffinity.2.html).
//!
//! A thread inherits the set of the thread that starts it, so those that are not to be pinned are given back the set that
//! was there before the first pinning.
//!
//! # Safety
//!
//! Each call reads or writes one set of ours and keeps no pointer to it.
#![allow(unsafe_code, reason = "libc's sched_getaffinity and sched_setaffinity are foreign functions")]

use std::io;
use std::mem;
use std::sync::OnceLock;

/// A set of CPUs, a bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CpuSet([u64; WORDS]);

/// Room for 8,192 CPUs.
const WORDS: usize = 128;

/// What the thread that first asked for a pinned one was allowed.
static UNPINNED: OnceLock<CpuSet> = OnceLock::new();

impl CpuSet {
    /// The CPUs that the calling thread may run on.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        let mut set = Self([0; WORDS]);
        // SAFETY: the kernel writes at most the size that it is told, which is that of the array.
        let result = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set.0), set.0.as_mut_ptr().cast()) };
        if result == 0 { Ok(set) } else { Err(io::Error::last_os_error()) }
    }

    fn of_one(cpu: usize) -> Self {
        let mut set = Self([0; WORDS]);
        set.0[cpu / 64] |= 1 << (cpu % 64);
        set
    }

    /// The CPUs in the set, in ascending order.
    pub(crate) fn cpus(&self) -> Vec<usize> {
        (0..WORDS * 64).filter(|cpu| self.0[cpu / 64] >> (cpu % 64) & 1 == 1).collect()
    }

    fn apply_to_this_thread(&self) -> io::Result<()> {
        // SAFETY: the kernel reads as many bytes as it is told, which are those of the array.
        let result = unsafe { libc::sched_setaffinity(0, mem::size_of_val(&self.0), self.0.as_ptr().cast()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// The CPUs to pin threads to: those of the calling thread. Remembers them for [`unpin_thread`].
pub(crate) fn cpus_to_pin_to() -> io::Result<Vec<usize>> {
    let set = CpuSet::of_this_thread()?;
    let cpus = set.cpus();
    UNPINNED.get_or_init(|| set);
    Ok(cpus)
}

/// Binds the calling thread to one CPU.
pub(crate) fn pin_thread(cpu: usize) -> io::Result<()> {
    CpuSet::of_one(cpu).apply_to_this_thread()
}

/// While it lives, the calling thread is bound to one CPU.
#[derive(Debug)]
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    pub(crate) fn new(cpu: usize) -> io::Result<Self> {
        let before = CpuSet::of_this_thread()?;
        pin_thread(cpu)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Where that is refused, the CPUs are no longer allowed: the thread stays where it is.
        let _: io::Result<()> = self.before.apply_to_this_thread();
    }
}

/// Lets the calling thread run wherever threads could before the first one was pinned.
pub(crate) fn unpin_thread() {
    if let Some(set) = UNPINNED.get() {
        // Where that is refused, the CPUs are no longer allowed: the thread stays where it is.
        let _: io::Result<()> = set.apply_to_this_thread();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_is_on_its_cpu_and_an_unpinned_one_on_all() {
        std::thread::spawn(|| {
            let before = CpuSet::of_this_thread().expect("a set");
            let cpus = cpus_to_pin_to().expect("a set");
            assert_eq!(cpus, before.cpus());
            let last = *cpus.last().expect("a thread runs somewhere");
            pin_thread(last).expect("it is allowed");
            assert_eq!(CpuSet::of_this_thread().expect("a set").cpus(), [last]);
            unpin_thread();
            assert_eq!(CpuSet::of_this_thread().expect("a set"), before);
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn the_set_is_that_of_proc() {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("proc");
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a line").trim();
        let cpus = list.split(',').flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse::<usize>().expect("a number")..=last.parse().expect("a number")
        });
        assert_eq!(CpuSet::of_this_thread().expect("a set").cpus(), cpus.collect::<Vec<_>>());
    }
}
