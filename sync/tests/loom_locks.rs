//! Every interleaving of the races for permits and locks.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p quoit-sync --release --test loom_locks`
#![cfg(loom)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use quoit_sync::{Barrier, Condvar, Mutex, OnceCell, RwLock, Semaphore, WaitGroup};

/// Explores with as many preemptions as find the bugs of such code, and ends in seconds.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(run);
}

/// Polls once, and drops the future and what it was given wherever that left it.
fn poll_and_drop(future: impl Future) {
    let _dropped = pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn semaphore_release_reaches_who_waits() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = semaphore.clone();
        let adder = thread::spawn(move || {
            other.add_permits(1);
            other.add_permits(1);
        });
        let permit = block_on(semaphore.acquire_many(2)).expect("nobody closes it");
        assert_eq!(permit.num_permits(), 2);
        adder.join().unwrap();
        drop(permit);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn semaphore_permit_of_a_dropped_acquire_passes_on() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.clone().try_acquire_owned().expect("a permit");
        let dropper = semaphore.clone();
        let threads = [thread::spawn(move || poll_and_drop(dropper.acquire())), thread::spawn(move || drop(held))];
        drop(block_on(semaphore.acquire()).expect("nobody closes it"));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn semaphore_large_request_that_is_dropped_gives_all_back() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let dropper = semaphore.clone();
        let thread = thread::spawn(move || poll_and_drop(dropper.acquire_many(2)));
        drop(block_on(semaphore.acquire()).expect("nobody closes it"));
        thread.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn semaphore_close_and_release_agree() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (adder, closer) = (semaphore.clone(), semaphore.clone());
        let threads = [thread::spawn(move || adder.add_permits(1)), thread::spawn(move || closer.close())];
        let got = block_on(semaphore.acquire()).map(|permit| permit.forget()).is_ok();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available_permits(), usize::from(!got));
    });
}

/// Adds one in two steps: a second one between them is lost, and so is an earlier one that the lock has not made visible.
fn add_one(count: &AtomicUsize) {
    let seen = count.load(Ordering::Relaxed);
    count.store(seen + 1, Ordering::Relaxed);
}

#[test]
fn mutex_lends_to_one_at_a_time_who_sees_the_last() {
    model(|| {
        let mutex = Arc::new(Mutex::new(AtomicUsize::new(0)));
        let threads = [(); 2].map(|()| {
            let mutex = mutex.clone();
            thread::spawn(move || add_one(&block_on(mutex.lock())))
        });
        add_one(&block_on(mutex.lock()));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(mutex.try_lock().expect("all are gone").load(Ordering::Relaxed), 3);
    });
}

#[test]
fn mutex_turn_of_a_dropped_lock_passes_on() {
    model(|| {
        let mutex = Arc::new(Mutex::new(AtomicUsize::new(0)));
        let (dropper, other) = (mutex.clone(), mutex.clone());
        let threads = [
            thread::spawn(move || poll_and_drop(dropper.lock())),
            thread::spawn(move || add_one(&other.blocking_lock())),
        ];
        add_one(&block_on(mutex.lock()));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(mutex.try_lock().expect("all are gone").load(Ordering::Relaxed), 2);
    });
}

#[test]
fn mutex_try_lock_sees_the_last() {
    model(|| {
        let mutex = Arc::new(Mutex::new(AtomicUsize::new(0)));
        let other = mutex.clone();
        let thread = thread::spawn(move || other.try_lock_owned().map(|count| add_one(&count)).is_ok());
        let mine = mutex.try_lock().map(|count| add_one(&count)).is_ok();
        let theirs = thread.join().unwrap();
        assert!(mine || theirs);
        let count = mutex.try_lock().expect("all are gone").load(Ordering::Relaxed);
        assert_eq!(count, usize::from(mine) + usize::from(theirs));
    });
}

#[test]
fn rwlock_reader_sees_a_whole_write_or_none() {
    model(|| {
        let lock = Arc::new(RwLock::new((AtomicUsize::new(0), AtomicUsize::new(0))));
        let (writer, reader) = (lock.clone(), lock.clone());
        let threads = [
            thread::spawn(move || {
                let guard = block_on(writer.write());
                add_one(&guard.0);
                add_one(&guard.1);
                let guard = guard.downgrade();
                assert_eq!(guard.0.load(Ordering::Relaxed), 1);
            }),
            thread::spawn(move || {
                let guard = block_on(reader.read());
                assert_eq!(guard.0.load(Ordering::Relaxed), guard.1.load(Ordering::Relaxed));
            }),
        ];
        poll_and_drop(lock.write());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(lock.try_write().expect("all are gone").1.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn barrier_has_one_leader() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let thread = thread::spawn(move || block_on(other.wait()).is_leader());
        let mine = block_on(barrier.wait()).is_leader();
        assert_ne!(mine, thread.join().unwrap());
    });
}

#[test]
fn once_cell_makes_one_value_though_a_maker_is_dropped() {
    model(|| {
        let cell = Arc::new(OnceCell::new());
        let (dropper, other) = (cell.clone(), cell.clone());
        let threads = [
            thread::spawn(move || {
                poll_and_drop(dropper.get_or_init(std::future::pending));
                0
            }),
            thread::spawn(move || *block_on(other.get_or_init(|| async { 1 }))),
        ];
        let mine = *block_on(cell.get_or_init(|| async { 2 }));
        let [_, theirs] = threads.map(|thread| thread.join().unwrap());
        assert_eq!((cell.get(), theirs), (Some(&mine), mine));
    });
}

#[test]
fn condvar_notification_is_not_missed_between_unlocking_and_waiting() {
    model(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let other = pair.clone();
        let notifier = thread::spawn(move || {
            *block_on(other.0.lock()) = true;
            other.1.notify_one();
        });
        assert!(*block_on(async { pair.1.wait_while(pair.0.lock().await, |set| !*set).await }));
        notifier.join().unwrap();
    });
}

#[test]
fn condvar_notification_of_who_gives_up_passes_on() {
    model(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let (giving_up, other) = (pair.clone(), pair.clone());
        let gives_up = thread::spawn(move || {
            let mut waits = Box::pin(async { drop(giving_up.1.wait(giving_up.0.lock().await).await) });
            let poll = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            drop(waits);
            // What reached it in its only poll it hands on itself.
            if poll.is_ready() {
                giving_up.1.notify_one();
            }
        });
        let notifier = thread::spawn(move || {
            *block_on(other.0.lock()) += 1;
            other.1.notify_one();
        });
        let guard = block_on(async { pair.1.wait_while(pair.0.lock().await, |count| *count == 0).await });
        assert_eq!(*guard, 1);
        drop(guard);
        gives_up.join().unwrap();
        notifier.join().unwrap();
    });
}

#[test]
fn wait_group_sees_the_last_go() {
    model(|| {
        let group = WaitGroup::new();
        let threads = [group.add(), group.add()].map(|working| thread::spawn(move || drop(working)));
        block_on(group.wait());
        assert_eq!(group.count(), 0);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
