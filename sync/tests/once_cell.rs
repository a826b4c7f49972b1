//! Who makes the value of a cell, and what the others see.
#![cfg(not(loom))]

mod spawned;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use quoit_sync::{Notify, OnceCell, SetError};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

#[test]
fn value_is_made_once() {
    let cell = OnceCell::new();
    let made = Cell::new(0);
    for _ in 0..3 {
        let mut get = Spawned::new(cell.get_or_init(|| async {
            made.set(made.get() + 1);
            made.get()
        }));
        assert_eq!(get.poll(), Poll::Ready(&1));
    }
    assert_eq!((made.get(), cell.get(), cell.initialized()), (1, Some(&1), true));
}

#[test]
fn who_comes_while_it_is_made_waits_and_makes_none() {
    let (cell, ready) = (OnceCell::new(), Notify::new());
    let mut maker = Spawned::new(cell.get_or_init(|| async {
        ready.notified().await;
        1
    }));
    let mut others = [(); 3].map(|()| Spawned::new(cell.get_or_init(|| async { panic!("it is made already") })));
    assert!(maker.poll().is_pending());
    assert!(others.iter_mut().all(|other| other.poll().is_pending()));
    assert_eq!((cell.get(), cell.initialized()), (None, false));
    assert_eq!(cell.set(2), Err(SetError::InitializingError(2)));
    ready.notify_one();
    assert_eq!(maker.poll(), Poll::Ready(&1));
    for other in &mut others {
        assert_eq!((other.wakes(), other.poll()), (1, Poll::Ready(&1)));
    }
    assert_eq!(cell.set(3), Err(SetError::AlreadyInitializedError(3)));
}

#[test]
fn turn_of_a_dropped_maker_passes_to_the_next() {
    let cell = OnceCell::new();
    let mut maker = Spawned::new(cell.get_or_init(std::future::pending));
    let mut dropped = Spawned::new(cell.get_or_init(|| async { 1 }));
    let mut next = Spawned::new(cell.get_or_init(|| async { 2 }));
    assert!(maker.poll().is_pending() && dropped.poll().is_pending() && next.poll().is_pending());
    drop(maker);
    assert_eq!((dropped.wakes(), next.wakes()), (1, 0));
    drop(dropped);
    assert_eq!((next.wakes(), next.poll()), (1, Poll::Ready(&2)));
}

#[test]
fn turn_of_a_maker_that_fails_or_panics_passes_to_the_next() {
    let (cell, ready) = (OnceCell::new(), Notify::new());
    let mut fails = Spawned::new(cell.get_or_try_init(|| async {
        ready.notified().await;
        Err("no")
    }));
    let mut panics = Spawned::new(cell.get_or_init(|| async { panic!("as it was told") }));
    let mut makes = Spawned::new(cell.get_or_try_init(|| async { Ok::<_, ()>(1) }));
    assert!(fails.poll().is_pending() && panics.poll().is_pending() && makes.poll().is_pending());
    ready.notify_one();
    assert_eq!(fails.poll(), Poll::Ready(Err("no")));
    assert_eq!((panics.wakes(), makes.wakes()), (1, 0));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panics.poll())).is_err());
    assert_eq!((makes.wakes(), makes.poll()), (1, Poll::Ready(Ok(&1))));
}

#[test]
fn value_may_be_set_changed_and_taken() {
    let mut cell = OnceCell::default();
    assert_eq!(cell.get_mut(), None);
    assert_eq!(cell.set(1), Ok(()));
    *cell.get_mut().expect("it is set") += 1;
    let copy = cell.clone();
    assert_eq!([cell.take(), cell.take()], [Some(2), None]);
    assert!(!cell.initialized());
    assert_ne!(cell, copy);
    assert_eq!(Spawned::new(cell.get_or_init(|| async { 2 })).poll(), Poll::Ready(&2));
    assert_eq!(cell, copy);
    assert_eq!((cell.into_inner(), OnceCell::<u8>::new().into_inner()), (Some(2), None));
    assert_eq!(copy.set(1), Err(SetError::AlreadyInitializedError(1)));
    assert_eq!((OnceCell::new_with(None::<u8>).get(), OnceCell::new_with(Some(1)).get()), (None, Some(&1)));
}

#[test]
fn value_is_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let cell = OnceCell::new();
    assert!(cell.set(Counted(drops.clone())).is_ok());
    drop(cell.set(Counted(drops.clone())));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    drop(cell);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn threads_agree_on_one_value() {
    static CELL: OnceCell<usize> = OnceCell::const_new();
    let made = AtomicUsize::new(0);
    let seen: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let made = &made;
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                    *runtime.block_on(CELL.get_or_init(|| async {
                        made.fetch_add(1, Ordering::SeqCst);
                        n
                    }))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(made.into_inner(), 1);
    assert!(seen.iter().all(|n| Some(n) == CELL.get()));
}

#[test]
fn errors_tell_what_is_wrong() {
    let (set, being_made) = (SetError::AlreadyInitializedError(1), SetError::InitializingError(1));
    assert!(set.is_already_init_err() && !set.is_initializing_err());
    assert!(being_made.is_initializing_err() && !being_made.is_already_init_err());
    assert_eq!(format!("{set} {being_made}"), "AlreadyInitializedError InitializingError");
    assert_eq!(format!("{:?}", OnceCell::from(1)), "OnceCell { value: Some(1) }");
}
