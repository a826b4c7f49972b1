//! What threads, pins and panics may do with the types, and how they print.
#![cfg(not(loom))]

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use futures_core::Stream;

use quoit_sync::mpsc::error::{SendError, TryRecvError, TrySendError};
use quoit_sync::{
    Condvar, MappedMutexGuard, Mutex, MutexGuard, Notified, Notify, OwnedMappedMutexGuard, OwnedMutexGuard,
    OwnedNotified, OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, RwLock, RwLockMappedWriteGuard, RwLockReadGuard,
    RwLockWriteGuard, SetOnce, WaitGroup, WaitGuard, broadcast, local, mpsc, oneshot,
};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Sendable, but not to be shared: the channels must not ask for more.
type OnlySend = Cell<u8>;

fn send_sync<T: Send + Sync>() {}
fn send<T: Send>(_: T) {}
fn unpin<T: Unpin>() {}
fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
fn stream<S: Stream<Item = Rc<u8>>>() {}
fn error<E: std::error::Error>() {}

#[test]
fn halves_are_send_and_sync_if_the_message_is_send() {
    send_sync::<oneshot::Sender<OnlySend>>();
    send_sync::<oneshot::Receiver<OnlySend>>();
    send_sync::<mpsc::Sender<OnlySend>>();
    send_sync::<mpsc::WeakSender<OnlySend>>();
    send_sync::<mpsc::Receiver<OnlySend>>();
    send_sync::<mpsc::Permit<'_, OnlySend>>();
    send_sync::<mpsc::OwnedPermit<OnlySend>>();
    send_sync::<mpsc::UnboundedSender<OnlySend>>();
    send_sync::<mpsc::WeakUnboundedSender<OnlySend>>();
    send_sync::<mpsc::UnboundedReceiver<OnlySend>>();
    send_sync::<Notify>();
    send_sync::<Notified<'_>>();
}

/// Whether a type is `Send`, and whether it is `Sync`: an inherent constant hides the trait's where its bound holds.
macro_rules! crosses {
    ($type:ty) => {{
        #[allow(dead_code, reason = "used where the bound does not hold")]
        trait No {
            const SEND: bool = false;
            const SYNC: bool = false;
        }
        impl<T: ?Sized> No for T {}
        struct IsSend<T: ?Sized>(std::marker::PhantomData<T>);
        struct IsSync<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "used where the bound holds")]
        impl<T: ?Sized + Send> IsSend<T> {
            const SEND: bool = true;
        }
        #[allow(dead_code, reason = "used where the bound holds")]
        impl<T: ?Sized + Sync> IsSync<T> {
            const SYNC: bool = true;
        }
        (<IsSend<$type>>::SEND, <IsSync<$type>>::SYNC)
    }};
}

