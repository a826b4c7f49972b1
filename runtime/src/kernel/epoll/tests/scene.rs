//! One kernel with a story on it.
#![allow(unsafe_code, reason = "pushes entries that no builder makes, and takes over descriptors")]

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use io_uring::{opcode, squeue, types};
use socket2::SockAddr;

use crate::buf::{BufferPool, PoolConfig};
use crate::kernel::epoll::{Epoll, abi};
use crate::kernel::setup::SetupRequest;
use crate::kernel::{Cqe, Kernel, Sqe, Wait};
use crate::sys::sqe::RawSqe;

/// A kernel, what a scenario has it do, and what it answered.
pub(super) struct Scene {
    kernel: Kernel,
    pool: Option<BufferPool>,
    /// Results and flags by `user_data`, in order.
    seen: BTreeMap<u64, Vec<(i32, u32)>>,
    /// Keys whose last completion is to come.
    open: Vec<u64>,
    /// Keys whose results are descriptors.
    makers: Vec<u64>,
    /// Descriptors that were made, in order.
    pub(super) made: Vec<OwnedFd>,
    /// Bytes of provided buffers that differ between any two runs, such as ports.
    pub(super) differing: std::ops::Range<usize>,
    /// Memory that entries name, until the end.
    kept: Vec<Box<dyn Any>>,
}

/// A story told to a kernel.
pub(super) type Scenario = fn(&mut Scene);

/// Tells each story to both kernels; what they answer has to be the same.
pub(super) fn compare(scenarios: &[(&str, Scenario)]) {
    let mut differences = String::new();
    for (name, scenario) in scenarios {
        let request = SetupRequest { entries: 64, completion_entries: None, sqpoll: None };
        let ring = told(Kernel::uring(&request).expect("a ring"), *scenario);
        let emulated = told(Kernel::Epoll(Epoll::new(&request).expect("an epoll")), *scenario);
        if ring != emulated {
            writeln!(differences, "{name}:\n    the ring {ring:?}\n    emulated {emulated:?}").expect("memory");
        }
        assert!(!ring.is_empty(), "{name}: nothing was compared");
    }
    assert!(differences.is_empty(), "the kernels differ\n{differences}");
}

fn told(kernel: Kernel, scenario: Scenario) -> BTreeMap<u64, Vec<(i32, u32)>> {
    let mut scene = Scene {
        kernel,
        pool: None,
        seen: BTreeMap::new(),
        open: Vec::new(),
        makers: Vec::new(),
        made: Vec::new(),
        differing: 0..0,
        kept: Vec::new(),
    };
    scenario(&mut scene);
    scene.end()
}

impl Scene {
    /// Stages an entry under a key.
    pub(super) fn push(&mut self, key: u64, entry: squeue::Entry) {
        self.push_silent(key, entry);
        self.open.push(key);
    }

    /// Stages an entry whose success posts no completion.
    pub(super) fn push_silent(&mut self, key: u64, entry: squeue::Entry) {
        assert!(self.kernel.push(&Sqe::from(entry.user_data(key))), "room for an entry");
    }

    /// Stages an entry that answers with a descriptor.
    pub(super) fn push_maker(&mut self, key: u64, entry: squeue::Entry) {
        self.makers.push(key);
        self.push(key, entry);
    }

    /// An entry that no builder makes.
    pub(super) fn raw(change: impl FnOnce(&mut RawSqe)) -> squeue::Entry {
        let mut raw = RawSqe::from(&opcode::Nop::new().build());
        change(&mut raw);
        // SAFETY: both are 64 plain bytes.
        unsafe { std::mem::transmute::<RawSqe, squeue::Entry>(raw) }
    }

