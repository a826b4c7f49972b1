//! Generators: lazy, lossless, and well-defined where they are misused.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use futures_util::stream::{FusedStream as _, FuturesUnordered, Stream as _, StreamExt as _};
use futures_util::{FutureExt as _, join, select_biased};
use quoit_stream::{Generator, generator, generator_with};
use quoit_testkit::{ManualWaker, QuarantineAlloc, allocations_of_this_thread};

#[global_allocator]
static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

/// Pending once, and then ready; it wakes itself.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn poll_next<Y>(generator: &mut Generator<Y>, waker: &ManualWaker) -> Poll<Option<Y>> {
    Pin::new(generator).poll_next(&mut waker.context())
}

/// Runs a future that waits for nothing but itself.
fn run<F: Future>(future: F) -> F::Output {
    let (waker, mut future) = (ManualWaker::new(), pin!(future));
    loop {
        if let Poll::Ready(output) = waker.poll(future.as_mut()) {
            return output;
        }
        assert_ne!(waker.take(), 0, "the future waits for nobody");
    }
}

#[test]
fn nothing_runs_before_the_first_item_is_asked_for_and_no_more_than_is_asked_for() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let body_log = Rc::clone(&log);
    let mut numbers = generator(move |co| {
        body_log.borrow_mut().push("called");
        async move {
            body_log.borrow_mut().push("begun");
            co.yield_(1).await;
            body_log.borrow_mut().push("resumed");
            co.yield_(2).await;
            body_log.borrow_mut().push("ended");
        }
    });
    assert!(log.borrow().is_empty() && !numbers.is_terminated());
    assert_eq!(numbers.size_hint(), (0, None));
    run(async {
        assert_eq!(numbers.next().await, Some(1));
        assert_eq!(*log.borrow(), ["called", "begun"]);
        assert_eq!(numbers.next().await, Some(2));
        assert_eq!(numbers.next().await, None);
        assert_eq!(*log.borrow(), ["called", "begun", "resumed", "ended"]);
        assert!(numbers.is_terminated());
        assert_eq!(numbers.next().await, None);
    });
    assert_eq!(numbers.size_hint(), (0, Some(0)));
    assert_eq!(Rc::strong_count(&log), 1, "the body was dropped when it ended");
}

#[test]
fn a_body_may_await_what_it_likes() {
    let numbers = generator(|co| async move {
        for number in 0..5 {
            for _ in 0..number {
                pause().await;
            }
            co.yield_(number).await;
            pause().await;
        }
    });
    assert_eq!(run(numbers.collect::<Vec<_>>()), [0, 1, 2, 3, 4]);
}

#[test]
fn a_dropped_next_loses_no_item() {
    run(async {
        let mut numbers = generator(|co| async move {
            for number in 0..100 {
                if number % 3 == 0 {
                    pause().await;
                }
                co.yield_(number).await;
            }
        });
        let mut seen = Vec::new();
        let waker = ManualWaker::new();
        loop {
            // Polled once, and dropped.
            match waker.poll(pin!(numbers.next())) {
                Poll::Ready(Some(number)) => seen.push(number),
                Poll::Ready(None) => break,
                Poll::Pending => {}
            }
        }
        assert!(seen.into_iter().eq(0..100));
    });
}

#[test]
fn dropped_midway_it_drops_its_body() {
    let token = Rc::new(());
    let held = Rc::clone(&token);
    let mut numbers = generator(|co| async move {
        let _held = held;
        co.yield_(1).await;
        pending::<()>().await;
    });
    let waker = ManualWaker::new();
    assert_eq!(poll_next(&mut numbers, &waker), Poll::Ready(Some(1)));
    assert_eq!(poll_next(&mut numbers, &waker), Poll::Pending);
    assert_eq!(Rc::strong_count(&token), 2);
    drop(numbers);
    assert_eq!((Rc::strong_count(&token), waker.held()), (1, 0));
    // Never polled, it drops what it would have used.
    let held = Rc::clone(&token);
    drop(generator(|co| async move { co.yield_(held).await }));
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn a_value_goes_in_for_each_one_that_goes_out() {
    run(async {
        let mut echo = generator_with(|co, mut input: String| async move {
            while input != "end" {
                pause().await;
                input = co.yield_(input + "!").await;
            }
        });
        assert_eq!(echo.resume(String::from("a")).await.as_deref(), Some("a!"));
        assert_eq!(echo.resume(String::from("b")).await.as_deref(), Some("b!"));
        assert!(!echo.is_finished());
        assert_eq!(echo.resume(String::from("end")).await, None);
        assert!(echo.is_finished());
        assert_eq!(echo.resume(String::from("c")).await, None);
    });
}

#[test]
fn the_answer_to_a_dropped_resume_is_dropped_and_the_next_one_gets_its_own() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let mut squares = generator_with(move |co, mut input: u32| async move {
        loop {
            log.borrow_mut().push(input);
            pause().await;
            input = co.yield_(input * input).await;
        }
    });
    let waker = ManualWaker::new();
    drop(squares.resume(2));
    assert!(seen.borrow().is_empty(), "not polled, not begun");
    assert!(waker.poll(pin!(squares.resume(3))).is_pending());
    assert_eq!(run(squares.resume(4)), Some(16));
    assert!(waker.poll(pin!(squares.resume(5))).is_pending());
    assert!(waker.poll(pin!(squares.resume(6))).is_pending(), "the body is busy with both, one after the other");
    assert_eq!(run(squares.resume(7)), Some(49));
    assert_eq!(*seen.borrow(), [3, 4, 5, 6, 7]);
}