#[test]
fn local_things_stay_on_their_thread() {
    assert_eq!(crosses!(u8), (true, true), "the table can tell");
    assert_eq!(crosses!(OnlySend), (true, false));
    assert_eq!(crosses!(local::oneshot::Sender<u8>), (false, false));
    assert_eq!(crosses!(local::oneshot::Receiver<u8>), (false, false));
    assert_eq!(crosses!(local::mpsc::Sender<u8>), (false, false));
    assert_eq!(crosses!(local::mpsc::WeakSender<u8>), (false, false));
    assert_eq!(crosses!(local::mpsc::Receiver<u8>), (false, false));
    assert_eq!(crosses!(local::mpsc::UnboundedSender<u8>), (false, false));
    assert_eq!(crosses!(local::mpsc::UnboundedReceiver<u8>), (false, false));
    assert_eq!(crosses!(local::mpsc::Permit<'_, u8>), (false, false));
    assert_eq!(crosses!(local::mpsc::OwnedPermit<u8>), (false, false));
    assert_eq!(crosses!(local::Mutex<u8>), (false, false));
    assert_eq!(crosses!(local::MutexGuard<'_, u8>), (false, false));
    assert_eq!(crosses!(local::OwnedMutexGuard<u8>), (false, false));
    assert_eq!(crosses!(local::RwLock<u8>), (false, false));
    assert_eq!(crosses!(local::RwLockReadGuard<'_, u8>), (false, false));
    assert_eq!(crosses!(local::RwLockWriteGuard<'_, u8>), (false, false));
    assert_eq!(crosses!(local::Semaphore), (false, false));
    assert_eq!(crosses!(local::SemaphorePermit<'_>), (false, false));
    assert_eq!(crosses!(local::OwnedSemaphorePermit), (false, false));
    assert_eq!(crosses!(local::Notify), (false, false));
    assert_eq!(crosses!(local::Notified<'_>), (false, false));
    assert_eq!(crosses!(local::Event), (false, false));
    assert_eq!(crosses!(local::WaitGroup), (false, false));
    assert_eq!(crosses!(local::WaitGuard), (false, false));
}

#[test]
fn what_threads_share_crosses_them_as_its_value_may() {
    assert_eq!(crosses!(Mutex<OnlySend>), (true, true));
    assert_eq!(crosses!(Mutex<Rc<u8>>), (false, false));
    assert_eq!(crosses!(MutexGuard<'_, OnlySend>), (true, false));
    assert_eq!(crosses!(MutexGuard<'_, u8>), (true, true));
    assert_eq!(crosses!(MappedMutexGuard<'_, Rc<u8>>), (false, false));
    assert_eq!(crosses!(MappedMutexGuard<'_, OnlySend>), (true, false));
    assert_eq!(crosses!(OwnedMutexGuard<OnlySend>), (true, false));
    assert_eq!(crosses!(OwnedMappedMutexGuard<Rc<u8>, u8>), (false, false));
    assert_eq!(crosses!(RwLock<OnlySend>), (true, false));
    assert_eq!(crosses!(RwLock<u8>), (true, true));
    assert_eq!(crosses!(RwLockReadGuard<'_, OnlySend>), (false, false));
    assert_eq!(crosses!(RwLockReadGuard<'_, u8>), (true, true));
    assert_eq!(crosses!(RwLockWriteGuard<'_, OnlySend>), (false, false));
    assert_eq!(crosses!(RwLockMappedWriteGuard<'_, Rc<u8>>), (false, false));
    assert_eq!(crosses!(OwnedRwLockReadGuard<OnlySend, u8>), (false, false));
    assert_eq!(crosses!(OwnedRwLockMappedWriteGuard<u8>), (true, true));
    assert_eq!(crosses!(oneshot::Sender<Rc<u8>>), (false, false));
    assert_eq!(crosses!(mpsc::Sender<Rc<u8>>), (false, false));
    assert_eq!(crosses!(mpsc::PermitIterator<'_, OnlySend>), (true, true));
    assert_eq!(crosses!(broadcast::WeakSender<OnlySend>), (true, true));
    assert_eq!(crosses!(SetOnce<OnlySend>), (true, false));
    assert_eq!(crosses!(OwnedNotified), (true, true));
    assert_eq!(crosses!(Condvar), (true, true));
    assert_eq!(crosses!(WaitGroup), (true, true));
    assert_eq!(crosses!(WaitGuard), (true, true));
}

#[test]
fn futures_are_send_if_the_message_is() {
    let (tx, mut rx) = mpsc::channel(1);
    send(tx.send(OnlySend::new(1)));
    send(tx.reserve());
    send(tx.clone().reserve_owned());
    send(tx.closed());
    send(rx.recv());
    send(rx.recv_many(&mut Vec::new(), 1));
    let (mut tx, _rx) = oneshot::channel::<OnlySend>();
    send(tx.closed());
}

#[test]
fn halves_may_be_moved_whatever_the_message() {
    unpin::<oneshot::Receiver<std::marker::PhantomPinned>>();
    unpin::<mpsc::Receiver<std::marker::PhantomPinned>>();
    unwind_safe::<mpsc::Sender<Cell<u8>>>();
    unwind_safe::<mpsc::Receiver<Cell<u8>>>();
    unwind_safe::<Notify>();
    stream::<mpsc::Receiver<Rc<u8>>>();
    stream::<mpsc::UnboundedReceiver<Rc<u8>>>();
    error::<SendError<Rc<u8>>>();
    error::<TrySendError<*const u8>>();
}

#[test]
fn errors_tell_what_is_wrong() {
    assert_eq!(SendError(1).to_string(), "channel closed");
    assert_eq!(format!("{:?}", SendError(1)), "SendError { .. }");
    assert_eq!(TrySendError::Full(1).to_string(), "no available capacity");
    assert_eq!(TrySendError::Closed(1).to_string(), "channel closed");
    assert_eq!(format!("{:?}", TrySendError::Full(1)), "\"Full(..)\"");
    assert_eq!(TrySendError::from(SendError(4)), TrySendError::Closed(4));
    assert_eq!(TrySendError::Full(5).into_inner(), 5);
    assert_eq!(TryRecvError::Empty.to_string(), "receiving on an empty channel");
    assert_eq!(TryRecvError::Disconnected.to_string(), "receiving on a closed channel");
}

#[test]
fn halves_print_without_a_printable_message() {
    struct Silent;
    let (tx, rx) = mpsc::channel::<Silent>(2);
    assert!(tx.try_send(Silent).is_ok());
    let expected = "Sender { channel: Channel { capacity: Bounded(2), len: 1, closed: false, senders: 1, .. } }";
    assert_eq!(format!("{tx:?}"), expected);
    assert!(format!("{rx:?} {:?} {:?}", tx.downgrade(), tx.try_reserve()).contains("Permit { sender: Sender"));
    let (tx, rx) = mpsc::unbounded_channel::<Silent>();
    assert!(format!("{tx:?} {rx:?} {:?}", tx.downgrade()).contains("capacity: Unbounded"));
    let (tx, rx) = oneshot::channel::<Silent>();
    assert_eq!(
        format!("{tx:?} {rx:?}"),
        "Sender { closed: false, .. } Receiver { terminated: false, empty: true, .. }"
    );
    assert!(format!("{:?}", Notify::new().notified()).starts_with("Notified { stage: Created"));
}

#[test]
fn channel_without_room_panics_where_it_is_made() {
    let place = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let seen = place.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        *seen.lock().expect("no panic here") = panic.location().map(|l| l.file().to_owned()).unwrap_or_default();
    }));
    let result = std::panic::catch_unwind(|| mpsc::channel::<u8>(0));
    std::panic::set_hook(before);
    assert!(result.is_err());
    assert!(place.lock().expect("no panic there").ends_with("bounds.rs"));
}