    /// Keeps something that entries name until their completion.
    pub(super) fn keep<T: 'static>(&mut self, thing: T) -> &mut T {
        self.kept.push(Box::new(thing));
        self.kept.last_mut().expect("just pushed").downcast_mut().expect("just pushed")
    }

    /// Memory for an entry.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> (*mut u8, u32) {
        let kept = self.keep(bytes.to_vec());
        (kept.as_mut_ptr(), kept.len() as u32)
    }

    /// An address for an entry, and its length.
    pub(super) fn address(&mut self, address: impl Into<SockAddr>) -> (*const libc::sockaddr, libc::socklen_t) {
        let kept = self.keep(address.into());
        (kept.as_ptr().cast(), kept.len())
    }

    /// A header of a message for an entry, with memory of its own for each part and for a name.
    pub(super) fn message(&mut self, parts: &[usize], name_bytes: u32) -> *mut libc::msghdr {
        let part = |bytes: &usize| {
            let (memory, bytes) = self.bytes(&vec![6; *bytes]);
            libc::iovec { iov_base: memory.cast(), iov_len: bytes as usize }
        };
        let parts: Vec<_> = parts.iter().map(part).collect();
        let (count, parts) = (parts.len(), self.keep(parts).as_mut_ptr());
        let name = self.bytes(&[0; 128]).0;
        // SAFETY: all zeroes are a valid, empty `msghdr`.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        (header.msg_iov, header.msg_iovlen) = (parts, count);
        if name_bytes > 0 {
            (header.msg_name, header.msg_namelen) = (name.cast(), name_bytes);
        }
        &raw mut *self.keep(header)
    }

    /// Notes what lies in memory that a scene keeps, once the request has ended.
    pub(super) fn note_bytes(&mut self, key: u64, memory: *const u8, bytes: usize) {
        let byte = |index| written(memory.wrapping_add(index));
        let sum = (0..bytes).map(byte).fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        self.note(key, sum as i32);
    }

    /// Provided buffers, in group 0.
    pub(super) fn provide(&mut self, count: u16, bytes: u32) {
        let pool = BufferPool::new(PoolConfig { group: 0, initial: count, cap: count, bytes }).expect("a pool");
        self.kernel.register_buffers(&pool).expect("the kernel takes the buffers");
        self.pool = Some(pool);
    }

    /// Submits, and takes what is there.
    pub(super) fn turn(&mut self) {
        self.enter(Wait::No);
    }

    /// Waits until `key` has had so many completions in all.
    pub(super) fn until(&mut self, key: u64, count: usize) {
        let start = Instant::now();
        self.turn();
        while self.count(key) < count {
            assert!(start.elapsed() < PATIENCE, "{key} has had {:?}, and {:?} are open", self.seen, self.open);
            self.enter(Wait::For(Duration::from_millis(20)));
        }
    }

    /// How many completions `key` has had.
    pub(super) fn count(&self, key: u64) -> usize {
        self.seen.get(&key).map_or(0, Vec::len)
    }

    /// The last result of `key`.
    pub(super) fn result(&self, key: u64) -> i32 {
        self.seen[&key].last().expect("a completion").0
    }

    /// Notes something else that is to be the same, such as bytes that were received.
    pub(super) fn note(&mut self, key: u64, value: i32) {
        self.seen.entry(key).or_default().push((value, 0));
    }

    /// Notes what a peer receives, until it has got this many bytes, or the end.
    pub(super) fn note_received(&mut self, key: u64, mut from: &TcpStream, most: usize) {
        // The kernel's turns are ours to give: nobody else would send while we sleep.
        from.set_nonblocking(true).expect("a socket");
        let (mut buf, mut count, mut sum, start) = (vec![0; 1 << 16], 0, 0_u32, Instant::now());
        while count < most {
            match from.read(&mut buf) {
                Ok(0) => break,
                Ok(got) => {
                    count += got;
                    sum = buf[..got].iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(start.elapsed() < PATIENCE, "{count} of {most} bytes have come; seen: {:?}", self.seen);
                    self.enter(Wait::For(Duration::from_millis(1)));
                }
                Err(error) => panic!("{error}"),
            }
        }
        self.note(key, count as i32);
        self.note(key, sum as i32);
    }

    fn enter(&mut self, wait: Wait) {
        self.kernel.enter(wait).expect("an entry");
        let mut cqes = Vec::new();
        self.kernel.take_completions(&mut cqes);
        cqes.into_iter().for_each(|cqe| self.take(cqe));
    }

    fn take(&mut self, cqe: Cqe) {
        if !cqe.more() {
            self.open.retain(|key| *key != cqe.user_data);
        }
        if let (Some(bid), Some(pool)) = (cqe.buffer_id(), &self.pool) {
            // Kept, so that every completion has another buffer.
            let loan = pool.take(bid, cqe.result.max(0) as u32);
            let same = loan.iter().enumerate().filter(|(index, _)| !self.differing.contains(index));
            let sum = same.fold(0_u32, |sum, (_, byte)| sum.wrapping_mul(31).wrapping_add((*byte).into()));
            self.kept.push(Box::new(loan));
            self.seen.entry(cqe.user_data + BYTES).or_default().push((sum as i32, 0));
        }
        let mut result = cqe.result;
        if result >= 0 && self.makers.contains(&cqe.user_data) {
            self.made.push(owned(result));
            result = DESCRIPTOR;
        }
        // A hint, which the ring also gives for an end that waits.
        let flags = cqe.flags & !abi::cqe::SOCK_NONEMPTY;
        self.seen.entry(cqe.user_data).or_default().push((result, flags));
    }

    /// The sum of the results of `key`.
    pub(super) fn total(&self, key: u64) -> i32 {
        self.seen.get(&key).map_or(0, |seen| seen.iter().map(|(result, _)| result).sum())
    }

    /// Leaves the content of the buffers of a key out of the comparison.
    pub(super) fn leave_out_bytes(&mut self, key: u64) {
        self.seen.remove(&(key + BYTES));
    }

    /// Leaves a key out of the comparison.
    pub(super) fn leave_out(&mut self, key: u64) {
        self.seen.remove(&key);
    }

    /// Cancels what is left, and waits for it: as long, its descriptors have to be open.
    pub(super) fn cancel_all(&mut self) {
        self.turn();
        let start = Instant::now();
        while !self.open.is_empty() {
            assert!(start.elapsed() < PATIENCE, "{:?} stay open; seen: {:?}", self.open, self.seen);
            self.push_silent(CANCEL, cancel_all());
            self.enter(Wait::For(Duration::from_millis(20)));
        }
    }

    fn end(mut self) -> BTreeMap<u64, Vec<(i32, u32)>> {
        self.turn();
        assert_eq!(self.open, [], "a scenario ends when all of its entries have");
        self.kept.clear();
        self.kernel.unregister_buffers(0);
        if let Some(pool) = self.pool.take() {
            end_pool(&pool);
        }
        self.seen.remove(&CANCEL);
        self.seen
    }
}

