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
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use crate::shim::{AtomicBool, AtomicU64, Mutex, Ordering, fence};
use crate::task::Id;

/// The inbox of a runtime. It outlives the runtime and serves a later one, so that wakers may come at any time.
#[derive(Debug)]
pub(crate) struct Remote {
    tasks: [OnceLock<Box<[Group]>>; BUCKETS],
    /// Something is in the set, or about to be found there.
    pending: AtomicBool,
    /// The owner sleeps in the kernel, or is about to; whoever resets this rings.
    sleeping: AtomicBool,
    /// An eventfd that the owner's ring polls; gone while no runtime lives here.
    doorbell: Mutex<Option<File>>,
    messages: Mutex<Vec<Message>>,
}

/// What another thread asks of a runtime.
#[derive(Debug)]
pub(crate) enum Message {
    /// End this task, if the place still holds it.
    Abort { index: u32, id: Id },
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
            doorbell: Mutex::new(None),
            messages: Mutex::new(Vec::new()),
        }
    }

    /// Owner: a runtime moves in. The answer is the descriptor for its ring to watch.
    pub(crate) fn open(&self, doorbell: OwnedFd) -> RawFd {
        let descriptor = doorbell.as_raw_fd();
        *lock(&self.doorbell) = Some(File::from(doorbell));
        descriptor
    }

    /// Owner: the runtime is gone. Later wakes and messages find nobody.
    pub(crate) fn close(&self) {
        let doorbell = lock(&self.doorbell).take();
        drop(doorbell);
        self.sleeping.store(false, Ordering::Relaxed);
        self.drain(|_| {});
        let messages = std::mem::take(&mut *lock(&self.messages));
        drop(messages);
    }

    /// Owner: makes room for the wakes of tasks up to `index`, before a waker for that task exists.
    pub(crate) fn grow_to(&self, index: u32) {
        let (bucket, _) = place(index);
        for (number, bucket) in self.tasks.iter().enumerate().take(bucket + 1) {
            bucket.get_or_init(|| (0..1 << number).map(|_| Group::new()).collect());
        }
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

    /// Anybody: leaves a message. Dropped where no runtime lives here any more.
    pub(crate) fn send(&self, message: Message) {
        // Under the doorbell's lock, so that a runtime that is closing either takes the message or is seen to be gone.
        let doorbell = lock(&self.doorbell);
        if doorbell.is_none() {
            return;
        }
        lock(&self.messages).push(message);
        drop(doorbell);
        self.wake(MESSAGES);
    }

    /// Owner: the messages that are there.
    pub(crate) fn take_messages(&self) -> Vec<Message> {
        std::mem::take(&mut *lock(&self.messages))
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
        if let Some(doorbell) = lock(&self.doorbell).as_mut() {
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

#[cfg(not(loom))]
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(loom)]
fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no panic under a lock")
}

/// The place of the future of `block_on`.
pub(crate) const ROOT: u32 = 0;
/// The place that is woken for messages.
const MESSAGES: u32 = 1;
/// The first place of a task.
pub(crate) const FIRST_TASK: u32 = 2;

/// Tasks in a group.
const GROUP: u32 = 64 * 64;
/// Enough for 2^28 tasks, which is all that a waker can name.
const BUCKETS: usize = 17;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_group_of_its_own() {
        let mut expected = 0;
        for bucket in 0..4_usize {
            for offset in 0..1_usize << bucket {
                assert_eq!(place(expected), (bucket, offset));
                assert_eq!(place(expected + GROUP - 1), (bucket, offset));
                expected += GROUP;
            }
        }
        assert!(place((1 << 28) - 1).0 < BUCKETS);
    }

    #[test]
    fn what_was_woken_is_drained_once_each() {
        let remote = Remote::new();
        remote.grow_to(20_000);
        let indexes = [0, 1, 63, 64, 4095, 4096, 12_287, 12_288, 20_000];
        for _ in 0..3 {
            indexes.iter().for_each(|index| remote.wake(*index));
        }
        assert!(remote.is_pending());
        let mut woken = Vec::new();
        remote.drain(|index| woken.push(index));
        assert_eq!(woken, indexes);
        assert!(!remote.is_pending());
        remote.drain(|index| panic!("{index} was woken once only"));
    }

    #[test]
    fn a_message_to_a_runtime_that_is_gone_is_dropped() {
        let remote = Remote::new();
        remote.grow_to(FIRST_TASK);
        remote.send(Message::Abort { index: 2, id: Id::next() });
        assert!(remote.take_messages().is_empty());
        assert!(!remote.is_pending());
    }
}

/// The real code, under every interleaving that matters:
/// `RUSTFLAGS="--cfg loom" cargo test -p quoit-runtime --release --lib loom_`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::{Arc, Notify};
    use loom::thread;

    use super::*;

    /// Wakers on threads of their own, and the owner's loop: drain, and if something is missing go to sleep. `bell` stands
    /// for the doorbell and the kernel's wait; a wake that is lost leaves the owner asleep, which loom reports.
    fn every_wake_is_seen(wakers: &'static [u32]) {
        check(wakers, Remote::prepare_sleep);
    }

    fn check(wakers: &'static [u32], prepare_sleep: fn(&Remote) -> bool) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let remote = Arc::new(Remote::new());
            remote.grow_to(FIRST_TASK);
            let bell = Arc::new(Notify::new());
            let threads: Vec<_> = wakers
                .iter()
                .map(|index| {
                    let (remote, bell) = (Arc::clone(&remote), Arc::clone(&bell));
                    thread::spawn(move || {
                        if remote.must_ring_for(*index) {
                            bell.notify();
                        }
                    })
                })
                .collect();
            let mut missing = wakers.to_vec();
            loop {
                remote.drain(|index| missing.retain(|other| *other != index));
                if missing.is_empty() {
                    break;
                }
                if prepare_sleep(&remote) {
                    bell.wait();
                    remote.woke_up();
                }
            }
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
    }

    #[test]
    fn loom_a_wake_always_ends_the_sleep() {
        every_wake_is_seen(&[2]);
    }

    #[test]
    fn loom_two_wakes_of_one_word_are_both_seen() {
        every_wake_is_seen(&[2, 3]);
    }

    #[test]
    fn loom_two_wakes_of_two_words_are_both_seen() {
        every_wake_is_seen(&[2, 70]);
    }

    #[test]
    fn loom_a_task_woken_twice_is_seen() {
        every_wake_is_seen(&[2, 2]);
    }

    /// The instrument sees a planted fault: an owner that does not look once more before it sleeps.
    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_finds_a_lost_wake() {
        check(&[2], |remote| {
            remote.sleeping.swap(true, Ordering::AcqRel);
            true
        });
    }
}
