//! What `#[quoit::main]` and `#[quoit::test]` expand to.

use std::future::Future;
use std::process::{ExitCode, Termination, exit};

pub use quoit_macros::select;
pub use quoit_runtime::random::below as random_below;
pub use quoit_runtime::task::poll_budget;

use crate::{Builder, KernelKind, Runtime, Workers, sim};

/// Runs a program. Where the kernel refuses a ring, the diagnosis goes to standard error, and the exit code is 1.
pub fn main<F: Future>(kernel: Option<&'static str>, future: F) -> F::Output {
    match settings(kernel).build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => {
            eprintln!("quoit: {error}");
            exit(1)
        }
    }
}

/// As [`main`], on the first of a set of threads.
pub fn main_on_threads<F: Future>(threads: usize, kernel: Option<&'static str>, future: F) -> F::Output {
    match Workers::builder().threads(threads).runtime(&settings(kernel)).block_on(future) {
        Ok(output) => output,
        Err(error) => {
            eprintln!("quoit: {error}");
            exit(1)
        }
    }
}

/// Runs a test on the first of a set of threads.
///
/// # Panics
///
/// As the test does; and where the kernel refuses a ring.
pub fn test_on_threads<F: Future>(threads: usize, kernel: Option<&'static str>, body: F) -> F::Output {
    match Workers::builder().threads(threads).runtime(&settings(kernel)).block_on(body) {
        Ok(output) => output,
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// The options of `#[quoit::test]`.
#[derive(Debug)]
pub struct TestOptions {
    /// The kernel to run on.
    pub kernel: Option<&'static str>,
    /// The seed of a simulated kernel.
    pub seed: Option<u64>,
    /// How many seeds to try.
    pub seeds: Option<u64>,
}

/// Runs a test, on a runtime of its own.
///
/// # Panics
///
/// As the test does; where the kernel refuses a ring; and where the runtime could not be shut down cleanly.
pub fn test<F: Future>(options: TestOptions, body: impl Fn() -> F) -> F::Output {
    debug_assert!(options.seed.is_none() && options.seeds.is_none(), "seeds are for `simulate`: {options:?}");
    match settings(options.kernel).build() {
        Ok(runtime) => runtime.block_on(body()),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// Runs a test in simulated worlds.
///
/// # Panics
///
/// As the test does, or where it returns a failure; the text names the seed where there are several.
pub fn simulate<F: Future<Output: Termination>>(options: TestOptions, body: impl Fn() -> F) {
    let run = || async {
        let code = body().await.report();
        assert!(code == ExitCode::SUCCESS, "the test has returned a failure");
    };
    match options.seeds {
        Some(count) => sim::check(0..count, run),
        None => sim::run(options.seed.unwrap_or_default(), run()),
    }
}

/// The settings of a runtime on the kernel of this name.
fn settings(kernel: Option<&'static str>) -> Builder {
    let kernel = match kernel {
        None => KernelKind::Auto,
        Some("uring") => KernelKind::IoUring,
        Some("epoll") => KernelKind::Epoll,
        Some(name) => unreachable!("the macro hands on no kernel of the name {name}"),
    };
    let mut settings = Runtime::builder();
    settings.kernel(kernel);
    settings
}
