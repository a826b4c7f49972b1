//! Buffers that are counted while they live: a driver that forgets or frees twice shows in the count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the [`CountedBuf`]s made with it. Clones count together.
///
/// # Examples
///
/// ```
/// use quoit_testkit::LiveBuffers;
///
/// let buffers = LiveBuffers::new();
/// let buffer = buffers.buffer(vec![0; 16]);
/// assert_eq!(buffers.live(), 1);
/// drop(buffer);
/// assert_eq!((buffers.live(), buffers.made()), (0, 1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct LiveBuffers(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    live: AtomicUsize,
    made: AtomicUsize,
}

/// A `Vec<u8>` that is counted by its [`LiveBuffers`] from when it is made until it is dropped.
///
/// It knows nothing of quoit: wrap it in a type of the test's own to implement a buffer trait, over
/// [`as_vec`](Self::as_vec) and [`as_mut_vec`](Self::as_mut_vec).
#[derive(Debug)]
pub struct CountedBuf {
    bytes: Vec<u8>,
    counts: Arc<Counts>,
}

impl LiveBuffers {
    /// A count of 0.
    pub fn new() -> LiveBuffers {
        LiveBuffers::default()
    }

    /// Makes a buffer of these bytes, whose allocation it keeps.
    pub fn buffer(&self, bytes: Vec<u8>) -> CountedBuf {
        CountedBuf::new(self, bytes)
    }

    /// The buffers that are alive.
    pub fn live(&self) -> usize {
        self.0.live.load(Ordering::SeqCst)
    }

    /// The buffers ever made, clones included.
    pub fn made(&self) -> usize {
        self.0.made.load(Ordering::SeqCst)
    }
}

impl CountedBuf {
    /// Makes a buffer of these bytes, whose allocation it keeps.
    pub fn new(buffers: &LiveBuffers, bytes: Vec<u8>) -> CountedBuf {
        CountedBuf::counted(Arc::clone(&buffers.0), bytes)
    }

    /// The bytes.
    pub fn as_vec(&self) -> &Vec<u8> {
        &self.bytes
    }

    /// The bytes, to be read into, to be grown or to be replaced.
    pub fn as_mut_vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes the bytes out; the buffer itself is gone.
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn counted(counts: Arc<Counts>, bytes: Vec<u8>) -> CountedBuf {
        counts.live.fetch_add(1, Ordering::SeqCst);
        counts.made.fetch_add(1, Ordering::SeqCst);
        CountedBuf { bytes, counts }
    }
}

impl Clone for CountedBuf {
    fn clone(&self) -> CountedBuf {
        CountedBuf::counted(Arc::clone(&self.counts), self.bytes.clone())
    }
}

impl Drop for CountedBuf {
    fn drop(&mut self) {
        // More drops than buffers are a buffer that was dropped twice. Inside a panic, a second one would hide the
        // first.
        let live = self.counts.live.fetch_sub(1, Ordering::SeqCst);
        assert!(live > 0 || std::thread::panicking(), "a buffer was dropped twice");
    }
}

#[cfg(test)]
mod tests {
    use std::mem::ManuallyDrop;

    use super::*;

    #[test]
    fn buffers_are_counted_from_making_to_drop() {
        let buffers = LiveBuffers::new();
        let first = buffers.buffer(vec![1, 2, 3]);
        let second = CountedBuf::new(&buffers.clone(), Vec::new());
        let third = first.clone();
        assert_eq!((buffers.live(), buffers.made()), (3, 3));
        drop(second);
        assert_eq!(third.into_vec(), [1, 2, 3]);
        assert_eq!((buffers.live(), buffers.made()), (1, 3));
        drop(first);
        assert_eq!((buffers.live(), buffers.made()), (0, 3));
    }

    #[test]
    fn buffer_keeps_its_allocation() {
        let buffers = LiveBuffers::new();
        let bytes = Vec::with_capacity(100);
        let address = bytes.as_ptr();
        let mut buffer = buffers.buffer(bytes);
        buffer.as_mut_vec().extend([7; 100]);
        assert_eq!((buffer.as_vec().as_ptr(), buffer.as_vec().len()), (address, 100));
        let bytes = buffer.into_vec();
        assert_eq!(bytes.as_ptr(), address);
    }

    #[test]
    fn forgotten_buffer_stays_in_the_count() {
        let buffers = LiveBuffers::new();
        // Forgotten as far as the count can see; a leak checker must not find it.
        let forgotten = ManuallyDrop::new(buffers.buffer(Vec::new()));
        assert_eq!((buffers.live(), buffers.made()), (1, 1));
        drop(ManuallyDrop::into_inner(forgotten));
    }

    #[test]
    #[should_panic(expected = "dropped twice")]
    fn buffer_dropped_twice_is_noticed() {
        let buffers = LiveBuffers::new();
        let buffer = buffers.buffer(Vec::new());
        // As if the one drop had been counted already.
        buffers.0.live.fetch_sub(1, Ordering::SeqCst);
        drop(buffer);
    }
}
