//! What is counted rather than timed: system calls and instructions, by tools that run the server.
//!
//! Each counts two loads of different size: the difference has neither the start of the server nor its end nor the opening of
//! connections in it.

mod callgrind;
mod stat;

use std::io;

use crate::figures::Figure;
use crate::modes::Mode;
use crate::servers::Server;

pub(crate) trait Counter {
    /// The name of the tool.
    fn name(&self) -> &'static str;

    fn figure(&self) -> Figure;

    /// Whether the tool is installed, may do what it does, and is understood.
    fn works(&self) -> bool;

    /// Whether it has something to say of this server in this mode.
    fn is_for(&self, mode: &Mode, server: &Server) -> bool;

    /// What a request costs, by loads divided by `divisor`.
    fn per_request(&self, server: &Server, mode: &Mode, divisor: u64) -> io::Result<f64>;
}

/// The counters that work, one for each figure.
pub(crate) fn counters() -> Vec<&'static dyn Counter> {
    let choices: [[&'static dyn Counter; 2]; 2] =
        [[&stat::PERF_CALLS, &stat::STRACE_CALLS], [&stat::PERF_INSTRUCTIONS, &callgrind::Callgrind]];
    choices.into_iter().filter_map(|choices| choices.into_iter().find(|counter| counter.works())).collect()
}
