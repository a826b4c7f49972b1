//! Many worlds, one a seed; and how a failure is told, so that it can be repeated.

use std::any::Any;
use std::env;
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::sim::run;

/// Runs a future in one world after another, one for each seed. Where the environment names a seed (`QUOIT_SEED=17`), in that
/// one only.
///
/// # Panics
///
/// At the first seed that makes the future panic, or as [`run`] does: the text names the seed, and the command that repeats
/// it. Where `QUOIT_SEED` is no number.
///
/// # Examples
///
/// ```
/// quoit_runtime::sim::check(0..10, || async {
///     quoit_runtime::task::yield_now().await;
/// });
/// ```
#[track_caller]
pub fn check<M, F>(seeds: Range<u64>, make: M)
where
    M: Fn() -> F,
    F: Future,
{
    for seed in named_seed().map_or(seeds, |seed| seed..seed.saturating_add(1)) {
        if let Some(text) = fails(seed, &make) {
            panic!("seed {seed} fails: {text}\n    it is repeated by: {}", command(seed));
        }
    }
}

/// Runs a future in the world of one seed, and tells what it panicked with, if it did.
///
/// # Examples
///
/// ```
/// use quoit_runtime::sim;
///
/// assert_eq!(sim::fails(7, || async { 6 * 7 }), None);
/// ```
pub fn fails<M, F>(seed: u64, make: M) -> Option<String>
where
    M: Fn() -> F,
    F: Future,
{
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(run(seed, make()))));
    outcome.err().map(|payload| text_of(&*payload))
}

/// The seed that the environment names.
fn named_seed() -> Option<u64> {
    let text = env::var(VARIABLE).ok().filter(|text| !text.is_empty())?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match number {
        Ok(seed) => Some(seed),
        Err(error) => panic!("{VARIABLE}={text}: {error}; it takes a number, decimal or after 0x"),
    }
}

/// How to run what runs now with this seed alone.
fn command(seed: u64) -> String {
    let mut arguments = env::args();
    let program = arguments.next().unwrap_or_default();
    // Under the test harness a thread has the name of its test.
    match thread::current().name() {
        Some("main") | None => {
            let rest: Vec<String> = arguments.collect();
            format!("{VARIABLE}={seed} {program} {}", rest.join(" ")).trim_end().to_owned()
        }
        Some(test) => format!("{VARIABLE}={seed} {program} --exact {test}"),
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::from("a panic without a text"),
    }
}

/// Names the one seed to run.
const VARIABLE: &str = "QUOIT_SEED";
