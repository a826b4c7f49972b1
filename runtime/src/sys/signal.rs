//! Signals of this thread.
//!
//! # Safety
//!
//! Each call fills one structure of ours, or reads one, and keeps no pointer. Zeros are a value of each of them.
#![allow(unsafe_code, reason = "libc's sigaction and pthread_sigmask are foreign functions")]

use std::mem;
use std::ptr;

/// Sees to it that a write to a pipe that nobody reads is an error and nothing else, also where `SIGPIPE` has its default
/// action, which is to end the process: this thread blocks the signal then. (Rust programs ignore it from their start; a
/// library in another's program does not know.)
pub(crate) fn keep_broken_pipes_quiet() {
    // SAFETY: zeros are a value.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: a null pointer asks for the action only, which `action` has room for.
    let known = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), &raw mut action) };
    if known != 0 || action.sa_sigaction != libc::SIG_DFL {
        return;
    }
    // SAFETY: zeros are a value.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is a whole set.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: as above.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    // SAFETY: the set is read during the call, and the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
}
