//! A group of tasks: the first result, all results, and none of them left behind.
//!
//!     cargo run --example wait_group

use std::time::Duration;

use quoit::task::{self, JoinSet};
use quoit::time::{sleep, timeout};

/// Takes so many milliseconds, and tells of its end, whichever it is.
struct Job {
    name: &'static str,
    is_done: bool,
}

impl Job {
    async fn run(name: &'static str, millis: u64) -> &'static str {
        let mut job = Job { name, is_done: false };
        sleep(Duration::from_millis(millis)).await;
        job.is_done = true;
        name
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        println!("{}: {}", self.name, if self.is_done { "done" } else { "cancelled" });
    }
}

#[quoit::main]
async fn main() {
    // One after another, as they end.
    let mut group = JoinSet::new();
    for (name, millis) in [("slow", 200), ("quick", 1), ("middle", 100)] {
        group.spawn(Job::run(name, millis));
    }
    while let Some(ended) = group.join_next().await {
        println!("joined {}, {} left", ended.expect("no panic"), group.len());
    }

    // All of them, in whatever order they end.
    for number in [3, 1, 2] {
        group.spawn(Job::run(["one", "two", "three"][number - 1], number as u64 * 50));
    }
    println!("joined {:?}", group.join_all().await);

    // A scope that leaves nobody behind: here is the last result that was wanted, and the rest is cancelled and waited for.
    let first = task::with(
        JoinSet::new(),
        async |group| {
            group.spawn(Job::run("endless", 3_600_000));
            group.spawn(Job::run("first", 1));
            group.join_next().await
        },
        async |mut group, _outcome| group.shutdown().await,
    )
    .await;
    println!("joined {:?}", first.expect("there are two").expect("no panic"));

    // Also where nobody waits for the scope any more.
    let scope = task::with(
        JoinSet::new(),
        async |group| {
            group.spawn(Job::run("left behind", 3_600_000));
            group.join_next().await
        },
        async |mut group, outcome| {
            println!("{outcome:?}");
            group.shutdown().await;
        },
    );
    println!("timed out: {}", timeout(Duration::from_millis(20), scope).await.is_err());
    while quoit::metrics().tasks > 0 {
        task::yield_now().await;
    }
}
