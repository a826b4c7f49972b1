//! Threads, lifetimes and wakers that try the locks: what they may hold, and code of theirs that comes back.
#![cfg(not(loom))]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};

use quoit_sync::{
    Barrier, Mutex, MutexGuard, OnceCell, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
    OwnedSemaphorePermit, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit,
};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Sendable, but not to be shared.
type OnlySend = Cell<u8>;

/// Neither.
type Neither = std::rc::Rc<u8>;

fn send_sync<T: Send + Sync>() {}
fn send<T: Send>() {}
fn send_value<T: Send>(_: T) {}
fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

/// Whether a type meets a bound, as a value: where it does, the inherent constant hides the trait's.
macro_rules! is {
    ($bound:ident, $type:ty) => {{
        #[allow(dead_code, reason = "hidden where the bound holds")]
        trait No {
            const IS: bool = false;
        }
        impl<T: ?Sized> No for T {}
        struct Asked<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "hidden where the bound does not hold")]
        impl<T: ?Sized + $bound> Asked<T> {
            const IS: bool = true;
        }
        <Asked<$type>>::IS
    }};
}

#[test]
fn locks_are_shared_as_their_values_allow() {
    send_sync::<Semaphore>();
    send_sync::<SemaphorePermit<'_>>();
    send_sync::<OwnedSemaphorePermit>();
    send_sync::<Barrier>();
    send_sync::<Mutex<OnlySend>>();
    send_sync::<RwLock<u8>>();
    send_sync::<OnceCell<u8>>();
    send_sync::<MutexGuard<'_, u8>>();
    send_sync::<OwnedMutexGuard<u8>>();
    send_sync::<RwLockReadGuard<'_, u8>>();
    send_sync::<RwLockWriteGuard<'_, u8>>();
    send_sync::<OwnedRwLockReadGuard<u8>>();
    send_sync::<OwnedRwLockWriteGuard<u8>>();
    send::<MutexGuard<'_, OnlySend>>();
    send::<OwnedMutexGuard<OnlySend>>();
    send::<RwLock<OnlySend>>();
    unwind_safe::<Semaphore>();
    unwind_safe::<Barrier>();
}

#[test]
fn locks_are_shared_no_further() {
    assert!(is!(Sync, Mutex<OnlySend>) && !is!(Sync, Mutex<Neither>) && !is!(Send, Mutex<Neither>));
    assert!(!is!(Sync, MutexGuard<'_, OnlySend>) && !is!(Sync, OwnedMutexGuard<OnlySend>));
    assert!(!is!(Send, MutexGuard<'_, Neither>) && !is!(Send, OwnedMutexGuard<Neither>));
    assert!(!is!(Sync, RwLock<OnlySend>) && !is!(Sync, RwLock<Neither>) && !is!(Send, RwLock<Neither>));
    assert!(!is!(Send, RwLockReadGuard<'_, OnlySend>) && !is!(Sync, RwLockReadGuard<'_, OnlySend>));
    assert!(!is!(Send, RwLockWriteGuard<'_, OnlySend>) && !is!(Sync, RwLockWriteGuard<'_, OnlySend>));
    assert!(!is!(Send, OwnedRwLockReadGuard<OnlySend>) && !is!(Sync, OwnedRwLockReadGuard<OnlySend>));
    assert!(!is!(Send, OwnedRwLockWriteGuard<OnlySend>) && !is!(Sync, OwnedRwLockWriteGuard<OnlySend>));
    assert!(!is!(Sync, OnceCell<OnlySend>) && !is!(Send, OnceCell<Neither>));
}

#[test]
fn futures_are_send_if_the_value_is() {
    let mutex = Arc::new(Mutex::new(OnlySend::new(1)));
    send_value(mutex.lock());
    send_value(mutex.clone().lock_owned());
    let lock = Arc::new(RwLock::new(1));
    send_value((lock.read(), lock.write()));
    send_value((lock.clone().read_owned(), lock.clone().write_owned()));
    let semaphore = Arc::new(Semaphore::new(1));
    send_value((semaphore.acquire(), semaphore.clone().acquire_owned()));
    send_value(Barrier::new(1).wait());
    send_value(OnceCell::new().get_or_init(|| async { 1 }));
}

#[test]
fn guards_may_live_shorter_than_they_could() {
    fn shorten<'a>(
        mutex: MutexGuard<'static, u8>,
        reader: RwLockReadGuard<'static, u8>,
        local: &'a Mutex<u8>,
    ) -> usize {
        let both: [MutexGuard<'a, u8>; 2] = [mutex, local.try_lock().expect("nobody else")];
        let readers: (RwLockReadGuard<'a, u8>, &'a Mutex<u8>) = (reader, local);
        both.len() + usize::from(*readers.0)
    }
    static MUTEX: Mutex<u8> = Mutex::const_new(1);
    static LOCK: RwLock<u8> = RwLock::const_new(1);
    let local = Mutex::new(1);
    let guards = (MUTEX.blocking_lock(), LOCK.blocking_read());
    assert_eq!(shorten(guards.0, guards.1, &local), 3);
    assert!(MUTEX.try_lock().is_ok() && LOCK.try_write().is_ok() && local.try_lock().is_ok());
}

/// Comes back to the semaphore when it is woken, and when it is dropped.
struct Returns {
    semaphore: OnceLock<Arc<Semaphore>>,
    visits: AtomicUsize,
}

impl Returns {
    fn visit(&self) {
        if let Some(semaphore) = self.semaphore.get() {
            drop(semaphore.try_acquire());
            semaphore.add_permits(0);
            self.visits.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Wake for Returns {
    fn wake(self: Arc<Self>) {
        self.visit();
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        self.visit();
    }
}

#[test]
fn wakers_may_come_back_to_the_semaphore() {
    let semaphore = Arc::new(Semaphore::new(0));
    let waker = || {
        let returns = Arc::new(Returns { semaphore: OnceLock::new(), visits: AtomicUsize::new(0) });
        assert!(returns.semaphore.set(semaphore.clone()).is_ok());
        returns
    };
    let [woken, closed, dropped, replaced] = [(); 4].map(|()| waker());
    let mut served = Box::pin(semaphore.acquire());
    assert!(served.as_mut().poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
    semaphore.add_permits(1);
    assert_eq!(woken.visits.load(Ordering::SeqCst), 1);
    let mut refused = Box::pin(semaphore.acquire_many(2));
    // The last reference to these wakers is the queue's: they are dropped where it lets go of them.
    assert!(refused.as_mut().poll(&mut Context::from_waker(&replaced.into())).is_pending());
    assert!(refused.as_mut().poll(&mut Context::from_waker(&closed.clone().into())).is_pending());
    let mut leaves = Box::pin(semaphore.acquire());
    assert!(leaves.as_mut().poll(&mut Context::from_waker(&dropped.into())).is_pending());
    drop(leaves);
    semaphore.close();
    assert_eq!(closed.visits.load(Ordering::SeqCst), 1);
    drop((served, refused));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn waker_that_panics_keeps_no_permit_from_the_others() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as it was told");
        }
    }
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock().expect("nobody else");
    let mut first = Box::pin(mutex.lock());
    let mut second = Box::pin(mutex.lock());
    assert!(first.as_mut().poll(&mut Context::from_waker(&Arc::new(Panics).into())).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(guard))).is_err());
    assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(first);
    assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(mutex.try_lock().is_ok());
}
