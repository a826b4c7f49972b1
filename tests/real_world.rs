//! What only the real world has is refused on a simulated machine, where nobody would ever answer.

use std::io::ErrorKind;
use std::os::fd::AsFd as _;

use quoit::io::{AsyncFd, pipe, stdin, stdout};
use quoit::process::Command;
use quoit::signal::{SignalKind, ctrl_c, signal};
use quoit_testkit::QuarantineAlloc;

#[global_allocator]
static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

#[test]
fn pipes_standard_streams_signals_children_and_foreign_descriptors_are_refused_in_a_simulation() {
    let errors = quoit::sim::run(7, async {
        let terminal = std::io::stderr();
        [
            pipe().map(drop).unwrap_err(),
            stdin().read(Vec::with_capacity(1)).await.0.map(drop).unwrap_err(),
            stdout().write_all("nobody sees it").await.0.unwrap_err(),
            signal(SignalKind::hangup()).map(drop).unwrap_err(),
            ctrl_c().await.unwrap_err(),
            Command::new("true").spawn().map(drop).unwrap_err(),
            Command::new("true").output().await.map(drop).unwrap_err(),
            AsyncFd::new(terminal.as_fd()).map(drop).unwrap_err(),
        ]
    });
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().starts_with("a simulated machine has no "), "{error}");
    }
}
