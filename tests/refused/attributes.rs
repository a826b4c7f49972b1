//! What people get wrong about the attributes, and what they are told.

#[quoit::main]
fn not_async() {}

#[quoit::main]
async fn with_arguments(address: String) {}

#[quoit::main(flavor = "multi_thread")]
async fn unknown_option() {}

#[quoit::main(threads = 0)]
async fn no_threads() {}

#[quoit::main(kernel = "sim")]
async fn simulated() {}

#[quoit::test(seed = 7)]
async fn seed_without_a_world() {}

#[quoit::test(kernel = "sim", seed = 7, seeds = 100)]
async fn one_seed_and_many() {}

#[quoit::test(kernel = uring)]
async fn without_quotes() {}

fn main() {}
