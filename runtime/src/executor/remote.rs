//! What other threads may touch of a runtime: a set of tasks to wake, a list of messages, and a doorbell (I5).
//!
//! A wake from another thread sets a bit. That takes no memory and no lock, is never refused, and a task that is woken a
//! thousand times before its thread looks costs it one poll. The bits form groups: 64 words of 64 tasks, and a summary
//! word that tells which of the 64 are not empty. Groups are added by the owner as its table of tasks grows.
//!
//! # The sleep protocol
//!
//! ```text
//!   owner, going to sleep              another thread, waking
//!     sleeping = true                    set the task's bit, the summary's bit
//!     fence                              pending = true; if it was true before: done
//!     if pending: don't sleep            fence
//!     sleep in the kernel                if sleeping, and we are the one to reset it: ring the doorbell
//! ```
//!
//! With both fences, either the owner sees `pending`, or the waker sees `sleeping` (or both do): no wake is lost. Each step
//! of a wake that finds its bit already set may stop there, because whoever set the bit first goes on to the next step, and
//! the owner clears the steps in the opposite order. The loom tests below run this code under all interleavings.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use crate::shim::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, fence, lock};
use crate::task::{Id, Queued};

/// The inbox of a runtime. It outlives the runtime and serves a later one, so that wakers may come at any time.
#[derive(Debug)]
pub(crate) struct Remote {
    tasks: [OnceLock<Box<[Group]>>; BUCKETS],
    /// Something is in the set, or about to be found there.
    pending: AtomicBool,
    /// The owner sleeps in the kernel, or is about to; whoever resets this rings.
    sleeping: AtomicBool,
    tenant: Mutex<Tenant>,
    /// How many tasks the runtime has, as of its last turn. Only the owner writes it.
    live: AtomicUsize,
    /// How much work waits in the messages, or has just been taken out and is not among the tasks yet.
    coming: AtomicUsize,
}

/// The runtime that lives here, as far as other threads may touch it.
#[derive(Debug)]
struct Tenant {
    /// Counts the runtimes that ever lived here, so that what is meant for one never reaches the next.
    number: u64,
    /// An eventfd that the owner's ring polls; gone while no runtime lives here.
    doorbell: Option<File>,
    /// New work is taken.
    is_open: bool,
    /// What the runtime has not looked at yet. Unbounded, so that two runtimes that flood each other never wait for each
    /// other: who gives work to another thread bounds it.
    messages: Vec<Message>,
}

/// What another thread asks of a runtime.
#[derive(Debug)]
pub(crate) enum Message {
    /// End this task, if the place still holds it.
    Abort { index: u32, id: Id },
    /// Do this.
    Begin(Queued),
}

/// The wakes of 4,096 tasks.
#[derive(Debug)]
struct Group {
    /// A bit for each word that is not zero.
    summary: AtomicU64,
    words: [AtomicU64; 64],
}

impl Remote {
    pub(crate) fn new() -> Self {
        Self {
            tasks: std::array::from_fn(|_| OnceLock::new()),
            pending: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            tenant: Mutex::new(Tenant { number: 0, doorbell: None, is_open: false, messages: Vec::new() }),
            live: AtomicUsize::new(0),
            coming: AtomicUsize::new(0),
        }
    }

    /// Owner: a runtime moves in. The answer is the descriptor for its ring to watch.
    pub(crate) fn open(&self, doorbell: OwnedFd) -> RawFd {
        let descriptor = doorbell.as_raw_fd();
        let mut tenant = lock(&self.tenant);
        tenant.number += 1;
        tenant.doorbell = Some(File::from(doorbell));
        tenant.is_open = true;
        self.live.store(0, Ordering::Relaxed);
        descriptor
    }

    /// Owner: takes no more work. What has come and not begun is refused by being dropped; aborts have nothing left to end.
    pub(crate) fn refuse_work(&self) -> Vec<Message> {
        let mut tenant = lock(&self.tenant);
        tenant.is_open = false;
        // So that nobody takes it for the one with the least to do.
        self.live.store(usize::MAX, Ordering::Relaxed);
        mem::take(&mut tenant.messages)
    }

    /// Owner: the runtime is gone. Later wakes and messages find nobody.
    pub(crate) fn close(&self) {
        let mut tenant = lock(&self.tenant);
        tenant.is_open = false;
        let (doorbell, messages) = (tenant.doorbell.take(), mem::take(&mut tenant.messages));
        drop(tenant);
        drop((doorbell, messages));
        self.sleeping.store(false, Ordering::Relaxed);
        self.coming.store(0, Ordering::Relaxed);
        self.drain(|_| {});
    }

    /// Owner: which of the runtimes that lived here it is.
    pub(crate) fn tenant(&self) -> u64 {
        lock(&self.tenant).number
    }

    /// Owner: makes room for the wakes of tasks up to `index`, before a waker for that task exists. Up to which there is room
    /// now.
    pub(crate) fn grow_to(&self, index: u32) -> u32 {
        let (bucket, _) = place(index);
        for (number, bucket) in self.tasks.iter().enumerate().take(bucket + 1) {
            bucket.get_or_init(|| (0..1 << number).map(|_| Group::new()).collect());
        }
        // A bucket and all those before it hold one group less than the next one.
        ((2_u32 << bucket) - 1) * GROUP - 1
    }

    /// Anybody: wakes the task at `index`.
    pub(crate) fn wake(&self, index: u32) {
        if self.must_ring_for(index) {
            self.ring();
        }
    }

