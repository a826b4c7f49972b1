//! Programmer errors panic, and say where.

use std::cell::RefCell;
use std::future::ready;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Once;
use std::time::Duration;

use futures_util::stream;
use quoit_time::{Instant, StreamExt as _, interval, interval_at, sleep, sleep_until, timeout, timeout_at};

use crate::{SHORT, block_on};

#[test]
fn outside_a_runtime_the_panic_names_the_caller() {
    let calls: [(fn(), u32); 8] = [
        (|| drop(sleep(SHORT)), line!()),
        (|| drop(sleep_until(Instant::NEVER)), line!()),
        (|| drop(timeout(SHORT, ready(()))), line!()),
        (|| drop(timeout_at(Instant::NEVER, ready(()))), line!()),
        (|| drop(stream::empty::<()>().timeout(SHORT)), line!()),
        (|| drop(stream::empty::<()>().throttle(SHORT)), line!()),
        (|| drop(interval(SHORT)), line!()),
        (|| drop(interval_at(Instant::NEVER, SHORT)), line!()),
    ];
    for (call, expected_line) in calls {
        let (message, file, line) = panic_of(call);
        assert_eq!((file.as_str(), line), (file!(), expected_line), "{message}");
        assert!(message.contains("runtime"), "{message}");
    }
}

#[test]
fn a_period_of_zero_panics_at_the_caller() {
    block_on(async {
        let (message, file, line) = panic_of(|| interval(Duration::ZERO));
        assert_eq!((file.as_str(), line), (file!(), line!() - 1), "{message}");
        let (message, file, line) = panic_of(|| interval_at(Instant::now(), Duration::ZERO));
        assert_eq!((file.as_str(), line), (file!(), line!() - 1), "{message}");
        assert!(message.contains("period"));
    });
}

/// The message and the place of the panic of `f`, which has to panic.
fn panic_of<T>(f: impl FnOnce() -> T) -> (String, String, u32) {
    thread_local! {
        static PLACE: RefCell<Option<(String, u32)>> = const { RefCell::new(None) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place: &Location<'_>| (place.file().to_owned(), place.line()));
            PLACE.set(place);
            default(info);
        }));
    });
    let payload = panic::catch_unwind(AssertUnwindSafe(f)).err().expect("the call panics");
    let (file, line) = PLACE.take().expect("the hook saw the panic");
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("the panic has a message")).to_owned(),
    };
    (message, file, line)
}
