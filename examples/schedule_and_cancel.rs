//! A task in the background, and its end before its time.
//!
//!     cargo run --example schedule_and_cancel

use std::time::Duration;

use quoit::time::{interval, sleep};
use quoit::{on_complete, spawn};

/// Tells that it was dropped, whatever the reason.
struct Guard(&'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        println!("{}: dropped", self.0);
    }
}

#[quoit::main]
async fn main() {
    // It begins to run at the next await of ours, and goes on until it is cancelled.
    let ticking = spawn(async {
        let _guard = Guard("ticking");
        let mut ticks = interval(Duration::from_secs(3600));
        loop {
            ticks.tick().await;
            println!("ticking: tick");
        }
    });
    sleep(Duration::from_millis(20)).await;

    // Waits until its future is gone. There was no output.
    println!("ticking: {:?}", ticking.cancel().await);

    // One that is only told to end, and asked later.
    let aborted = spawn(sleep(Duration::from_secs(3600)));
    aborted.abort();
    let error = aborted.await.expect_err("it was aborted");
    println!("aborted: is_cancelled = {}", error.is_cancelled());

    // One that ends with the scope that holds it.
    let scoped = spawn(async {
        let _guard = Guard("scoped");
        sleep(Duration::from_secs(3600)).await;
    })
    .abort_on_drop();
    sleep(Duration::from_millis(1)).await;
    println!("scoped: is_finished = {}", scoped.is_finished());
    drop(scoped);

    // With a callback instead of an await; the handle only waits for it.
    let called = on_complete(async { 6 * 7 }, |answer| println!("callback: {answer}"));
    called.await.expect("no panic");
}
