//! Where a `select!` may stand, and what may be handed to it: macros, generics, traits, branches that never end.

use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::time::Duration;

use quoit::task::yield_now;
use quoit::time::{Instant, sleep};

/// The parts of a branch as a macro of the user's holds them.
macro_rules! select_one {
    ($pattern:pat = $future:expr, $guard:expr, $handler:expr, $block:block) => {
        quoit::select! {
            $pattern = $future, if $guard => $handler,
            $pattern = $future, if !$guard => $block
            else => unreachable!("it matches"),
        }
    };
}

#[quoit::test]
async fn parts_come_through_macros() {
    for (guard, expected) in [(true, 3), (false, 4)] {
        assert_eq!(select_one!(Some(1 | 2) = ready(Some(2)), guard, 1 + 2, { 2 + 2 }), expected);
    }
    macro_rules! select_named {
        ($name:ident, $future:expr) => {
            quoit::select! { $name = $future => $name, }
        };
    }
    assert_eq!(select_named!(number, ready(1)), 1);
}

async fn first<T>(one: impl Future<Output = T>, mut other: impl Future<Output = T> + Unpin) -> T {
    quoit::select! {
        biased;
        output = &mut other => output,
        output = one => output,
    }
}

trait Racer {
    async fn race(&mut self) -> u32;
}

struct Counter(u32);

impl Racer for Counter {
    async fn race(&mut self) -> u32 {
        quoit::select! {
            () = yield_now() => { self.0 += 1; self.0 }
            () = async { pending::<()>().await; self.0 += 10 } => unreachable!("it is never ready"),
        }
    }
}

#[quoit::test]
async fn it_stands_in_generic_functions_traits_closures_and_blocks() {
    assert_eq!(first(ready(1), pin!(ready(2))).await, 2);
    let boxed: Pin<Box<dyn Future<Output = u32>>> = Box::pin(pending());
    assert_eq!(first(ready(1), boxed).await, 1);
    assert_eq!(Counter(0).race().await, 1);

    let mut sum = 0;
    let mut closure = async |number: u32| quoit::select! { () = ready(()) => sum += number };
    closure(1).await;
    closure(2).await;
    assert_eq!(sum, 3);

    let block = async move {
        quoit::select! { () = ready(()) => sum, }
    };
    assert_eq!(quoit::spawn(block).await.expect("no panic"), 3);
}

#[quoit::test]
async fn branches_without_end_are_no_unreachable_code() {
    let number = quoit::select! {
        never = async { loop { yield_now().await; } } => never,
        _ = async { if true { pending::<std::convert::Infallible>().await } else { unreachable!() } } => 0,
        () = yield_now() => 1,
    };
    assert_eq!(number, 1);
}

#[quoit::test]
async fn a_guard_reads_what_its_future_borrows_mutably() {
    let mut timer = pin!(sleep(Duration::from_millis(1)));
    let mut polls = 0;
    while !timer.is_elapsed() {
        quoit::select! {
            () = &mut timer, if !timer.is_elapsed() => {}
            () = sleep(Duration::from_secs(3600)), if timer.deadline() < Instant::now() + Duration::from_secs(60) => {}
        }
        polls += 1;
    }
    assert_eq!(polls, 1);
}

#[quoit::test]
async fn several_futures_share_what_they_only_read() {
    let list = vec![1, 2, 3];
    let sum = quoit::select! {
        sum = async { list.iter().sum::<i32>() } => sum,
        sum = async { list.iter().rev().sum::<i32>() }, if list.len() == 3 => sum,
    };
    drop(list);
    assert_eq!(sum, 6);
}

#[quoit::test]
async fn a_statement_needs_neither_value_nor_semicolon() {
    let mut taken = 0;
    quoit::select! { () = ready(()) => taken += 1 }
    quoit::select!(() = ready(()) => taken += 1);
    quoit::select! { () = ready(()) => { taken += 1 }, };
    quoit::select! {
        () = ready(()) => { taken += 1 }
        else => { taken += 10 }
    }
    assert_eq!(taken, 4);
}
