//! Streams that are written as one `async` block.
//!
//!     cargo run --example generator

use std::time::Duration;

use futures_util::StreamExt as _;
use quoit::stream::{Generator, generator, generator_with};
use quoit::time::sleep;

/// Lazy: it computes a number when it is asked for one.
fn fibonacci() -> Generator<u64> {
    generator(|co| async move {
        let (mut a, mut b) = (0, 1);
        loop {
            co.yield_(a).await;
            (a, b) = (b, a + b);
        }
    })
}

/// It may wait for anything between two values.
fn countdown(from: u32) -> Generator<u32> {
    generator(move |co| async move {
        for number in (1..=from).rev() {
            co.yield_(number).await;
            sleep(Duration::from_millis(10)).await;
        }
        println!("lift-off");
    })
}

#[quoit::main]
async fn main() {
    let numbers: Vec<u64> = fibonacci().take(10).collect().await;
    println!("{numbers:?}");

    let mut numbers = countdown(3);
    while let Some(number) = numbers.next().await {
        println!("{number}");
    }

    // Each value that goes in gives the next one out: the average of all so far.
    let mut average = generator_with(|co, first: f64| async move {
        let (mut sum, mut count) = (first, 1.0);
        loop {
            sum += co.yield_(sum / count).await;
            count += 1.0;
        }
    });
    for number in [10.0, 20.0, 60.0] {
        println!("{number} makes {:?}", average.resume(number).await);
    }
}