#[test]
fn an_item_costs_no_allocation() {
    let mut numbers = generator(|co| async move {
        for number in 0.. {
            co.yield_(number).await;
        }
    });
    let waker = ManualWaker::new();
    assert_eq!(poll_next(&mut numbers, &waker), Poll::Ready(Some(0)));
    let before = allocations_of_this_thread();
    for number in 1..1_000 {
        assert_eq!(poll_next(&mut numbers, &waker), Poll::Ready(Some(number)));
    }
    assert_eq!(allocations_of_this_thread(), before);
    assert_eq!(waker.count(), 0, "nobody is woken for what is polled next anyway");
}

#[test]
fn a_yield_that_is_not_awaited_yields_nothing() {
    let numbers = generator(|co| async move {
        drop(co.yield_(1));
        co.yield_(2).await;
    });
    assert_eq!(run(numbers.collect::<Vec<_>>()), [2]);
}

#[test]
fn a_yield_that_is_dropped_before_its_value_is_out_takes_it_back() {
    let value = Rc::new(1);
    let other = Rc::clone(&value);
    let numbers = generator(|co| async move {
        select_biased! {
            () = co.yield_(other).fuse() => unreachable!("it has to wait for its generator"),
            () = ready(()).fuse() => {}
        }
        co.yield_(Rc::new(2)).await;
    });
    assert_eq!(run(numbers.collect::<Vec<_>>()), [Rc::new(2)]);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_yield_that_is_dropped_when_its_value_is_out_loses_its_input_only() {
    let token = Rc::new(());
    let mut numbers = generator_with(|co, _first: Rc<()>| async move {
        let is_out = Cell::new(false);
        let out = std::future::poll_fn(|_| if is_out.replace(true) { Poll::Ready(()) } else { Poll::Pending });
        select_biased! {
            () = out.fuse() => {}
            _input = co.yield_(1).fuse() => unreachable!("the other one is asked first"),
        }
        drop(co.yield_(2).await);
    });
    run(async {
        assert_eq!(numbers.resume(Rc::clone(&token)).await, Some(1));
        assert_eq!(numbers.resume(Rc::clone(&token)).await, Some(2));
        assert_eq!(Rc::strong_count(&token), 1);
        assert_eq!(numbers.resume(Rc::clone(&token)).await, None);
    });
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn two_yields_at_once_panic_and_the_generator_has_ended() {
    let mut numbers = generator(|co| async move {
        join!(co.yield_(1), co.yield_(2));
    });
    let waker = ManualWaker::new();
    let payload = catch_unwind(AssertUnwindSafe(|| poll_next(&mut numbers, &waker))).expect_err("it panics");
    assert!(payload.downcast_ref::<&str>().is_some_and(|text| text.contains("one value at a time")));
    assert_eq!(poll_next(&mut numbers, &waker), Poll::Ready(None));
    assert!(numbers.is_terminated());
}

#[test]
fn a_panic_of_the_body_goes_on_and_ends_the_generator() {
    let token = Rc::new(());
    let held = Rc::clone(&token);
    let mut numbers = generator(|co| async move {
        let _held = held;
        co.yield_(1).await;
        panic!("of the body");
    });
    let waker = ManualWaker::new();
    assert_eq!(poll_next(&mut numbers, &waker), Poll::Ready(Some(1)));
    assert!(catch_unwind(AssertUnwindSafe(|| poll_next(&mut numbers, &waker))).is_err());
    assert_eq!((poll_next(&mut numbers, &waker), Rc::strong_count(&token)), (Poll::Ready(None), 1));
}

#[test]
fn a_forgotten_yield_still_gives_its_value() {
    let mut numbers = generator(|co| async move {
        let mut forgotten = Box::pin(co.yield_(1));
        assert!(ManualWaker::new().poll(forgotten.as_mut()).is_pending());
        std::mem::forget(forgotten);
    });
    let waker = ManualWaker::new();
    assert_eq!(poll_next(&mut numbers, &waker), Poll::Ready(Some(1)));
    assert_eq!(poll_next(&mut numbers, &waker), Poll::Ready(None));
}

#[test]
fn a_yield_inside_of_a_future_that_polls_by_wakers_is_woken() {
    let numbers = generator(|co| async move {
        let co = &co;
        let mut parts = FuturesUnordered::new();
        parts.push(async move {
            for number in 0..3 {
                co.yield_(number).await;
            }
        });
        while let Some(()) = parts.next().await {}
    });
    assert_eq!(run(numbers.collect::<Vec<_>>()), [0, 1, 2]);
}

#[test]
fn generators_nest() {
    fn count(depth: u32) -> Generator<u32> {
        generator(move |co| async move {
            co.yield_(depth).await;
            if depth > 0 {
                let mut inner = Box::pin(count(depth - 1));
                while let Some(number) = inner.next().await {
                    co.yield_(number).await;
                }
            }
        })
    }
    assert_eq!(run(count(20).collect::<Vec<_>>()), (0..=20).rev().collect::<Vec<_>>());
}

#[test]
fn debug_tells_whether_it_has_ended() {
    let mut numbers = generator(|co| async move { co.yield_(1).await });
    assert_eq!(format!("{numbers:?}"), "Generator { is_finished: false, .. }");
    assert_eq!(run(numbers.by_ref().count()), 1);
    assert_eq!(format!("{numbers:?}"), "Generator { is_finished: true, .. }");
}
