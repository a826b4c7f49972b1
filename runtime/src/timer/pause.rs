//! `pause`, `resume`, `advance`: time that a test moves.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use crate::context;
use crate::task::yield_now;
use crate::timer::{Instant, Timer};

/// Stops the clock of this runtime: from now on, [`Instant::now`] shows the same time until [`advance`] moves the clock or
/// [`resume`] lets it run on. For tests.
///
/// While the clock stands, a runtime that has nothing to do moves it by itself to the next deadline. So a test that sleeps
/// for an hour takes no time, and its timers fire one after another, each at exactly its own time. It waits for what
/// [`spawn_blocking`](crate::spawn_blocking) does. Operations that are in flight have a millisecond of real time to complete
/// before the clock moves; what takes longer, and what other threads of yours do, is overtaken by the timers. For whole
/// programs with sockets in made-up time there is the simulated kernel.
///
/// Only this runtime's clock stands: instants of it and of other threads do not compare, neither during the pause nor
/// afterwards. The deadlines within the runtime itself, such as that of a close, go by the same clock.
///
/// # Panics
///
/// Outside a runtime, and where the clock stands already, with the caller's location.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quoit_runtime::timer::{self, Instant};
///
/// quoit_runtime::block_on(async {
///     timer::pause();
///     let start = Instant::now();
///     timer::advance(Duration::from_secs(3600)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
///     timer::resume();
/// });
/// ```
#[track_caller]
pub fn pause() {
    let is_new = context::with(|core| core.timers.pause());
    assert!(is_new, "the clock of this runtime stands already: `pause` was called before");
}

/// Lets the clock of this runtime run on, from where it stands.
///
/// # Panics
///
/// Outside a runtime, and where the clock does not stand, with the caller's location.
///
/// # Examples
///
/// See [`pause`].
#[track_caller]
pub fn resume() {
    let is_new = context::with(|core| core.timers.resume());
    assert!(is_new, "the clock of this runtime does not stand: `pause` was not called before");
}

/// Moves the clock of this runtime, which stands, on by `duration`, all at once.
///
/// Tasks that are ready run first, so that what they wait for is known. Then the clock is moved, and all timers whose
/// deadline has passed fire, in the order of their deadlines, but at the new time: an interval finds that it has missed
/// ticks. The tasks that they wake have been polled once when `advance` answers. To go from deadline to deadline instead,
/// sleep: a clock that stands moves by itself when nothing else is to be done.
///
/// # Cancel safety
///
/// Dropped before it is ready, it may or may not have moved the clock.
///
/// # Panics
///
/// Outside a runtime, and where the clock does not stand.
///
/// # Examples
///
/// See [`pause`].
pub async fn advance(duration: Duration) {
    // The ready tasks start their timers.
    run_ready().await;
    let mut last = context::with(|core| {
        assert!(
            core.timers.clock().stands(),
            "the clock of this runtime does not stand: call `pause` before `advance`"
        );
        core.timers.clock().move_to(Instant::now() + duration);
        Timer::of(Rc::clone(&core.timers), Instant::now())
    });
    // It is in the wheel behind all that is due.
    poll_fn(|cx| last.poll_fired(cx)).await;
    run_ready().await;
}

/// Lets all tasks run that are ready now, which may take several turns.
async fn run_ready() {
    let polls = || context::with(|core| core.executor.counters.polls.get());
    let ready = || context::with(|core| core.executor.ready_count() as u64);
    let end = polls() + ready();
    loop {
        yield_now().await;
        // Places in the queue whose task has gone meanwhile are not polled.
        if polls() >= end || ready() == 0 {
            break;
        }
    }
}
