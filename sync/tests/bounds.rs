//! What threads, pins and panics may do with the types, and how they print.
#![cfg(not(loom))]

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use futures_core::Stream;

use quoit_sync::mpsc::error::{SendError, TryRecvError, TrySendError};
use quoit_sync::{Notified, Notify, mpsc, oneshot};

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
