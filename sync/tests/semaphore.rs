//! Who gets the permits of a semaphore, and where they go.
#![cfg(not(loom))]

mod spawned;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use quoit_sync::{Semaphore, SemaphorePermit, TryAcquireError};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

fn granted<'a>(poll: Poll<Result<SemaphorePermit<'a>, quoit_sync::AcquireError>>) -> SemaphorePermit<'a> {
    let Poll::Ready(Ok(permit)) = poll else { panic!("no permit: {poll:?}") };
    permit
}

#[test]
fn permits_go_back_when_they_are_dropped() {
    let semaphore = Semaphore::new(3);
    let one = granted(Spawned::new(semaphore.acquire()).poll());
    let two = granted(Spawned::new(semaphore.acquire_many(2)).poll());
    assert_eq!((one.num_permits(), two.num_permits(), semaphore.available_permits()), (1, 2, 0));
    assert_eq!(semaphore.try_acquire().err(), Some(TryAcquireError::NoPermits));
    drop(one);
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(semaphore.try_acquire_many(2).err(), Some(TryAcquireError::NoPermits));
    drop(two);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn waiters_are_served_in_order_and_woken_once() {
    let semaphore = Semaphore::new(0);
    let mut waiting: Vec<_> = (0..6).map(|_| Spawned::new(semaphore.acquire())).collect();
    assert!(waiting.iter_mut().all(|waiter| waiter.poll().is_pending()));
    semaphore.add_permits(2);
    assert_eq!(waiting.iter().map(Spawned::wakes).collect::<Vec<_>>(), [1, 1, 0, 0, 0, 0]);
    let permits: Vec<_> = waiting.iter_mut().take(2).map(|waiter| granted(waiter.poll())).collect();
    assert_eq!(semaphore.available_permits(), 0);
    drop(permits);
    assert_eq!(waiting.iter().map(Spawned::wakes).collect::<Vec<_>>(), [1, 1, 1, 1, 0, 0]);
    assert!(waiting[5].poll().is_pending());
    drop(waiting);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn large_request_is_not_starved_by_small_ones() {
    let semaphore = Semaphore::new(2);
    let mut large = Spawned::new(semaphore.acquire_many(3));
    assert!(large.poll().is_pending());
    // Two are there, but spoken for.
    assert_eq!(semaphore.available_permits(), 0);
    assert_eq!(semaphore.try_acquire().err(), Some(TryAcquireError::NoPermits));
    assert_eq!(semaphore.forget_permits(2), 0);
    let mut small = Spawned::new(semaphore.acquire());
    assert!(small.poll().is_pending());
    semaphore.add_permits(1);
    assert_eq!((large.wakes(), small.wakes()), (1, 0));
    let permit = granted(large.poll());
    assert_eq!(permit.num_permits(), 3);
    drop(permit);
    assert_eq!(small.wakes(), 1);
    drop(granted(small.poll()));
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn dropped_large_request_lets_the_small_ones_behind_it_pass() {
    let semaphore = Semaphore::new(2);
    let mut large = Spawned::new(semaphore.acquire_many(5));
    let [mut first, mut second, mut third] = [(); 3].map(|()| Spawned::new(semaphore.acquire()));
    for pending in [large.poll().is_pending(), first.poll().is_pending(), second.poll().is_pending()] {
        assert!(pending);
    }
    assert!(third.poll().is_pending());
    drop(large);
    assert_eq!([first.wakes(), second.wakes(), third.wakes()], [1, 1, 0]);
    // Served but never seen: it passes to the next.
    drop(first);
    assert_eq!([second.wakes(), third.wakes()], [1, 1]);
    let permits = (granted(second.poll()), granted(third.poll()));
    assert_eq!(semaphore.available_permits(), 0);
    drop(permits);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn request_for_nothing_waits_for_nobody() {
    let semaphore = Semaphore::new(0);
    let mut waiting = Spawned::new(semaphore.acquire());
    assert!(waiting.poll().is_pending());
    assert_eq!(granted(Spawned::new(semaphore.acquire_many(0)).poll()).num_permits(), 0);
    assert!(semaphore.try_acquire_many(0).is_ok());
    assert_eq!(waiting.wakes(), 0);
    semaphore.close();
    assert_eq!(semaphore.try_acquire_many(0).err(), Some(TryAcquireError::Closed));
    assert!(matches!(waiting.poll(), Poll::Ready(Err(_))));
}

#[test]
fn close_refuses_who_waits_and_who_comes() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().expect("one permit");
    let mut waiting: Vec<_> = (0..6).map(|n| Spawned::new(semaphore.acquire_many(n + 1))).collect();
    assert!(waiting.iter_mut().all(|waiter| waiter.poll().is_pending()));
    assert!(!semaphore.is_closed());
    semaphore.close();
    semaphore.close();
    assert!(semaphore.is_closed());
    for waiter in &mut waiting {
        assert_eq!(waiter.wakes(), 1);
        assert!(matches!(waiter.poll(), Poll::Ready(Err(_))));
    }
    assert!(matches!(Spawned::new(semaphore.acquire()).poll(), Poll::Ready(Err(_))));
    assert_eq!(semaphore.try_acquire().err(), Some(TryAcquireError::Closed));
    drop(held);
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn permit_that_was_not_seen_before_the_close_comes_too_late() {
    let semaphore = Semaphore::new(0);
    let mut waiting = Spawned::new(semaphore.acquire_many(2));
    assert!(waiting.poll().is_pending());
    semaphore.add_permits(2);
    semaphore.close();
    assert!(matches!(waiting.poll(), Poll::Ready(Err(_))));
    drop(waiting);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn permits_merge_split_and_are_forgotten() {
    let semaphore = Arc::new(Semaphore::new(5));
    let mut permit = semaphore.try_acquire_many(3).expect("three permits");
    let part = permit.split(2).expect("two of three");
    assert!(permit.split(2).is_none());
    assert_eq!((permit.num_permits(), part.num_permits()), (1, 2));
    assert!(permit.split(1).is_some(), "nothing is left, the part is dropped");
    assert_eq!((permit.num_permits(), semaphore.available_permits()), (0, 3));
    permit.merge(part);
    assert_eq!(permit.num_permits(), 2);
    permit.forget();
    assert_eq!(semaphore.available_permits(), 3);

    let mut owned = semaphore.clone().try_acquire_owned().expect("a permit");
    owned.merge(semaphore.clone().try_acquire_many_owned(2).expect("two permits"));
    let part = owned.split(1).expect("one of three");
    assert!(owned.split(3).is_none());
    assert!(Arc::ptr_eq(part.semaphore(), &semaphore));
    owned.forget();
    drop(part);
    assert_eq!((semaphore.available_permits(), Arc::strong_count(&semaphore)), (1, 1));
    assert_eq!(semaphore.forget_permits(4), 1);
}

#[test]
fn permits_of_two_semaphores_do_not_merge() {
    let (one, other) = (Semaphore::new(1), Semaphore::new(1));
    let result = std::panic::catch_unwind(|| {
        one.try_acquire().expect("a permit").merge(other.try_acquire().expect("a permit"));
    });
    assert!(result.is_err());
    assert_eq!((one.available_permits(), other.available_permits()), (1, 1));
}

#[test]
fn owned_permits_wait_their_turn_and_keep_the_semaphore() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = semaphore.clone().try_acquire_many_owned(1).expect("one permit");
    let mut dropped = Spawned::new(semaphore.clone().acquire_owned());
    let mut waiting = Spawned::new(semaphore.clone().acquire_many_owned(1));
    assert!(dropped.poll().is_pending() && waiting.poll().is_pending());
    drop(held);
    assert_eq!((dropped.wakes(), waiting.wakes()), (1, 0));
    drop(dropped);
    assert_eq!(waiting.wakes(), 1);
    let Poll::Ready(Ok(permit)) = waiting.poll() else { panic!("it was woken for a reason") };
    drop(waiting);
    let weak = Arc::downgrade(&semaphore);
    drop(semaphore);
    assert_eq!(permit.semaphore().available_permits(), 0);
    drop(permit);
    assert!(weak.upgrade().is_none());
}

#[test]
fn permits_beyond_the_maximum_panic_and_the_semaphore_stays_whole() {
    let result = std::panic::catch_unwind(|| Semaphore::new(Semaphore::MAX_PERMITS + 1));
    assert!(result.is_err());
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    for surplus in [1, usize::MAX] {
        assert!(std::panic::catch_unwind(|| semaphore.add_permits(surplus)).is_err());
        assert_eq!(semaphore.available_permits(), Semaphore::MAX_PERMITS);
    }
    // What goes to a waiter does not count.
    let semaphore = Semaphore::new(0);
    let mut waiting = Spawned::new(semaphore.acquire_many(2));
    assert!(waiting.poll().is_pending());
    semaphore.add_permits(Semaphore::MAX_PERMITS + 2);
    assert_eq!(semaphore.available_permits(), Semaphore::MAX_PERMITS);
    granted(waiting.poll()).forget();
}

#[test]
fn poll_with_another_waker_wakes_that_one() {
    struct Wakes(AtomicUsize);
    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let semaphore = Semaphore::new(0);
    let mut waiting = Box::pin(semaphore.acquire());
    let wakes = [(); 2].map(|()| Arc::new(Wakes(AtomicUsize::new(0))));
    for waker in wakes.iter().cloned().map(Waker::from) {
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&wakes[0]), 1, "the first waker is gone");
    semaphore.add_permits(1);
    assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(Ordering::SeqCst)), [0, 1]);
    drop(granted(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
}

#[test]
fn threads_wait_for_each_other() {
    let semaphore = Semaphore::new(2);
    let busy = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (semaphore, busy) = (&semaphore, &busy);
            scope.spawn(move || {
                for _ in 0..500 {
                    let permit =
                        if thread == 0 { semaphore.blocking_acquire_many(2) } else { semaphore.blocking_acquire() };
                    let count = permit.as_ref().expect("nobody closes it").num_permits();
                    let before = busy.fetch_add(count, Ordering::SeqCst);
                    assert!(before + count <= 2);
                    busy.fetch_sub(count, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn errors_tell_what_is_wrong() {
    let semaphore = Semaphore::new(0);
    assert_eq!(TryAcquireError::NoPermits.to_string(), "no permits available");
    assert!(format!("{semaphore:?}").starts_with("Semaphore { permits: Permits { available: 0, closed: false"));
    semaphore.close();
    assert_eq!(semaphore.blocking_acquire().expect_err("closed").to_string(), "semaphore closed");
    assert_eq!(TryAcquireError::Closed.to_string(), "semaphore closed");
}
