//! Several computations at once, in one task and in several: what asyncio calls `gather`.
//!
//!     cargo run --example gather

use std::time::Duration;

use quoit::time::sleep;
use quoit::{JoinError, join, spawn, try_join};

/// Multiplies, with a pause before each step, and tells of it.
async fn factorial(name: &'static str, number: u64) -> u64 {
    let mut product = 1;
    for factor in 2..=number {
        sleep(Duration::from_millis(20)).await;
        product *= factor;
        println!("{name}: {factor}! = {product}");
    }
    product
}

/// Fails at once where the number is odd.
async fn half(number: u64) -> Result<u64, String> {
    if number.is_multiple_of(2) { Ok(number / 2) } else { Err(format!("{number} is odd")) }
}

#[quoit::main]
async fn main() -> Result<(), JoinError> {
    // All results, in the order of the arguments, whoever is ready first.
    let (a, b, c) = join!(factorial("a", 2), factorial("b", 3), factorial("c", 4));
    println!("joined: {a}, {b}, {c}");

    // The first error drops the others where they stand.
    let halves = try_join!(half(6), half(7), async { Ok(factorial("dropped", 1000).await) });
    println!("tried: {halves:?}");

    // Tasks run whether or not they are awaited. They are of one thread, so they may share without locks.
    let tasks: Vec<_> = (1..=3).map(|number| spawn(async move { number * number })).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await?;
    }
    println!("tasks: {sum}");
    Ok(())
}