fn cancel_all() -> squeue::Entry {
    let entry = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
    entry.flags(squeue::Flags::SKIP_SUCCESS)
}

/// What the kernel has written to memory that a scene keeps, once the request has ended.
pub(super) fn written<T: Copy>(at: *const T) -> T {
    // SAFETY: the scene keeps the memory, it was filled from the beginning, and the kernel is done with it.
    unsafe { at.read_unaligned() }
}

/// Takes over what a kernel has made.
pub(super) fn owned(descriptor: i32) -> OwnedFd {
    assert!(descriptor >= 0, "{descriptor} is no descriptor");
    // SAFETY: a completion has just told of this descriptor, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// The same descriptor, given to programs that this one runs.
pub(super) fn inheritable<T: AsRawFd>(of: T) -> T {
    // SAFETY: takes numbers.
    let changed = unsafe { libc::fcntl(of.as_raw_fd(), libc::F_SETFD, 0) };
    assert_eq!(changed, 0);
    of
}

/// Closes the file behind a number that was given up, and has another one take that number, at once.
pub(super) fn put_in_the_place_of<T: From<OwnedFd> + AsRawFd>(number: RawFd, other: T) -> T {
    // SAFETY: takes numbers, of which the caller has given up the first.
    let taken = unsafe { libc::dup3(other.as_raw_fd(), number, libc::O_CLOEXEC) };
    assert_eq!(taken, number);
    T::from(owned(taken))
}

/// The end of a pool whose kernel has nothing in flight, and has given it up.
pub(super) fn end_pool(pool: &BufferPool) {
    // SAFETY: so the callers have seen to.
    unsafe { pool.close() };
}

/// A TCP connection.
pub(super) fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    (client, listener.accept().expect("a connection").0)
}

/// A connection that is reset when it is closed.
pub(super) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// The number of a descriptor, as entries take it.
pub(super) fn fd(of: &impl AsRawFd) -> types::Fd {
    types::Fd(of.as_raw_fd())
}

/// A number that is no descriptor.
pub(super) const BAD: types::Fd = types::Fd(1 << 20 as RawFd);

/// Stands for a result that is a descriptor.
const DESCRIPTOR: i32 = i32::MAX;
/// What was in the provided buffers of a key is noted under a key of its own.
const BYTES: u64 = 1 << 32;
const CANCEL: u64 = u64::MAX;
/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(10);
