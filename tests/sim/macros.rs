//! `#[quoit::test]` on the simulated kernel.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use quoit::sim;
use quoit::time::{Instant, sleep};

thread_local! {
    static RUNS: Cell<u64> = const { Cell::new(0) };
}

#[quoit::test(kernel = "sim", seed = 7)]
async fn an_hour_takes_no_time() -> io::Result<()> {
    let start = Instant::now();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3600));
    assert!(sim::is_simulated());
    Ok(())
}

#[quoit::test(kernel = "sim", seeds = 20)]
async fn a_body_runs_once_for_each_seed() {
    RUNS.set(RUNS.get() + 1);
    assert!(RUNS.get() <= 20);
    sleep(Duration::from_secs(1)).await;
}

#[quoit::test(kernel = "sim", seeds = 20)]
#[should_panic(expected = "seed 0 fails: too bad\n    it is repeated by: QUOIT_SEED=0 ")]
async fn a_failure_names_its_seed_and_the_command_that_repeats_it() {
    panic!("too bad");
}

#[quoit::test(kernel = "sim", seeds = 3)]
#[should_panic(expected = "seed 0 fails: the test has returned a failure")]
async fn an_error_that_is_returned_is_a_failure() -> io::Result<()> {
    Err(io::ErrorKind::Other.into())
}
