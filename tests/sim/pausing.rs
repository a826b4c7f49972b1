//! A clock that is paused inside of a simulation, whose time is made up already.

use std::time::Duration;

use quoit::time::{Instant, advance, pause, resume, sleep};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_paused_clock_of_a_simulated_machine_is_exact_and_runs_on_from_where_it_stood() {
    quoit::sim::run(7, async {
        sleep(HOUR).await;
        pause();
        let start = Instant::now();
        sleep(HOUR).await;
        advance(HOUR).await;
        assert_eq!(start.elapsed(), HOUR * 2);
        resume();
        sleep(HOUR).await;
        assert!(start.elapsed() >= HOUR * 3);
    });
}