    /// Sets the bit of the task at `index`; whether the owner sleeps, and it is the caller who has to ring.
    #[must_use]
    fn must_ring_for(&self, index: u32) -> bool {
        let (bucket, offset) = place(index);
        // A bucket that isn't there belongs to no task that ever had a waker.
        let Some(group) = self.tasks[bucket].get().and_then(|groups| groups.get(offset)) else { return false };
        if !group.insert(index) || self.pending.swap(true, Ordering::AcqRel) {
            return false;
        }
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel)
    }

    /// Anybody: has a task ended. Nothing happens where no runtime lives here any more.
    pub(crate) fn abort(&self, index: u32, id: Id) {
        let mut tenant = lock(&self.tenant);
        if tenant.doorbell.is_none() {
            return;
        }
        tenant.messages.push(Message::Abort { index, id });
        drop(tenant);
        self.wake(MESSAGES);
    }

    /// Anybody: gives work to a runtime. It is refused where that runtime is gone.
    pub(crate) fn begin(&self, number: u64, work: Queued) {
        if self.leave(number, work) {
            self.wake(MESSAGES);
        }
    }

    /// Leaves work among the messages; whether the owner is to be told.
    #[must_use]
    fn leave(&self, number: u64, work: Queued) -> bool {
        // One look under the lock: a runtime that is ending either takes the message or is seen to be gone.
        let mut tenant = lock(&self.tenant);
        if !tenant.is_open || tenant.number != number {
            drop(tenant);
            drop(work);
            return false;
        }
        self.coming.fetch_add(1, Ordering::Relaxed);
        tenant.messages.push(Message::Begin(work));
        true
    }

    /// Owner: the messages that are there.
    pub(crate) fn take_messages(&self) -> Vec<Message> {
        mem::take(&mut lock(&self.tenant).messages)
    }

    /// Owner: how many tasks there are now, and how much of the work that was coming is among them.
    pub(crate) fn publish(&self, tasks: usize, begun: usize) {
        self.live.store(tasks, Ordering::Relaxed);
        if begun > 0 {
            self.coming.fetch_sub(begun, Ordering::Relaxed);
        }
    }

    /// Anybody: how many tasks the runtime has or will have, as far as that can be told from outside.
    pub(crate) fn load(&self) -> usize {
        self.live.load(Ordering::Relaxed).saturating_add(self.coming.load(Ordering::Relaxed))
    }

    /// Anybody: whether the runtime of this number takes work.
    pub(crate) fn is_open(&self, number: u64) -> bool {
        let tenant = lock(&self.tenant);
        tenant.is_open && tenant.number == number
    }

    /// Owner: whether anything has been asked. One load.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Owner: takes out everything that was woken.
    pub(crate) fn drain(&self, mut woken: impl FnMut(u32)) {
        if !self.pending.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut first = 0;
        for groups in self.tasks.iter().map_while(OnceLock::get) {
            for group in groups {
                group.drain(first, &mut woken);
                first += GROUP;
            }
        }
    }

    /// Owner: is about to sleep. `false` where there is something to do instead.
    #[must_use]
    pub(crate) fn prepare_sleep(&self) -> bool {
        // A swap and not a store, so that it comes after the reset of a waker that was late for our last sleep.
        self.sleeping.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if self.pending.load(Ordering::Relaxed) {
            self.woke_up();
            return false;
        }
        true
    }

    /// Owner: is awake.
    pub(crate) fn woke_up(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Ends the owner's sleep.
    fn ring(&self) {
        // The lock orders this with `close`: the descriptor is never written to after it was closed, when its number may
        // be somebody else's. It is uncontended: only one waker at a time has come to ring.
        if let Some(doorbell) = lock(&self.tenant).doorbell.as_mut() {
            // The counter would have to be near 2^64 to refuse, and then the bell has rung.
            let _: io::Result<usize> = doorbell.write(&1_u64.to_ne_bytes());
        }
    }
}

impl Group {
    fn new() -> Self {
        Self { summary: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Sets a task's bit. Whether the caller is the one who goes on to say so.
    fn insert(&self, index: u32) -> bool {
        let word = (index / 64 % 64) as usize;
        let bit = 1 << (index % 64);
        self.words[word].fetch_or(bit, Ordering::AcqRel) == 0 && self.summary.fetch_or(1 << word, Ordering::AcqRel) == 0
    }

    fn drain(&self, first: u32, woken: &mut impl FnMut(u32)) {
        if self.summary.load(Ordering::Relaxed) == 0 {
            return;
        }
        for word in bits(self.summary.swap(0, Ordering::AcqRel)) {
            for bit in bits(self.words[word as usize].swap(0, Ordering::AcqRel)) {
                woken(first + word * 64 + bit);
            }
        }
    }
}

/// The positions of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

/// The bucket of a task's group, and the group's place in it: bucket *b* holds 2^*b* groups.
fn place(index: u32) -> (usize, usize) {
    let number = index / GROUP + 1;
    let bucket = number.ilog2();
    (bucket as usize, (number - (1 << bucket)) as usize)
}

/// The place of the future of `block_on`.
pub(crate) const ROOT: u32 = 0;
/// The place that is woken for messages.
pub(crate) const MESSAGES: u32 = 1;
/// The first place of a task.
pub(crate) const FIRST_TASK: u32 = 2;

/// Tasks in a group.
const GROUP: u32 = 64 * 64;
/// Enough for 2^28 tasks, which is all that a waker can name.
const BUCKETS: usize = 17;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
