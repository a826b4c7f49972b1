//! Children that nobody waits for: they are reaped when they have ended.
//!
//! ```text
//!   Child dropped ── ended already ──────────────────────────► reaped
//!         │
//!         ├── in a runtime ──► a task waits ── it ends ───────► reaped
//!         │                         │ the runtime ends first
//!         └── outside of one ───────┴──► a thread waits ──────► reaped
//! ```

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;

use crate::context;
use crate::op::{WaitExit, submit};
use crate::spawn::spawn;

/// Sees to it that a child is reaped.
pub(crate) fn adopt(child: Child) {
    let mut orphan = Orphan { child: Some(child) };
    if orphan.is_reaped() || context::try_with(|_| ()).is_none() {
        return;
    }
    drop(spawn(orphan.reaped()));
}

/// Waits until a child has ended, and reaps it.
pub(crate) async fn wait_for(child: &mut Child) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        submit(WaitExit::new(child.id())).await?;
    }
}

/// A child that nobody has reaped yet. Dropped, it is left to a thread.
struct Orphan {
    child: Option<Child>,
}

impl Orphan {
    /// Waits, as a task; what happens if that is dropped is told below.
    async fn reaped(mut self) {
        if let Some(child) = &mut self.child
            && wait_for(child).await.is_ok()
        {
            drop(self.child.take());
        }
    }

    /// Whether there is nothing to wait for any more.
    fn is_reaped(&mut self) -> bool {
        // An error means that it is not ours to reap: others have waited for it.
        if self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
            self.child = None;
        }
        self.child.is_none()
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if self.is_reaped() {
            return;
        }
        let Some(mut child) = self.child.take() else { return };
        let wait = move || _ = child.wait();
        // Where there can be no thread, the child is a zombie when it has ended, until we end.
        let _ = thread::Builder::new().name(String::from("quoit-reaper")).stack_size(STACK_BYTES).spawn(wait);
    }
}

/// Enough for a system call.
const STACK_BYTES: usize = 64 << 10;
