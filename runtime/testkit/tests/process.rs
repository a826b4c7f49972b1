//! What a process holds. One test, because another one at the same time would be counted, too.

use std::fs::File;
use std::net::TcpListener;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Barrier;
use std::thread;

use quoit_testkit::{FdCount, open_fds, rss_bytes, threads};

#[test]
fn what_is_opened_started_and_touched_is_counted() {
    descriptors_are_counted_and_compared();
    descriptor_opened_in_place_of_another_is_noticed();
    threads_are_counted();
    memory_is_counted();
}

fn descriptors_are_counted_and_compared() {
    let before = FdCount::now();
    assert_eq!(open_fds(), before.count());
    before.assert_same();
    let file = File::open("/dev/null").expect("/dev/null is there");
    let socket = TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    assert_eq!(open_fds(), before.count() + 2);
    let message = message_of(|| before.assert_same());
    assert_eq!(message.lines().count(), 3, "{message}");
    assert!(message.contains("-> /dev/null") && message.contains("-> socket:["), "{message}");
    assert_eq!(message.matches("opened: ").count(), 2, "{message}");
    let with_both = FdCount::now();
    drop(file);
    let message = message_of(|| with_both.assert_same());
    assert!(message.contains("closed: ") && message.contains("-> /dev/null"), "{message}");
    drop(socket);
    before.assert_same();
}

fn descriptor_opened_in_place_of_another_is_noticed() {
    let file = File::open("/dev/null").expect("/dev/null is there");
    let before = FdCount::now();
    drop(file);
    // The lowest free number is taken again: the count is the same.
    let other = File::open("/dev/zero").expect("/dev/zero is there");
    assert_eq!(open_fds(), before.count());
    let message = message_of(|| before.assert_same());
    assert!(message.contains("replaced: ") && message.contains("/dev/null is now /dev/zero"), "{message}");
    drop(other);
}

fn threads_are_counted() {
    let before = threads();
    let end = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| end.wait());
        }
        assert_eq!(threads(), before + 3);
        end.wait();
    });
}

fn memory_is_counted() {
    const BYTES: u64 = 64 * 1024 * 1024;
    let before = rss_bytes();
    assert!(before > 0);
    let touched = vec![1_u8; BYTES as usize];
    let grown = rss_bytes() - before;
    // The kernel counts in batches of pages, and the harness may have touched some, too.
    assert!((BYTES - BYTES / 8..BYTES + BYTES / 8).contains(&grown), "{grown}");
    assert_eq!(touched.iter().map(|&byte| u64::from(byte)).sum::<u64>(), BYTES);
}

/// The message of the panic that `assertion` must end in.
fn message_of(assertion: impl FnOnce()) -> String {
    let panic = panic::catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion fails");
    *panic.downcast::<String>().expect("a formatted message")
}
