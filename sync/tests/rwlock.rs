//! Who reads and who writes under a read-write lock.
#![cfg(not(loom))]

mod spawned;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use quoit_sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

#[test]
fn readers_share_and_a_writer_is_alone() {
    let lock = RwLock::new(1);
    let readers = (lock.try_read().expect("nobody writes"), lock.try_read().expect("nobody writes"));
    assert!(lock.try_write().is_err());
    assert_eq!((*readers.0, *readers.1), (1, 1));
    drop(readers);
    let mut writer = lock.try_write().expect("nobody else");
    *writer = 2;
    assert!(lock.try_read().is_err() && lock.try_write().is_err());
    drop(writer);
    assert_eq!(*lock.try_read().expect("nobody writes"), 2);
}

#[test]
fn reader_behind_a_waiting_writer_waits() {
    let lock = RwLock::new(0);
    let reader = lock.try_read().expect("nobody writes");
    let mut writing = Spawned::new(lock.write());
    assert!(writing.poll().is_pending());
    let mut reading = [(); 3].map(|()| Spawned::new(lock.read()));
    assert!(reading.iter_mut().all(|reading| reading.poll().is_pending()));
    assert!(lock.try_read().is_err());
    drop(reader);
    assert_eq!((writing.wakes(), reading.each_ref().map(Spawned::wakes)), (1, [0; 3]));
    let Poll::Ready(mut writer) = writing.poll() else { panic!("it was woken for a reason") };
    *writer = 1;
    drop(writer);
    assert_eq!(reading.each_ref().map(Spawned::wakes), [1; 3]);
    let readers = reading.each_mut().map(Spawned::poll);
    assert!(readers.iter().all(|reader| matches!(reader, Poll::Ready(reader) if **reader == 1)));
}

#[test]
fn dropped_writer_lets_the_readers_behind_it_pass() {
    let lock = RwLock::new(0);
    let reader = lock.try_read().expect("nobody writes");
    let mut writing = Spawned::new(lock.write());
    let mut reading = Spawned::new(lock.read());
    assert!(writing.poll().is_pending() && reading.poll().is_pending());
    drop(writing);
    assert_eq!(reading.wakes(), 1);
    assert!(reading.poll().is_ready());
    drop(reader);
    assert!(lock.try_write().is_ok());
}

#[test]
fn downgraded_writer_lets_readers_in_but_no_writer() {
    let lock = RwLock::new(0);
    let mut writer = lock.try_write().expect("nobody else");
    let mut reading = Spawned::new(lock.read());
    let mut writing = Spawned::new(lock.write());
    assert!(reading.poll().is_pending() && writing.poll().is_pending());
    *writer = 1;
    let reader = writer.downgrade();
    assert_eq!((reading.wakes(), writing.wakes()), (1, 0));
    let Poll::Ready(other) = reading.poll() else { panic!("it was woken for a reason") };
    assert_eq!((*reader, *other), (1, 1));
    drop(reader);
    assert_eq!(writing.wakes(), 0);
    drop(other);
    assert_eq!(writing.wakes(), 1);
    assert!(writing.poll().is_ready());
}

#[test]
fn owned_guards_keep_the_lock() {
    let lock = Arc::new(RwLock::new(1));
    let mut writer = lock.clone().try_write_owned().expect("nobody else");
    assert!(lock.clone().try_read_owned().is_err() && lock.clone().try_write_owned().is_err());
    let mut reading = Spawned::new(lock.clone().read_owned());
    let mut writing = Spawned::new(lock.clone().write_owned());
    assert!(reading.poll().is_pending() && writing.poll().is_pending());
    assert!(Arc::ptr_eq(OwnedRwLockWriteGuard::rwlock(&writer), &lock));
    *writer = 2;
    let reader = writer.downgrade();
    let Poll::Ready(other) = reading.poll() else { panic!("nobody writes") };
    assert!(Arc::ptr_eq(OwnedRwLockReadGuard::rwlock(&other), &lock));
    std::thread::spawn(move || drop((reader, other))).join().expect("no panic");
    let Poll::Ready(writer) = writing.poll() else { panic!("nobody reads") };
    drop((reading, writing));
    let weak = Arc::downgrade(&lock);
    drop(lock);
    assert_eq!(*writer, 2);
    drop(writer);
    assert!(weak.upgrade().is_none());
}

#[test]
fn readers_are_as_many_as_was_said() {
    let lock = RwLock::with_max_readers((), 2);
    let readers = (lock.try_read(), lock.try_read());
    assert!(readers.0.is_ok() && readers.1.is_ok() && lock.try_read().is_err());
    drop(readers);
    assert!(lock.try_write().is_ok());
    for count in [0, u32::MAX] {
        assert!(std::panic::catch_unwind(|| RwLock::with_max_readers((), count)).is_err());
    }
    static TWO: RwLock<u8> = RwLock::const_with_max_readers(1, 2);
    assert_eq!(*TWO.blocking_read() + *TWO.blocking_read(), 2);
}

#[test]
fn owner_needs_no_lock_and_values_may_be_unsized() {
    let mut lock = RwLock::from([1, 2]);
    std::mem::forget(lock.try_write());
    lock.get_mut()[0] = 3;
    assert_eq!(lock.into_inner(), [3, 2]);
    let lock: Box<RwLock<[u8]>> = Box::new(RwLock::new([1, 2]));
    lock.try_write().expect("nobody else").reverse();
    assert_eq!(&*lock.try_read().expect("nobody writes"), [2, 1]);
}

#[test]
fn threads_see_whole_writes_only() {
    let lock = RwLock::new((0_usize, 0_usize));
    let reads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..1_000 {
                    let mut writer = lock.blocking_write();
                    writer.0 += 1;
                    writer.1 += 1;
                    if n % 2 == 0 {
                        let reader = writer.downgrade();
                        assert_eq!(reader.0, reader.1);
                    }
                    drop(Spawned::new(lock.write()).poll());
                }
            });
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let reader = lock.blocking_read();
                    assert_eq!(reader.0, reader.1);
                    reads.fetch_add(1, Ordering::SeqCst);
                    drop(Spawned::new(lock.read()).poll());
                }
            });
        }
    });
    assert_eq!((lock.into_inner(), reads.into_inner()), ((2_000, 2_000), 2_000));
}

#[test]
fn lock_prints_its_value_or_that_it_is_locked() {
    let lock = RwLock::<u8>::default();
    let reader = lock.try_read().expect("nobody writes");
    assert_eq!(format!("{lock:?} {reader:?} {reader}"), "RwLock { data: 0 } 0 0");
    drop(reader);
    let writer = lock.try_write().expect("nobody else");
    assert_eq!(format!("{lock:?} {writer:?} {writer}"), "RwLock { data: <locked> } 0 0");
}
