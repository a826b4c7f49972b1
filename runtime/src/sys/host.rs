//! What the system tells about itself without `/proc`, which a sandbox may hide: release, limits, user.
//!
//! # Safety
//!
//! Each call fills one structure of ours, or none, and keeps no pointer. The structures are plain integers, for which zeros
//! are a value.
#![allow(unsafe_code, reason = "libc's uname, getrlimit and getuid are foreign functions")]

use std::ffi::CStr;
use std::mem;

/// The kernel's release, such as `6.18.44`, or `unknown`.
pub(crate) fn kernel_release() -> String {
    // SAFETY: `utsname` is arrays of characters; zeros are a value (an empty string).
    let mut names: libc::utsname = unsafe { mem::zeroed() };
    // SAFETY: `names` is a whole `utsname` that outlives the call.
    if unsafe { libc::uname(&mut names) } != 0 {
        return "unknown".to_owned();
    }
    // SAFETY: uname ended the string with a zero, and `names` is borrowed until the text is copied.
    let release = unsafe { CStr::from_ptr(names.release.as_ptr()) };
    release.to_string_lossy().into_owned()
}

/// RLIMIT_MEMLOCK in bytes, soft; `u64::MAX` stands for no limit, or none that can be read.
pub(crate) fn memory_lock_limit() -> u64 {
    soft_limit(libc::RLIMIT_MEMLOCK)
}

/// RLIMIT_NOFILE, soft; `u64::MAX` stands for no limit, or none that can be read.
pub(crate) fn descriptor_limit() -> u64 {
    soft_limit(libc::RLIMIT_NOFILE)
}

/// The real user id: the one whose account the kernel charges locked memory to.
pub(crate) fn user_id() -> u32 {
    // SAFETY: getuid takes nothing and cannot fail.
    unsafe { libc::getuid() }
}

fn soft_limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a whole `rlimit` that outlives the call; on failure it keeps its infinities.
    unsafe { libc::getrlimit(resource, &mut limit) };
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_is_that_of_proc() {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(kernel_release(), release.trim_end());
    }

    #[test]
    fn limits_are_those_of_proc() {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let soft = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let word = line.split_whitespace().next().unwrap();
            if word == "unlimited" { u64::MAX } else { word.parse().unwrap() }
        };
        assert_eq!(memory_lock_limit(), soft("Max locked memory"));
        assert_eq!(descriptor_limit(), soft("Max open files"));
    }

    #[test]
    fn user_is_that_of_proc() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        assert_eq!(user_id().to_string(), line.split_whitespace().next().unwrap());
    }
}
