//! Buffers that the kernel picks: who has which.
//!
//! ```text
//!                   push                 a completion names it: take
//!     (new slab) ----------> KERNEL --------------------------------> LENT ----> HOME
//!                              ^                                       |    after close()
//!                              +---------------------------------------+
//!                                dropped by its owner's thread: at once
//!                                dropped as `Bytes`, anywhere: reclaim()
//! ```
//!
//! Between the kernel's choice and `take` a buffer counts as the kernel's: the completion that names it may still lie in
//! the queue.
//!
//! Buffers lie in slabs, each as large as all before it together, which are made when they are needed and stay until the
//! pool and every loan of them are gone. A recycled buffer is not cleaned, as that would cost a pass over the memory: a
//! loan shows the bytes that the kernel has told, and never one behind them, which may be another connection's.
//!
//! # Safety
//!
//! A buffer belongs to the kernel or to exactly one loan (I6). `Accounts::holders` says to which, and every transition
//! asserts where it comes from, also in release builds: a second loan of a buffer would show memory that changes. Memory
//! that the kernel may write to stays mapped until [`BufferPool::close`] was told that it does not any more; a pool that
//! goes without it leaks its memory instead (I4).

#![allow(unsafe_code, reason = "computes the places of buffers, and frees the memory that the kernel wrote to")]

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::buf_ring::BufRing;
use super::recv_buf::RecvBuf;
use super::returns::Returns;
use crate::sys::mapping::Mapping;

/// What a pool is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolConfig {
    /// The buffer group: what an SQE names to have a buffer of this pool chosen.
    pub(crate) group: u16,
    /// How many buffers there are at first: at least 1.
    pub(crate) initial: u16,
    /// How many buffers there may be, after growing: at least `initial`, and at most 32768.
    pub(crate) cap: u16,
    /// The size of a buffer: at least 1.
    pub(crate) bytes: u32,
}

/// The buffers of one buffer group, shared by the driver and the loans of this thread.
#[derive(Clone)]
pub struct BufferPool {
    core: Rc<Core>,
}

/// What all handles of a pool share.
struct Core {
    config: PoolConfig,
    /// The way home for loans that left the thread.
    returns: Arc<Returns>,
    accounts: RefCell<Accounts>,
}

/// Who has which buffer, and where they are.
struct Accounts {
    /// Dropped by the drop of `Core`, if at all.
    ring: ManuallyDrop<BufRing>,
    /// All buffers, in the order of their ids. Nothing is ever removed.
    slabs: Vec<Arc<Slab>>,
    /// Who holds each buffer, by its id.
    holders: Vec<Holder>,
    /// How many are held by `Holder::Kernel`.
    provided: usize,
    /// How many are held by `Holder::Loan`.
    lent: usize,
    /// Whether the kernel knows of the ring.
    phase: Phase,
}

/// Who holds a buffer (I6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// It is in the ring, or named by a completion that nobody has looked at.
    Kernel,
    /// A `RecvBuf`, or the `Bytes` made from it.
    Loan,
    /// Nobody; the kernel does not want it any more.
    Home,
}

/// What the kernel has to do with the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It may know the ring, and is given buffers.
    Open,
    /// It has given the ring up.
    Closed,
    /// It could not be made to give it up.
    Leaked,
}

/// Buffers of consecutive ids, in one mapping.
pub(super) struct Slab {
    memory: Mapping,
    /// The id of its first buffer.
    first: u16,
    /// Where loans go that left the thread. It lives here so that such a loan needs one reference only.
    returns: Arc<Returns>,
}

