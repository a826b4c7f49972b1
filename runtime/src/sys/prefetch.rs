//! A hint to the processor: bring this into the cache, it will be needed soon.
//!
//! # Safety
//!
//! A hint reads nothing as far as the program can tell, whatever the address is.
#![allow(unsafe_code, reason = "an instruction of the processor's")]

/// Brings so many lines of 64 bytes into the cache, from where the value begins. Does nothing on processors that we know no
/// such instruction of.
#[inline(always)]
pub(crate) fn prefetch<const LINES: usize, T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..LINES {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = std::ptr::from_ref(value).cast::<i8>().wrapping_add(64 * line);
        // SAFETY: a hint (see above).
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
