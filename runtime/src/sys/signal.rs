//! Signals: what their handlers do, and one that is kept away from this thread.
//!
//! # Safety
//!
//! A handler may interrupt anything, so it calls only what is [safe there](https://man7.org/linux/man-pages/man7/signal-safety.7.html):
//! `write`, `getpid`, `signal` and `raise`, on numbers that it owns; it takes no lock, no memory, and leaves `errno` as it was.
//! Each of the other calls fills one structure of ours, or reads one, and keeps no pointer. Zeros are a value of each of them.
#![allow(unsafe_code, reason = "handlers of signals, and foreign functions of libc")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook_registry::SigId;

/// A handler that is there until this is dropped. The default action of the signal does not come back.
#[derive(Debug)]
pub(crate) struct Handler(SigId);

impl Drop for Handler {
    fn drop(&mut self) {
        signal_hook_registry::unregister(self.0);
    }
}

/// Writes to an `eventfd` for each signal. A child of a fork, which shares the descriptor, leaves it alone.
pub(crate) fn count(signal: i32, event: OwnedFd) -> io::Result<Handler> {
    refuse_those_without_handlers(signal)?;
    let owner = process::id();
    let handler = move || {
        // SAFETY: takes nothing.
        if unsafe { libc::getpid() }.unsigned_abs() == owner {
            add_one(event.as_raw_fd());
        }
    };
    // SAFETY: the handler does what the top of this file allows, and does not panic.
    unsafe { signal_hook_registry::register(signal, handler) }.map(Handler)
}

/// Tells of the first of several signals by writing to a pipe, and ends the process with the next, as if it had no handler.
pub(crate) fn first_and_last(signals: &[i32], told: OwnedFd) -> io::Result<()> {
    static IS_FIRST: AtomicBool = AtomicBool::new(true);
    let owner = process::id();
    // The descriptor stays open as long as the process: the handlers are never taken out.
    let told = told.into_raw_fd();
    for signal in signals.iter().copied() {
        let handler = move || {
            // SAFETY: takes nothing.
            let is_ours = unsafe { libc::getpid() }.unsigned_abs() == owner;
            if is_ours && IS_FIRST.swap(false, Ordering::Relaxed) {
                return add_one(told);
            }
            // SAFETY: the default action runs no code.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // Comes when this handler has returned.
            // SAFETY: takes a number.
            unsafe { libc::raise(signal) };
        };
        // SAFETY: the handler does what the top of this file allows, and does not panic.
        unsafe { signal_hook_registry::register(signal, handler) }?;
    }
    Ok(())
}

/// Writes the number one as an `eventfd` takes it; to a pipe these are 8 bytes like any others.
fn add_one(descriptor: RawFd) {
    // SAFETY: a thread has an `errno`, which nobody else touches.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { errno.read() };
    let one = 1_u64;
    // Full, it has been told often enough.
    // SAFETY: `one` is 8 bytes, which are read during the call.
    let _ = unsafe { libc::write(descriptor, (&raw const one).cast(), 8) };
    // SAFETY: as above.
    unsafe { errno.write(before) };
}

/// The registry panics for these.
fn refuse_those_without_handlers(signal: i32) -> io::Result<()> {
    if signal_hook_registry::FORBIDDEN.contains(&signal) || signal <= 0 {
        let text = format!("signal {signal} cannot be listened to");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

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
