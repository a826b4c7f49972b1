//! Who holds a mutex, and what of its value is seen.
#![cfg(not(loom))]

mod spawned;

use std::sync::Arc;
use std::task::Poll;

use quoit_sync::{Mutex, MutexGuard, OwnedMutexGuard};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

#[test]
fn lock_is_held_until_the_guard_is_dropped() {
    let mutex = Mutex::new(1);
    let mut waiting = Spawned::new(mutex.lock());
    let Poll::Ready(mut guard) = Spawned::new(mutex.lock()).poll() else { panic!("nobody else") };
    assert!(waiting.poll().is_pending() && mutex.try_lock().is_err());
    *guard += 1;
    drop(guard);
    assert_eq!(waiting.wakes(), 1);
    // Free, but it is the other's turn.
    assert!(mutex.try_lock().is_err());
    let Poll::Ready(guard) = waiting.poll() else { panic!("it was woken for a reason") };
    assert_eq!(*guard, 2);
    assert!(std::ptr::eq(MutexGuard::mutex(&guard), &raw const mutex));
    drop(guard);
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn turn_of_who_is_dropped_passes_to_the_next() {
    let mutex = Mutex::new(());
    let guard = mutex.try_lock().expect("nobody else");
    let [mut first, mut second, mut third] = [(); 3].map(|()| Spawned::new(mutex.lock()));
    assert!(first.poll().is_pending() && second.poll().is_pending() && third.poll().is_pending());
    drop(second);
    drop(guard);
    assert_eq!((first.wakes(), third.wakes()), (1, 0));
    drop(first);
    assert_eq!(third.wakes(), 1);
    assert!(third.poll().is_ready());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn owned_guard_keeps_the_mutex() {
    let mutex = Arc::new(Mutex::new(vec![1]));
    let mut guard = mutex.clone().try_lock_owned().expect("nobody else");
    assert!(mutex.clone().try_lock_owned().is_err());
    let mut waiting = Spawned::new(mutex.clone().lock_owned());
    assert!(waiting.poll().is_pending());
    guard.push(2);
    assert!(Arc::ptr_eq(OwnedMutexGuard::mutex(&guard), &mutex));
    std::thread::spawn(move || drop(guard)).join().expect("no panic");
    let Poll::Ready(guard) = waiting.poll() else { panic!("it was woken for a reason") };
    drop(waiting);
    let weak = Arc::downgrade(&mutex);
    drop(mutex);
    assert_eq!(*guard, [1, 2]);
    drop(guard);
    assert!(weak.upgrade().is_none());
    assert_eq!(*Arc::new(Mutex::new(7)).blocking_lock_owned(), 7);
}

#[test]
fn value_may_be_unsized() {
    let mutex: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2, 3]));
    mutex.try_lock().expect("nobody else").reverse();
    let guard = mutex.try_lock_owned().expect("nobody else");
    assert_eq!(&*guard, [3, 2, 1]);
}

#[test]
fn panic_under_the_lock_unlocks_it() {
    let mutex = Arc::new(Mutex::new(1));
    let other = mutex.clone();
    let result = std::thread::spawn(move || {
        let mut guard = other.blocking_lock();
        *guard = 2;
        panic!("as it was told");
    })
    .join();
    assert!(result.is_err());
    assert_eq!(*mutex.try_lock().expect("it is unlocked"), 2);
}

#[test]
fn forgotten_guard_keeps_it_locked_but_not_from_its_owner() {
    let mut mutex = Mutex::new(1);
    std::mem::forget(mutex.try_lock());
    assert!(mutex.try_lock().is_err());
    *mutex.get_mut() += 1;
    assert_eq!(mutex.into_inner(), 2);
}

#[test]
fn threads_and_cancelled_locks_lose_no_write() {
    let mutex = Mutex::new(0_usize);
    let written: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut written = 0;
                    for n in 0..2_000 {
                        if n % 3 == 0 {
                            // Polled once, and dropped wherever that left it.
                            if let Poll::Ready(mut guard) = Spawned::new(mutex.lock()).poll() {
                                *guard += 1;
                                written += 1;
                            }
                        } else {
                            *mutex.blocking_lock() += 1;
                            written += 1;
                        }
                    }
                    written
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert!(written >= 4 * 1_333);
    assert_eq!(mutex.into_inner(), written);
}

#[test]
fn mutex_prints_its_value_or_that_it_is_locked() {
    let mutex = Mutex::from(1);
    assert_eq!(format!("{mutex:?}"), "Mutex { data: 1 }");
    let guard = mutex.try_lock().expect("nobody else");
    assert_eq!(format!("{mutex:?} {guard:?} {guard}"), "Mutex { data: <locked> } 1 1");
    assert_eq!(mutex.try_lock().expect_err("it is locked").to_string(), "operation would block");
    assert_eq!(format!("{:?}", Mutex::<u8>::default()), "Mutex { data: 0 }");
}