impl BufferPool {
    /// A pool with its first buffers already in the ring, to be registered by [`ring_address`](Self::ring_address).
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the configuration breaks its bounds; else those of `mmap`.
    pub(crate) fn new(config: PoolConfig) -> io::Result<Self> {
        let PoolConfig { initial, cap, bytes, .. } = config;
        if initial == 0 || initial > cap || cap > MAX_BUFFERS || bytes == 0 {
            let text = format!(
                "a buffer pool of {initial} to {cap} buffers of {bytes} bytes: it takes 1 to {MAX_BUFFERS} buffers, of 1 \
                 byte at least"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut accounts = Accounts {
            ring: ManuallyDrop::new(BufRing::new(cap.next_power_of_two())?),
            slabs: Vec::new(),
            holders: Vec::new(),
            provided: 0,
            lent: 0,
            phase: Phase::Open,
        };
        let returns = Arc::new(Returns::default());
        let added = accounts.add_slab(initial, bytes, &returns);
        let pool = Self { core: Rc::new(Core { config, returns, accounts: RefCell::new(accounts) }) };
        if let Err(error) = added {
            // SAFETY: nobody has been told of the ring.
            unsafe { pool.close() };
            return Err(error);
        }
        Ok(pool)
    }

    /// The buffer group.
    pub fn group(&self) -> u16 {
        self.core.config.group
    }

    /// The size of a buffer.
    pub fn buffer_bytes(&self) -> u32 {
        self.core.config.bytes
    }

    /// Where the ring lies, for its registration.
    pub(crate) fn ring_address(&self) -> u64 {
        self.core.accounts.borrow().ring.address()
    }

    /// How many entries the ring has, for its registration.
    pub(crate) fn ring_entries(&self) -> u16 {
        self.core.accounts.borrow().ring.entries()
    }

    /// How many buffers the kernel holds, those included that completions name which have not been taken yet.
    pub fn provided(&self) -> usize {
        self.core.accounts.borrow().provided
    }

    /// How many buffers are lent. Those that came back from other threads are until [`reclaim`](Self::reclaim).
    pub(crate) fn lent(&self) -> usize {
        self.core.accounts.borrow().lent
    }

    /// How many buffers there are.
    pub(crate) fn total(&self) -> usize {
        self.core.accounts.borrow().holders.len()
    }

    /// Takes the buffer that a completion names, with the bytes it tells, from the kernel. To be called once for every
    /// completion that has a buffer, wanted or not: the loan's drop gives the buffer back.
    ///
    /// # Panics
    ///
    /// Panics where the kernel does not hold such a buffer (I6), or it has fewer bytes.
    pub(crate) fn take(&self, bid: u16, len: u32) -> RecvBuf {
        let mut accounts = self.core.accounts.borrow_mut();
        let capacity = self.core.config.bytes;
        assert!(len <= capacity, "the kernel tells {len} bytes in a buffer of {capacity}");
        let holder = accounts.holders.get_mut(usize::from(bid));
        let holder = holder.unwrap_or_else(|| panic!("the kernel tells of a buffer {bid} that there is not"));
        assert_eq!(*holder, Holder::Kernel, "buffer {bid} is taken, but the kernel does not hold it");
        *holder = Holder::Loan;
        accounts.provided -= 1;
        accounts.lent += 1;
        let start = accounts.place(bid, capacity);
        RecvBuf::from_loan(self.clone(), bid, start, len)
    }

    /// Makes as many buffers again as there are, up to the cap, and provides them. `false` where there are no more: the
    /// cap is reached, memory is short, or the pool is closed. What came back from other threads is to be
    /// [reclaimed](Self::reclaim) first.
    pub fn grow(&self) -> bool {
        let mut accounts = self.core.accounts.borrow_mut();
        let total = accounts.holders.len() as u16;
        let count = total.min(self.core.config.cap - total);
        accounts.phase == Phase::Open
            && count > 0
            && accounts.add_slab(count, self.core.config.bytes, &self.core.returns).is_ok()
    }

    /// Provides the buffers that were given back on other threads, or as `Bytes`, and returns their count. Without any, it
    /// costs one load. To be called once a turn: a buffer that waits here wakes nobody.
    pub fn reclaim(&self) -> usize {
        let mut count = 0;
        self.core.returns.drain(|bids| {
            let mut accounts = self.core.accounts.borrow_mut();
            count = bids.len();
            for bid in bids {
                accounts.end_loan(bid, self.core.config.bytes);
            }
            accounts.ring.publish();
        });
        count
    }

    /// The end of the kernel's part: from now on, buffers that come back are only accounted for, and all memory is freed
    /// with the last loan of it.
    ///
    /// # Safety
    ///
    /// The kernel has given the ring up (it is unregistered, or never was registered), and no operation is in flight that
    /// may have chosen one of its buffers.
    pub(crate) unsafe fn close(&self) {
        let mut accounts = self.core.accounts.borrow_mut();
        if accounts.phase != Phase::Open {
            return;
        }
        accounts.phase = Phase::Closed;
        accounts.provided = 0;
        for holder in &mut accounts.holders {
            if *holder == Holder::Kernel {
                *holder = Holder::Home;
            }
        }
    }

    /// Keeps all memory for ever, where the kernel could not be made to give it up, and tells how many bytes that is: none
    /// if the pool is closed. From now on, buffers that come back are only accounted for.
    pub(crate) fn leak(&self) -> usize {
        let mut accounts = self.core.accounts.borrow_mut();
        if accounts.phase == Phase::Closed {
            return 0;
        }
        // The drop of the core does the rest; it is the same as for a pool that was forgotten while open.
        accounts.phase = Phase::Leaked;
        accounts.ring.bytes() + accounts.slabs.iter().map(|slab| slab.memory.bytes()).sum::<usize>()
    }

    /// The loan of a buffer has ended on this thread.
    pub(super) fn give_back(&self, bid: u16) {
        let mut accounts = self.core.accounts.borrow_mut();
        accounts.end_loan(bid, self.core.config.bytes);
        accounts.ring.publish();
    }

    /// The memory that a buffer lies in, for a loan that leaves the thread.
    pub(super) fn slab_of(&self, bid: u16) -> Arc<Slab> {
        Arc::clone(self.core.accounts.borrow().slab(bid))
    }
}

impl Accounts {
    /// Makes buffers and provides them.
    fn add_slab(&mut self, count: u16, bytes: u32, returns: &Arc<Returns>) -> io::Result<()> {
        let size = usize::from(count).checked_mul(bytes as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        let first = self.holders.len() as u16;
        self.slabs.push(Arc::new(Slab { memory: Mapping::new(size)?, first, returns: Arc::clone(returns) }));
        for bid in first..first + count {
            // A loan on its way out, to be ended by what is done for all of them.
            self.holders.push(Holder::Loan);
            self.lent += 1;
            self.end_loan(bid, bytes);
        }
        self.ring.publish();
        Ok(())
    }

    /// Gives a lent buffer to the kernel, who sees it with the next `publish`; or keeps it, after the end.
    fn end_loan(&mut self, bid: u16, bytes: u32) {
        let open = self.phase == Phase::Open;
        let holder = &mut self.holders[usize::from(bid)];
        assert_eq!(*holder, Holder::Loan, "buffer {bid} comes back, but it was not lent");
        *holder = if open { Holder::Kernel } else { Holder::Home };
        self.lent -= 1;
        if open {
            self.provided += 1;
            let start = self.place(bid, bytes);
            self.ring.push(bid, start, bytes);
        }
    }

    /// The memory of a buffer.
    fn place(&self, bid: u16, bytes: u32) -> NonNull<u8> {
        let slab = self.slab(bid);
        let offset = usize::from(bid - slab.first) * bytes as usize;
        // SAFETY: the slab has the memory of this buffer at the offset: `add_slab` made it for all its ids.
        unsafe { slab.memory.start().add(offset) }
    }

    /// The slab that a buffer lies in.
    fn slab(&self, bid: u16) -> &Arc<Slab> {
        // The newest has half of all buffers, so that this looks at two on average.
        let slab = self.slabs.iter().rev().find(|slab| slab.first <= bid);
        slab.expect("the first slab begins at 0")
    }
}

impl Slab {
    /// Where the slab begins.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.memory.start()
    }

    /// Where loans go that left the thread.
    pub(super) fn returns(&self) -> &Returns {
        &self.returns
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let accounts = self.accounts.get_mut();
        match accounts.phase {
            // SAFETY: dropped once, here, and not used again; the kernel has given it up. Slabs go with their last loan.
            Phase::Closed => unsafe { ManuallyDrop::drop(&mut accounts.ring) },
            // The kernel may still write to the buffers (I4). Loans of them stay readable, for the same reason.
            Phase::Open | Phase::Leaked => {
                KEPT.lock().unwrap_or_else(PoisonError::into_inner).append(&mut accounts.slabs);
            }
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accounts = self.core.accounts.borrow();
        f.debug_struct("BufferPool")
            .field("config", &self.core.config)
            .field("phase", &accounts.phase)
            .field("total", &accounts.holders.len())
            .field("provided", &accounts.provided)
            .field("lent", &accounts.lent)
            .finish_non_exhaustive()
    }
}

/// What has been leaked. It is never looked at; it lies here so that leak checkers can tell it from a mistake.
static KEPT: Mutex<Vec<Arc<Slab>>> = Mutex::new(Vec::new());

/// The most entries that the kernel allows a ring to have.
const MAX_BUFFERS: u16 = 1 << 15;

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
