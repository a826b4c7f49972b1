//! Work that would hold up a runtime's thread, done beside it: `spawn_blocking`.
use std::time::Duration;

use quoit::task::JoinSet;

#[quoit::main]
async fn main() -> std::io::Result<()> {
    // The runtime goes on meanwhile: this task ticks while numbers are searched on other threads.
    let ticking = quoit::spawn(async {
        for tick in 1.. {
            quoit::time::sleep(Duration::from_millis(20)).await;
            println!("tick {tick}");
        }
    });
    let mut searching = JoinSet::new();
    for first in [1_000_000_u64, 2_000_000, 3_000_000] {
        searching.spawn_blocking(move || (first, (first..).find(|number| is_prime(*number))));
    }
    while let Some(found) = searching.join_next().await {
        let (first, prime) = found?;
        println!("the first prime from {first} on: {}", prime.expect("there are infinitely many"));
    }

    // A panic is an error of its handle, and harms nobody else.
    let broken = quoit::spawn_blocking(|| -> u32 { "no number".parse().expect("a number") });
    println!("{}", broken.await.expect_err("it panicked"));
    ticking.cancel().await;
    Ok(())
}

/// The slow way.
fn is_prime(number: u64) -> bool {
    number > 1 && (2..number).all(|divisor| !number.is_multiple_of(divisor))
}
