//! The inbox, by itself.

use std::panic::Location;

use super::*;
use crate::task::RemoteCell;

#[test]
fn every_place_has_a_group_of_its_own() {
    let mut expected = 0;
    for bucket in 0..4_usize {
        for offset in 0..1_usize << bucket {
            assert_eq!(place(expected), (bucket, offset));
            assert_eq!(place(expected + GROUP - 1), (bucket, offset));
            expected += GROUP;
        }
    }
    assert!(place((1 << 28) - 1).0 < BUCKETS);
}

#[test]
fn what_was_woken_is_drained_once_each() {
    let remote = Remote::new();
    remote.grow_to(20_000);
    let indexes = [0, 1, 63, 64, 4095, 4096, 12_287, 12_288, 20_000];
    for _ in 0..3 {
        indexes.iter().for_each(|index| remote.wake(*index));
    }
    assert!(remote.is_pending());
    let mut woken = Vec::new();
    remote.drain(|index| woken.push(index));
    assert_eq!(woken, indexes);
    assert!(!remote.is_pending());
    remote.drain(|index| panic!("{index} was woken once only"));
}

#[test]
fn a_message_to_a_runtime_that_is_gone_is_dropped() {
    let remote = Remote::new();
    remote.grow_to(FIRST_TASK);
    remote.abort(2, Id::next());
    assert!(remote.take_messages().is_empty());
    assert!(!remote.is_pending());
}

#[test]
fn work_for_one_runtime_never_reaches_the_next_one_of_its_place() {
    let remote = Remote::new();
    remote.grow_to(FIRST_TASK);
    remote.open(crate::sys::event::event().expect("a descriptor"));
    let first = remote.tenant();
    let work = || {
        let cell =
            RemoteCell::<()>::new(Id::next(), Location::caller(), Box::new(|_| unreachable!("nobody begins it")));
        (Queued::new(&cell), cell)
    };
    let (queued, unread) = work();
    remote.begin(first, queued);
    assert!(!unread.has_ended());
    assert_eq!((remote.load(), remote.is_pending()), (1, true));
    remote.close();
    assert!(unread.has_ended(), "what was not read is refused");
    remote.open(crate::sys::event::event().expect("a descriptor"));
    let (queued, late) = work();
    remote.begin(first, queued);
    assert!(late.has_ended());
    assert_eq!((remote.load(), remote.is_pending(), remote.take_messages().len()), (0, false, 0));
    let (queued, welcome) = work();
    remote.begin(remote.tenant(), queued);
    assert!(!welcome.has_ended());
    assert_eq!((remote.load(), remote.take_messages().len()), (1, 1));
}
