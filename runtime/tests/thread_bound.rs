//! What is bound to a thread is touched there only, and dropped there or not at all.

mod support;

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread;

use quoit_runtime::{ThreadBound, spawn};
use support::{OnDrop, alone, end_idle, runtime};

fn asks_for_send_and_sync<T: Send + Sync + 'static>(value: T) -> T {
    value
}

/// Runs code on another thread; where it panics, the file and the line.
fn location_of_panic_elsewhere(code: impl FnOnce() + Send + 'static) -> Option<(String, u32)> {
    static SEEN: Mutex<Option<(String, u32)>> = Mutex::new(None);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        *SEEN.lock().unwrap() = info.location().map(|location| (location.file().to_owned(), location.line()));
    }));
    let result = thread::spawn(code).join();
    std::panic::set_hook(before);
    result.err().and_then(|_| SEEN.lock().unwrap().take())
}

#[test]
fn a_value_is_there_on_its_own_thread_and_a_panic_at_the_callers_line_elsewhere() {
    let alone = alone();
    let here = Location::caller().file().to_owned();
    let mut bound = asks_for_send_and_sync(ThreadBound::new(Rc::new(Cell::new(1))));
    bound.get().set(2);
    bound.get_mut().set(3);
    assert_eq!((bound.try_get().unwrap().get(), bound.is_here()), (3, true));
    assert_eq!(format!("{bound:?}"), "ThreadBound(Cell { value: 3 })");
    let bound: &'static ThreadBound<_> = Box::leak(Box::new(bound));
    let elsewhere = thread::spawn(move || (bound.is_here(), bound.try_get().is_none(), format!("{bound:?}")));
    let (is_here, is_none, text) = elsewhere.join().unwrap();
    assert!(!is_here && is_none && text.starts_with("ThreadBound(of ThreadId("), "{text}");
    let got = location_of_panic_elsewhere(move || bound.get().set(9));
    assert_eq!(got, Some((here.clone(), line!() - 1)));
    assert_eq!(bound.get().get(), 3);
    let mut own = ThreadBound::new(Rc::new(()));
    let got = location_of_panic_elsewhere(move || drop(Rc::clone(own.get_mut())));
    assert_eq!(got, Some((here.clone(), line!() - 1)));
    let own = ThreadBound::new(Rc::new(()));
    let got = location_of_panic_elsewhere(move || drop(own.into_inner()));
    assert_eq!(got, Some((here, line!() - 1)));
    alone.end();
}

#[test]
fn a_destructor_runs_once_on_its_own_thread_and_never_elsewhere() {
    let alone = alone();
    let drops = Rc::new(Cell::new(0));
    let counted = || {
        let drops = Rc::clone(&drops);
        ThreadBound::new(OnDrop(move || drops.set(drops.get() + 1)))
    };
    drop(counted());
    assert_eq!(drops.get(), 1);
    let back = thread::spawn({
        let bound = counted();
        move || bound
    });
    drop(back.join().unwrap());
    assert_eq!(drops.get(), 2);
    drop(counted().into_inner());
    assert_eq!(drops.get(), 3);
    let lost = counted();
    thread::spawn(move || drop(lost)).join().unwrap();
    assert_eq!((drops.get(), Rc::strong_count(&drops)), (3, 2));
    alone.end();
}

#[test]
fn a_future_is_polled_on_its_own_thread() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let local = Rc::new(7);
        let future = asks_for_send_and_sync(ThreadBound::new(async move {
            quoit_runtime::task::yield_now().await;
            *local
        }));
        assert_eq!(spawn(future).await.unwrap(), 7);
    });
    let future = ThreadBound::new(async {});
    let got = location_of_panic_elsewhere(move || quoit_runtime::block_on(future));
    assert!(got.is_some());
    end_idle(runtime);
    alone.end();
}
