//! A panic of the driver's own ends the process.
//!
//! Code of users that runs inside the driver is shielded, so what unwinds through it is a mistake of ours: its books are wrong
//! then, on who owns which memory, and to go on, or just to free what it has, could let the kernel write into what is
//! somebody else's by now.

use std::mem;
use std::process;

/// Ends the process unless it is [disarmed](Self::disarm), which a panic does not.
#[must_use = "dropped at once, it ends the process"]
pub(super) struct AbortOnPanic(());

impl AbortOnPanic {
    pub(super) fn armed() -> Self {
        Self(())
    }

    /// All went well.
    pub(super) fn disarm(self) {
        mem::forget(self);
    }
}

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        eprintln!("quoit: the driver has panicked, which is a mistake of quoit's own; it cannot go on safely");
        process::abort()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt as _;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::Command;

    use crate::context;
    use crate::kernel::Wait;

    #[test]
    fn a_panic_of_the_driver_itself_ends_the_process() {
        if env::var_os("QUOIT_TEST_CHILD").is_some() {
            crate::block_on(async {
                let driver = context::driver();
                let _borrowed = driver.spill.borrow_mut();
                // It can't enter the kernel like this.
                let _ = catch_unwind(AssertUnwindSafe(|| driver.turn(Wait::No)));
                eprintln!("it went on");
            });
            return;
        }
        let name = "driver::guard::tests::a_panic_of_the_driver_itself_ends_the_process";
        let mut command = Command::new(env::current_exe().expect("a test has a file"));
        command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env("QUOIT_TEST_CHILD", "1");
        let output = command.output().expect("the test can run itself");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{text}");
        assert!(text.contains("the driver has panicked") && !text.contains("it went on"), "{text}");
    }
}
