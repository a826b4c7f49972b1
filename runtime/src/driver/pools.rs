//! The buffers that the kernel picks from: those of the common size, and larger ones for streams that bring much at once.
//!
//! Each size is a buffer group of the kernel's, and a pool of ours, which is made when the first op wants it. A receive names
//! one of them for as long as it is armed.
//!
//! # Safety
//!
//! A pool whose ring of buffers the kernel has taken is closed only when the kernel has given it up (I4, I6).
#![allow(unsafe_code, reason = "the kernel's side of a pool may end")]

use std::cell::OnceCell;
use std::io;

use crate::buf::{BufferPool, PoolConfig};
use crate::driver::{Driver, gone};
use crate::kernel::Kernel;

/// The pools of one driver.
#[derive(Debug)]
pub(super) struct Pools {
    config: PoolConfig,
    /// Of the size that the runtime was built with; or the errno that says why there is none.
    common: OnceCell<Result<BufferPool, i32>>,
    /// Of [`LARGE_BYTES`]; `None` where there is to be none, or it could not be made.
    large: OnceCell<Option<BufferPool>>,
}

impl Pools {
    pub(super) fn new(config: PoolConfig) -> Self {
        Self { config, common: OnceCell::new(), large: OnceCell::new() }
    }

    /// Those that there are.
    pub(super) fn made(&self) -> impl Iterator<Item = &BufferPool> {
        let common = self.common.get().and_then(|made| made.as_ref().ok());
        let large = self.large.get().and_then(Option::as_ref);
        common.into_iter().chain(large)
    }

    /// Ends the kernel's side of them.
    ///
    /// # Safety
    ///
    /// No operation is in flight that may have chosen one of their buffers.
    pub(super) unsafe fn close(&self, kernel: &mut Kernel) {
        for pool in self.made() {
            kernel.unregister_buffers(pool.group());
            // SAFETY: the kernel has just given the ring of buffers up, and the caller vouches for the rest.
            unsafe { pool.close() };
        }
    }
}

impl Driver {
    /// The buffers that the kernel picks from.
    ///
    /// # Errors
    ///
    /// Those of making and registering the pool, at the first call.
    pub fn pool(&self) -> io::Result<&BufferPool> {
        let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        let pool = self.pools.common.get_or_init(|| self.make_pool(self.pools.config).map_err(errno));
        pool.as_ref().map_err(|errno| io::Error::from_raw_os_error(*errno))
    }

    /// Larger buffers, for streams that bring more at once than one of [`pool`](Self::pool) holds. `None` where those are as
    /// large, where the memory that the runtime may have for buffers is too little for both, or where the kernel refuses.
    pub fn large_pool(&self) -> Option<&BufferPool> {
        let make = || self.make_pool(large_config(self.pools.config)?).ok();
        self.pools.large.get_or_init(make).as_ref()
    }

    /// The buffers for a receive that would have large ones, or common ones: large ones only where there are some.
    ///
    /// # Errors
    ///
    /// As [`pool`](Self::pool).
    pub fn pool_for(&self, is_large: bool) -> io::Result<&BufferPool> {
        let large = if is_large { self.large_pool() } else { None };
        large.map_or_else(|| self.pool(), Ok)
    }

    fn make_pool(&self, config: PoolConfig) -> io::Result<BufferPool> {
        let pool = BufferPool::new(config)?;
        let mut kernel = self.kernel.borrow_mut();
        let registered = kernel.as_mut().map_or_else(|| Err(gone()), |kernel| kernel.register_buffers(&pool));
        if let Err(error) = registered {
            // SAFETY: the kernel has not taken the ring of buffers, so it will never touch them.
            unsafe { pool.close() };
            return Err(error);
        }
        Ok(pool)
    }

    /// How many buffers the pools have, and how many of them are lent.
    pub(crate) fn buffers(&self) -> (usize, usize) {
        self.pools.made().fold((0, 0), |(total, lent), pool| (total + pool.total(), lent + pool.lent()))
    }
}

/// The pool of large buffers beside a common one: it may take half as much memory as that.
fn large_config(common: PoolConfig) -> Option<PoolConfig> {
    let most = u64::from(common.cap) * u64::from(common.bytes) / 2 / u64::from(LARGE_BYTES);
    let cap = most.min(u64::from(common.cap)) as u16;
    let makes_sense = common.bytes <= LARGE_BYTES / 2 && cap >= LEAST_LARGE;
    makes_sense.then(|| PoolConfig { group: common.group + 1, initial: LEAST_LARGE, cap, bytes: LARGE_BYTES })
}

/// The size of a large buffer: what one segment over the loopback brings, and few streams have more in one go elsewhere.
const LARGE_BYTES: u32 = 64 << 10;

/// How many large buffers a pool begins with; where there may not be as many, there are none.
const LEAST_LARGE: u16 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn large(cap: u16, bytes: u32) -> Option<(u16, u16)> {
        large_config(PoolConfig { group: 0, initial: 1, cap, bytes }).map(|large| (large.initial, large.cap))
    }

    #[test]
    fn large_buffers_take_at_most_half_as_much_memory_as_the_common_ones() {
        assert_eq!(large(4096, 8 << 10), Some((8, 256)));
        assert_eq!(large(128, 8 << 10), Some((8, 8)));
        assert_eq!(large(1 << 15, 1), None);
        assert_eq!(large(1 << 15, 32 << 10), Some((8, 8192)));
    }

    #[test]
    fn a_small_pool_and_one_of_large_buffers_have_none_beside_them() {
        assert_eq!(large(127, 8 << 10), None);
        assert_eq!(large(4, 4096), None);
        assert_eq!(large(1, 1), None);
        assert_eq!(large(4096, 64 << 10), None);
        assert_eq!(large(4096, 16 << 20), None);
    }
}
