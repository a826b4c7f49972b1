//! Runs a scenario a number of times, for `.ci/instructions` to count what one time takes.
//!
//!     quoit-instructions SCENARIO TIMES
//!
//! Without arguments it names its scenarios.

mod scenarios;

use std::env;
use std::process::ExitCode;

use crate::scenarios::SCENARIOS;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [name, times] = &arguments[..] else {
        SCENARIOS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let scenario = SCENARIOS.iter().find(|(known, _)| known == name);
    let (Some((_, run)), Ok(times)) = (scenario, times.parse()) else {
        eprintln!("usage: quoit-instructions [SCENARIO TIMES]");
        return ExitCode::FAILURE;
    };
    let runtime = quoit::Runtime::new().expect("a ring");
    runtime.block_on(run(times));
    ExitCode::SUCCESS
}
