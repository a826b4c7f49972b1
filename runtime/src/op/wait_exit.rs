//! Waiting until a child process has ended.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::{opcode, types};

use crate::op::{Completion, Driver, Op, Step};
use crate::sys;

/// Waits until a child has ended, and leaves its status to be collected (`IORING_OP_WAITID` with `WNOWAIT`, since Linux 6.7;
/// before that a poll of its [`pidfd`](https://man7.org/linux/man-pages/man2/pidfd_open.2.html)). The number must be that of
/// a child whose status has not been collected.
#[derive(Debug)]
pub struct WaitExit {
    pid: u32,
    /// Where the kernel lacks the operation.
    pidfd: Option<OwnedFd>,
}

impl WaitExit {
    /// Waits for the child of this number.
    pub fn new(pid: u32) -> Self {
        Self { pid, pidfd: None }
    }

    fn wait(&self) -> Step {
        let options = libc::WEXITED | libc::WNOWAIT;
        Step::Submit(opcode::WaitId::new(libc::P_PID, self.pid, options).build().into())
    }

    fn poll(&mut self) -> Step {
        let pidfd = match &self.pidfd {
            Some(pidfd) => pidfd.as_raw_fd(),
            None => match sys::process::pidfd(self.pid) {
                Ok(pidfd) => self.pidfd.insert(pidfd).as_raw_fd(),
                Err(error) => return Step::Done(Completion::made_up(-error.raw_os_error().unwrap_or(libc::ECHILD))),
            },
        };
        Step::Submit(opcode::PollAdd::new(types::Fd(pidfd), libc::POLLIN as u32).build().into())
    }
}

// SAFETY: the entries name no memory, and the descriptor is the op's own.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for WaitExit {
    type Output = io::Result<()>;

    const NAME: &'static str = "waitid";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        if KNOWS_WAITID.load(Ordering::Relaxed) { self.wait() } else { self.poll() }
    }

    unsafe fn step(&mut self, completion: Completion) -> Step {
        match (&self.pidfd, -completion.result()) {
            (None, libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS) => {
                KNOWS_WAITID.store(false, Ordering::Relaxed);
                self.poll()
            }
            (None, libc::EINTR) => self.wait(),
            (Some(_), libc::EINTR) => self.poll(),
            _ => Step::Done(completion),
        }
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }
}

/// Whether the kernel is to be asked for the operation; not any more when it has once refused.
static KNOWS_WAITID: AtomicBool = AtomicBool::new(true);

#[cfg(all(test, not(loom)))]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::op::submit;

    #[test]
    fn a_kernel_without_waitid_is_asked_to_poll_a_pidfd() {
        crate::block_on(async {
            for _ in 0..2 {
                let mut child = Command::new("true").spawn().unwrap();
                let refused = KNOWS_WAITID.swap(false, Ordering::Relaxed);
                submit(WaitExit::new(child.id())).await.unwrap();
                KNOWS_WAITID.store(refused, Ordering::Relaxed);
                assert!(child.try_wait().unwrap().unwrap().success());
            }
        });
    }
}
